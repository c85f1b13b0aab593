"""The registered model: an MLflow pyfunc around a bundle ("models from code").

Input: one row a question, columns as in `serving.contracts.Question` (`profile`, `history` and
`candidates` are optional). Output: one row a question with `user_id`, `representation`,
`price_preference`, `ctr` and `l2r`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.entities import LoggedModelStatus
from mlflow.models import ModelSignature
from mlflow.pyfunc import PythonModel
from mlflow.types.schema import Array, ColSpec, DataType, Map, Object, Property, Schema

from serving import bundle as bundles
from serving.answering import answer
from serving.contracts import question

CODE = Path(__file__).with_name("model_code.py")


class DupnModel(PythonModel):
    """Raw ids and history in; CTR, L2R, price preference and representation out."""

    def load_context(self, context: Any) -> None:
        """Load the bundle that was logged with the model."""
        self.bundle = bundles.load(Path(context.artifacts["bundle"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer every row."""
        del context, params
        rows = model_input.to_dict(orient="records")
        questions = [question({str(name): v for name, v in row.items()}) for row in rows]
        answers = answer(self.bundle, questions)
        return pd.DataFrame(
            {
                "user_id": [q.user_id for q in questions],
                "representation": [a.representation.astype(float).tolist() for a in answers],
                "price_preference": [a.price_preference.astype(float).tolist() for a in answers],
                "ctr": [a.ctr.astype(float).tolist() for a in answers],
                "l2r": [a.l2r.astype(float).tolist() for a in answers],
            }
        )


def signature() -> ModelSignature:
    """Input and output columns with their types."""
    behavior = Object(
        [
            Property("item_id", DataType.string),
            Property("type", DataType.string, required=False),
            Property("scenario", DataType.string, required=False),
            Property("ts", DataType.string),
        ]
    )
    text = DataType.string
    inputs = Schema(
        [
            ColSpec(text, "user_id", required=False),
            ColSpec(text, "ts"),
            ColSpec(text, "scenario", required=False),
            ColSpec(text, "query", required=False),
            ColSpec(Map(text), "profile", required=False),
            ColSpec(Array(behavior), "history", required=False),
            ColSpec(Array(text), "candidates", required=False),
        ]
    )
    floats = Array(DataType.double)
    names = ("representation", "price_preference", "ctr", "l2r")
    outputs = Schema([ColSpec(text, "user_id"), *[ColSpec(floats, name) for name in names]])
    return ModelSignature(inputs, outputs)


def log(folder: Path, run_id: str, example: Mapping[str, Any]) -> str:
    """Log the bundle in `folder` as a model of a run; its `models:/m-...` address comes back.

    What a process was logging for this run when it was killed is said to have failed.

    Args:
        folder: a bundle.
        run_id: the training run it belongs to; it is reopened for this.
        example: one question, shown in the UI.
    """
    with mlflow.start_run(run_id=run_id) as run:
        _fail_unfinished(run.info.experiment_id, run_id)
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(CODE),
            artifacts={"bundle": str(folder)},
            signature=signature(),
            code_paths=[str(package) for package in bundles.packages()],
            pip_requirements=list(_REQUIREMENTS),
            input_example=pd.DataFrame([dict(example)]),
        )
    return str(logged.model_uri)


def _fail_unfinished(experiment_id: str, run_id: str) -> None:
    """MLflow would show them as pending for good."""
    client = mlflow.MlflowClient()
    wanted = f"source_run_id = '{run_id}'"
    for model in client.search_logged_models([experiment_id], filter_string=wanted):
        if model.status == LoggedModelStatus.PENDING:
            client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


_REQUIREMENTS = (
    "torch>=2.9",
    "pyarrow>=25",
    "pandas>=3",
    "polars>=2.1",
    "numpy",
    "pydantic>=2.14",
    "fsspec",
)
