"""Train and evaluate: the settings of a run handed to `training` and `evaluation`.

A **run key** `<line>-<last training day>` names checkpoint, report and bundle of one model.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evaluation import evaluate as evaluation
from evaluation import predictions, report
from evaluation.evaluate import Background, Evaluated
from infra.errors import PartitionMissing
from infra.registry import Registry
from infra.store import Partition, Store
from infra.tracking import MlflowTracker, tracking_uri
from pipeline.settings import Settings
from training import checkpoint as checkpoints
from training.fit import fit

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Candidate:
    """A finished training run."""

    key: str
    days: tuple[date, ...]
    run_id: str
    """Of the tracker."""


def run_key(settings: Settings, until: date) -> str:
    """Names everything that belongs to the model trained up to a day."""
    return f"{settings.line}-{until.isoformat()}"


def train(settings: Settings, days: Sequence[date]) -> Mapping[str, Any]:
    """Fit the network on `days`, in order."""
    key = run_key(settings, days[-1])
    fitted = fit(
        settings.store,
        days,
        settings.model,
        settings.train,
        seed=settings.seed,
        run_name=key,
        tracker=MlflowTracker(settings.tracking, settings.store),
    )
    return {
        "run": key,
        "mlflow_run": fitted.run_id,
        "moments": fitted.moments,
        "candidates": fitted.candidates,
        "seconds": round(fitted.seconds, 1),
        "moments_per_s": round(fitted.moments_per_s, 1),
        **{name: round(value, 5) for name, value in fitted.metrics.items()},
    }


def candidate(settings: Settings, day: date, run: str = "") -> Candidate:
    """The finished model that is judged on `day`.

    Args:
        settings: whose line and store.
        day: the day to judge it on.
        run: its run key. Empty: tonight's update of the line (`<line>-<day>`) if it is finished,
            else the newest model of the line that was trained on days before `day` only.

    Raises:
        PartitionMissing: there is none.
    """
    store = settings.store
    chosen = run or run_key(settings, day)
    if checkpoints.final(store, chosen).exists():
        return _of_run(store, chosen)
    if run:
        raise PartitionMissing(
            f"checkpoints/{run}/final is not published: no model of this key is finished. "
            f"`ls {store.address('checkpoints')}` shows the keys; leave --run out for the newest."
        )
    prefix = f"{settings.line}-"
    found = [name for name in store.names("checkpoints") if name.startswith(prefix)]
    for name in sorted(found, reverse=True):
        until = name.removeprefix(prefix)
        if until < day.isoformat() and checkpoints.final(store, name).exists():
            return _of_run(store, name)
    raise PartitionMissing(
        f"no model of line {settings.line} was trained on days before {day}. "
        f"Run `dupn train --until D --days N` with D before {day} first."
    )


def _of_run(store: Store, key: str) -> Candidate:
    lineage = checkpoints.final(store, key).manifest().lineage
    days = tuple(date.fromisoformat(text) for text in lineage["days"])
    return Candidate(key=key, days=days, run_id=lineage["run_id"])


def evaluate(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Ask the candidate (and the champion) every question of the day; write the report."""
    store = settings.store
    mine = candidate(settings, day, run)
    champion = champion_key(settings, mine)
    found = evaluation.run(
        checkpoints.load_model(checkpoints.final(store, mine.key)),
        store,
        day,
        Background(mine.key, mine.days, _lineage(settings, mine), {}),
        settings.evaluate,
        checkpoints.load_model(checkpoints.final(store, champion)) if champion else None,
    )
    addresses = report.write(store, found.report)
    predictions.save(found.predictions, answers(store, mine.key))
    store.put(f"reports/offline/{mine.key}/comparison.json", _comparison(found, champion))
    _log(settings, mine, found)
    return {
        "run": mine.key,
        "day": day.isoformat(),
        "report": addresses["report.html"],
        "champion": champion or "none",
        "figures": [figure.model_dump() for figure in found.report.figures],
    }


def answers(store: Store, key: str) -> Partition:
    """Where evaluation keeps what the model answered."""
    return store.partition("reports", None, "offline", key, "answers")


def champion_key(settings: Settings, mine: Candidate) -> str:
    """The run key of the model in production; empty if there is none, or it is this one."""
    registry = Registry(tracking_uri(settings.tracking, settings.store), settings.store)
    version = registry.version("champion")
    key = version.tags.get("run_key", "") if version else ""
    return "" if key == mine.key else key


def _comparison(found: Evaluated, champion: str) -> str:
    made = found.comparison
    return json.dumps(
        {"champion": champion, "comparison": made.model_dump() if made else None}, indent=1
    )


def _log(settings: Settings, mine: Candidate, found: Evaluated) -> None:
    """Figures, report and plots into the training run."""
    store = settings.store
    tracker = MlflowTracker(settings.tracking, store)
    tracker.start(mine.key, mine.run_id or None)
    figures = found.report.figures
    tracker.metrics({f.name: f.value for f in figures if f.value is not None})
    folder = f"reports/offline/{found.report.key}"
    with TemporaryDirectory() as scratch:
        for name in store.names(folder):
            if Path(name).suffix in (".html", ".json", ".png"):
                Path(scratch, name).write_bytes(store.get(f"{folder}/{name}") or b"")
        tracker.file(Path(scratch), "report")
    tracker.end()


def _lineage(settings: Settings, mine: Candidate) -> dict[str, str]:
    return {
        "Data set": settings.dataset,
        "Line": settings.line,
        "Run": mine.key,
        "Training days": f"{mine.days[0]} to {mine.days[-1]} ({len(mine.days)})",
        "Settings": settings.digest(),
        "Seed": str(settings.seed),
    }
