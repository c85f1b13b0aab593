"""Whether an MLflow run that somebody else made is still there to be gone on with."""

from typing import Any

from infra.mlflow_client import Refused

_UNKNOWN = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says of a run that was purged (`mlflow gc`), and of what is no id."""


def is_there(client: Any, run_id: str) -> bool:
    """Whether a run takes figures and files: it is known, and was not deleted.

    Raises:
        Refused: MLflow does not let us ask.
    """
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except Refused as error:
        if error.code in _UNKNOWN:
            return False
        raise
