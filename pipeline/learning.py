"""Train and evaluate: the settings of a run handed to `training` and `evaluation`.

A **run key** `<line>-<last training day>` names checkpoint, report and bundle of one model.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evaluation import evaluate as evaluation
from evaluation import predictions, report
from evaluation.evaluate import Background
from evaluation.results import OfflineReport
from evaluation.unseen import unseen
from infra.errors import PartitionMissing
from infra.store import Partition, Store
from infra.tracking import MlflowTracker
from pipeline import incumbent
from pipeline.settings import Settings
from training import checkpoint as checkpoints
from training.ancestry import Ancestry, Part, Share
from training.fit import fit
from training.model.dupn import Dupn

logger = logging.getLogger(__name__)

NEWEST = 12
"""Parts of a night's training that a report lists."""


@dataclass(frozen=True)
class Candidate:
    """A finished training run."""

    key: str
    days: tuple[date, ...]
    run_id: str
    """Of the tracker."""
    ancestry: Ancestry = field(default_factory=Ancestry)
    """All that it and its ancestors have learnt."""
    parent: str = ""
    """Run key of the model that it was updated from."""
    learnt: tuple[Part, ...] = ()
    """What its own training added to the parent's ancestry."""
    notes: tuple[str, ...] = ()
    """What its training reported (an abnormal day)."""

    @property
    def line(self) -> str:
        """Of the run key."""
        return incumbent.line_of(self.key)


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
    if run and checkpoints.final(store, run).exists():
        return _of_run(store, run)
    if run:
        raise PartitionMissing(
            f"checkpoints/{run}/final is not published: no model of this key is finished. "
            f"`ls {store.address('checkpoints')}` shows the keys; leave --run out for the newest."
        )
    tonight = run_key(settings, day)
    if checkpoints.final(store, tonight).exists():
        mine = _of_run(store, tonight)
        if mine.ancestry.held(day) is not None:
            return mine
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
    ancestry = Ancestry.of_lineage(lineage)
    learnt = lineage.get("learnt")
    return Candidate(
        key=key,
        days=tuple(date.fromisoformat(text) for text in lineage["days"]),
        run_id=lineage["run_id"],
        ancestry=ancestry,
        parent=lineage.get("parent", ""),
        learnt=ancestry.parts if learnt is None else Ancestry.of_plain(learnt).parts,
        notes=tuple(_notes(lineage)),
    )


def _notes(lineage: Mapping[str, Any]) -> Iterator[str]:
    for day, found in lineage.get("abnormal", {}).items():
        yield f"{day} was abnormal: " + " ".join(one["sentence"] for one in found)
    for day, why in lineage.get("left_out", {}).items():
        yield f"{day} was not learnt: {why}"


def parent_of(store: Store, key: str) -> str:
    """The run key that a model was updated from; empty for the first, or where nobody knows."""
    final = checkpoints.final(store, key)
    return str(final.manifest().lineage.get("parent", "")) if final.exists() else ""


def evaluate(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Ask candidate and champion what neither has learnt of the day; write the report."""
    store = settings.store
    mine = candidate(settings, day, run)
    against = incumbent.of(settings, mine.key)
    theirs = _of_run(store, against.key) if against else None
    some = unseen({one.key: one.ancestry for one in (mine, theirs) if one is not None}, day)
    champion = load(store, against.key) if against else None
    model = load(store, mine.key)
    background = Background(
        mine.key, known_days(mine, day, settings), _lineage(settings, mine), {}, some
    )
    found = evaluation.run(model, store, day, background, settings.evaluate, champion)
    whole = found.report.model_copy(
        update={
            "champion": against.key if against else "",
            "comparison": found.comparison,
            "notes": (*mine.notes, *found.report.notes),
        }
    )
    addresses = report.write(store, whole)
    predictions.save(found.predictions, answers(store, mine.key))
    store.put(f"reports/offline/{mine.key}/comparison.json", _comparison(whole))
    _log(settings, mine, whole)
    return {
        "run": mine.key,
        "day": day.isoformat(),
        "asked": whole.protocol["Day"],
        "report": addresses["report.html"],
        "champion": whole.champion or "none",
        "figures": [figure.model_dump() for figure in whole.figures],
    }


def load(store: Store, key: str) -> Dupn:
    """The finished network of a run key."""
    return checkpoints.load_model(checkpoints.final(store, key))


def known_days(mine: Candidate, day: date, settings: Settings) -> list[date]:
    """The newest days before `day` that the model has learnt of and that are still there."""
    there = set(settings.store.days("samples"))
    before = [one for one in mine.days if one < day and one in there]
    return before[-settings.evaluate.background_days :]


def answers(store: Store, key: str) -> Partition:
    """Where evaluation keeps what the model answered."""
    return store.partition("reports", None, "offline", key, "answers")


def _comparison(whole: OfflineReport) -> str:
    made = whole.comparison
    return json.dumps(
        {"champion": whole.champion, "comparison": made.model_dump() if made else None}, indent=1
    )


def _log(settings: Settings, mine: Candidate, whole: OfflineReport) -> None:
    """Figures, report and plots into the training run."""
    store = settings.store
    tracker = MlflowTracker(settings.tracking, store)
    tracker.start(mine.key, mine.run_id or None)
    tracker.metrics(whole.metrics)
    folder = f"reports/offline/{whole.key}"
    with TemporaryDirectory() as scratch:
        for name in store.names(folder):
            if Path(name).suffix in (".html", ".json", ".png"):
                Path(scratch, name).write_bytes(store.get(f"{folder}/{name}") or b"")
        tracker.file(Path(scratch), "report")
    tracker.end()


def _lineage(settings: Settings, mine: Candidate) -> dict[str, str]:
    return {
        "Data set": settings.dataset,
        "Line": mine.line,
        "Run": mine.key,
        "Updated from": mine.parent or "nothing: trained from scratch",
        "Training days": f"{mine.days[0]} to {mine.days[-1]} ({len(mine.days)})",
        "Learnt tonight": "; ".join(_part(part) for part in mine.learnt[-NEWEST:]),
        "Ancestry": f"{mine.ancestry.moments:,} moments in {len(mine.ancestry.parts)} parts, "
        f"digest {mine.ancestry.digest}",
        "Settings": settings.digest(),
        "Seed": str(settings.seed),
    }


def _part(part: Part) -> str:
    share = {
        Share.ALL: "all users",
        Share.REST: f"all but {part.held:.0%} of the users",
        Share.HOLDOUT: f"the {part.held:.0%} held out then",
    }[part.share]
    weight = "" if part.weight == 1 else f", weight {part.weight:g}"
    forced = f", forced: {part.forced}" if part.forced else ""
    return f"{part.day} {share} ({part.moments:,} moments{weight}{forced})"
