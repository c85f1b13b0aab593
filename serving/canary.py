"""Load-and-query check of a logged model, in a process of its own.

`python -P serving/canary.py MODEL_URI RECORDED` loads the model as any user would (from MLflow at
`MLFLOW_TRACKING_URI`: the list of processes shows command lines, and an address may hold a
password), asks the recorded questions and compares with the scores that evaluation computed. It
prints one JSON line. It imports nothing of ours, so that what answers is the code that was logged
with the model.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORES = ("ctr", "l2r")


@dataclass(frozen=True)
class Heard:
    """What the canary found."""

    questions: int
    worst: float
    """Largest difference of a score from the recorded one."""
    where: str
    """The score and question with that difference."""
    load_s: float
    answer_s: float


def compare(
    recorded: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]
) -> tuple[float, str]:
    """The largest difference, and where it is; infinite where a shape differs."""
    worst, where = 0.0, ""
    for number, (want, got) in enumerate(zip(recorded, answers, strict=True)):
        for name in SCORES:
            gap = _gap(np.asarray(want[name], float), np.asarray(got[name], float))
            if gap >= worst:
                worst, where = gap, f"{name} of question {number} ({want['sample_id']})"
    return worst, where


def _gap(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Largest difference; infinite where a score is missing or is no number on either side."""
    if len(mine) != len(theirs) or not (np.isfinite(mine).all() and np.isfinite(theirs).all()):
        return np.inf
    return float(np.abs(mine - theirs).max(initial=0))


def ask(uri: str, recorded: Sequence[Mapping[str, Any]]) -> Heard:
    """Load the model and put the recorded questions to it."""
    import mlflow
    import pandas as pd

    start = time.monotonic()
    model = mlflow.pyfunc.load_model(uri)
    loaded = time.monotonic()
    answers = model.predict(pd.DataFrame([dict(one["question"]) for one in recorded]))
    answered = time.monotonic()
    worst, where = compare(recorded, answers.to_dict(orient="records"))
    return Heard(len(recorded), worst, where, loaded - start, answered - loaded)


def main() -> None:
    """Entry point of the fresh process."""
    uri, recorded = sys.argv[1:3]
    heard = ask(uri, json.loads(Path(recorded).read_text()))
    sys.stdout.write("\n" + json.dumps(asdict(heard)) + "\n")


if __name__ == "__main__":
    main()
