"""The registered model: an MLflow pyfunc around a bundle ("models from code").

Input: one row a question, columns as in `serving.contracts.Question`, of which only `ts` must be
there. Output: one row a question with `user_id`, `representation`, `price_preference`, `ctr` and
`l2r`. docs/serving.md has it as a caller sees it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Schema

from infra.errors import InputError
from serving import bundle as bundles
from serving.answering import answer
from serving.contracts import Question, question

KNOWN_BY = "dupn.bundle"
"""Tag of a logged model."""
CODE = Path(__file__).with_name("model_code.py")
BLOCK = 512
"""Questions that are answered at once: a frame may have any number, and one of a hundred behaviours
takes a third of a megabyte meanwhile."""


class DupnModel(PythonModel):
    """Raw ids and history in; CTR, L2R, price preference and representation out."""

    def load_context(self, context: Any) -> None:
        """Load the bundle that was logged with the model."""
        self.bundle = bundles.load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer every row.

        Raises:
            MlflowException: a row is refused; its sentence names the row and the field, and is all
                that a caller of `mlflow models serve` gets to see.
        """
        del context, params
        try:
            questions = list(questions_of(model_input))
        except InputError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        blocks = range(0, len(questions), BLOCK)
        answers = [one for n in blocks for one in answer(self.bundle, questions[n : n + BLOCK])]
        return pd.DataFrame(
            {
                "user_id": [q.user_id for q in questions],
                "representation": [a.representation.astype(float).tolist() for a in answers],
                "price_preference": [a.price_preference.astype(float).tolist() for a in answers],
                "ctr": [a.ctr.astype(float).tolist() for a in answers],
                "l2r": [a.l2r.astype(float).tolist() for a in answers],
            }
        )


def questions_of(frame: pd.DataFrame) -> Iterator[Question]:
    """A question a row, in their order.

    Raises:
        InputError: naming the first row that is wrong, counted from 0, and its field.
    """
    names = [str(name) for name in frame.columns]
    for place, row in enumerate(frame.itertuples(index=False, name=None)):
        record = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        try:
            yield question(record)
        except InputError as error:
            raise InputError(f"row {place}: {error}") from None


def _plain(value: Any) -> Any:
    """What a frame holds as JSON has it: lists for arrays, None for every kind of null."""
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if pd.api.types.is_scalar(value) and pd.isna(value) else value


def signature() -> ModelSignature:
    """Input columns by name, output columns with their types.

    Types of what comes in are not left to MLflow, whose check cuts the ids of a list that has a
    null to their first letter, refuses a null for a list, and takes ten times as long over a
    history as the network does. `questions_of` checks every value, and names the one that is wrong.
    """
    names = [name for name in Question.model_fields if name != "ts"]
    anything = [ColSpec(AnyType(), name, required=False) for name in names]
    inputs = Schema([ColSpec(AnyType(), "ts"), *anything])
    floats = Array(DataType.double)
    names = ["representation", "price_preference", "ctr", "l2r"]
    user = ColSpec(DataType.string, "user_id")
    return ModelSignature(inputs, Schema([user, *[ColSpec(floats, name) for name in names]]))


def log(folder: Path, run_id: str, example: Mapping[str, Any], known_by: str) -> str:
    """Log the bundle in `folder` as a model of a run; its `models:/m-...` address comes back.

    What a process was logging for this run when it was killed is said to have failed; what it had
    logged whole is taken, and no twin is added.

    Args:
        folder: a bundle.
        run_id: the training run it belongs to; it is reopened for this.
        example: one question, shown in the UI.
        known_by: what it is known by when it is logged again, as the digest of the bundle.
    """
    with mlflow.start_run(run_id=run_id) as run:
        if known := _whole(run.info.experiment_id, run_id, known_by):
            return known
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(CODE),
            artifacts={"bundle": str(folder)},
            signature=signature(),
            code_paths=[str(package) for package in bundles.packages()],
            pip_requirements=list(_REQUIREMENTS),
            input_example=pd.DataFrame([dict(example)]),
            tags={KNOWN_BY: known_by},
        )
    return str(logged.model_uri)


def _whole(experiment_id: str, run_id: str, known_by: str) -> str:
    """The model if the run has it already; one that is pending would be so for good."""
    client, known = mlflow.MlflowClient(), ""
    wanted = f"source_run_id = '{run_id}'"
    for model in client.search_logged_models([experiment_id], filter_string=wanted):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)
        elif model.status == LoggedModelStatus.READY and model.tags.get(KNOWN_BY) == known_by:
            known = str(model.model_uri)
    return known


_REQUIREMENTS = (
    "torch>=2.9",
    "pyarrow>=25",
    "pandas>=3",
    "polars>=2.1",
    "numpy",
    "pydantic>=2.14",
    "fsspec",
)
