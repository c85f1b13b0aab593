"""Evaluate: the candidate beside the champion, on what neither has learnt of a day.

The report holds the candidate's figures, what it has over the champion, and how heads that are
frozen on the champion's representation do on the candidate's. The gate decides on it alone.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from evaluation import compatibility, filed, predictions, report, sampled
from evaluation import evaluate as evaluation
from evaluation.evaluate import Background, Evaluated
from evaluation.results import Compatibility, OfflineReport
from evaluation.unseen import bounded, unseen
from infra.runs import is_there
from infra.scratch import scratch_folder
from infra.store import Store
from infra.tracking import MlflowTracker
from pipeline.learn import curves, tracked
from pipeline.learn.learning import Candidate, answers, askable, load, of_run
from pipeline.release import incumbent
from pipeline.release.incumbent import Incumbent
from pipeline.settings import Settings
from training import checkpoint as checkpoints
from training.ancestry import Part, Share
from training.model.dupn import Dupn

logger = logging.getLogger(__name__)

NEWEST = 12
"""Parts of a night's training that a report lists."""


def evaluate(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Ask candidate and champion what neither has learnt of the day; write the report."""
    store = settings.store
    mine = askable(settings, day, run)
    against = incumbent.of(settings, mine.key)
    theirs = of_run(store, against.key) if against else None
    some = unseen({one.key: one.ancestry for one in (mine, theirs) if one is not None}, day)
    asked = bounded(store, day, some, settings.evaluate.moments)
    champion = load(store, against.key) if against and not _misfit(store, against) else None
    model = load(store, mine.key)
    training = curves.of_run(MlflowTracker(settings.tracking, store), mine.run_id)
    background = Background(
        mine.key,
        known_days(mine, day, settings),
        _lineage(settings, mine),
        training,
        asked,
        mine.untrained,
    )
    found = evaluation.run(model, store, day, background, settings.evaluate, champion)
    whole = _beside(settings, day, found, (mine, against), (model, champion))
    addresses = report.write(store, whole)
    predictions.save(found.predictions, answers(store, mine.key))
    store.put(filed.comparison(mine.key), _comparison(whole))
    store.put(f"{filed.offline(mine.key)}/{tracked.FILE}", tracked.whole(settings))
    _log(settings, mine, whole)
    return {
        "run": mine.key,
        "day": day.isoformat(),
        "asked": whole.protocol["Day"],
        "report": addresses[filed.PAGE],
        "champion": whole.champion or "none",
        "figures": [figure.model_dump() for figure in whole.figures],
    }


def _beside(
    settings: Settings,
    day: date,
    found: Evaluated,
    who: tuple[Candidate, Incumbent | None],
    models: tuple[Dupn, Dupn | None],
) -> OfflineReport:
    """The report with the champion beside the candidate, and heads frozen on the champion."""
    report, (mine, against), (model, champion) = found.report, who, models
    if against is None:
        return report.model_copy(update={"notes": (*mine.notes, *report.notes)})
    if champion is None:  # the gate finds no comparison, and leaves it to a person
        misfit = _misfit(settings.store, against)
        told = f"{against.key} {misfit}: it was not asked, and the two are not compared."
        notes = (told, *mine.notes, *report.notes)
        return report.model_copy(update={"champion": against.key, "notes": notes})
    beside = {"comparison": found.comparison, "champion": against.key}
    report, notes, frozen = report.model_copy(update=beside), mine.notes, None
    figures = [*report.figures, *report.over_champion]
    if against.line != mine.line:
        told = (
            f"{against.key} is of another line: its representation is not compared, and a "
            "promotion publishes a new version of the dimensions."
        )
        notes = (told, *notes)
    elif found.predictions.questions.users:
        untrained = of_run(settings.store, against.key).untrained
        frozen = compatibility.of_learnt(_frozen(settings, day, found, model, champion), untrained)
        figures += compatibility.figures(frozen)
        notes = (*notes, *compatibility.notes(frozen))
    more = {"compatibility": frozen, "figures": tuple(figures), "notes": (*notes, *report.notes)}
    return report.model_copy(update=more)


def _misfit(store: Store, against: Incumbent) -> str:
    """Why the version in place cannot be asked; empty if it can."""
    if incumbent.replaced(store, against.key, against.version.run_id):
        return "was trained anew by force since it was registered, as another model"
    return checkpoints.misfit(checkpoints.final(store, against.key))


def _frozen(
    settings: Settings, day: date, found: Evaluated, model: Dupn, champion: Dupn
) -> Compatibility:
    """The champion's heads on the candidate's representation, for some of the users asked."""
    config = settings.compatibility
    users = np.unique(found.predictions.questions.moments.user_hash)
    sample = sampled.read(settings.store, day, config.moments, config.seed, users)
    return compatibility.measure(model, champion, sample, config, settings.evaluate)


def known_days(mine: Candidate, day: date, settings: Settings) -> list[date]:
    """The newest days before `day` that the model has learnt of and that are still there."""
    there = set(settings.store.days("samples"))
    before = [one for one in mine.days if one < day and one in there]
    return before[-settings.evaluate.background_days :]


def _comparison(whole: OfflineReport) -> str:
    made = whole.comparison
    return json.dumps(
        {"champion": whole.champion, "comparison": made.model_dump() if made else None}, indent=1
    )


def _log(settings: Settings, mine: Candidate, whole: OfflineReport) -> None:
    """Figures, report and plots into the training run, if it is there: none is made for them."""
    store = settings.store
    tracker = MlflowTracker(settings.tracking, store)
    if not is_there(tracker.client, mine.run_id):
        logger.warning(
            "the report of %s is not in MLflow: its run %s is not there", mine.key, mine.run_id
        )
        return
    tracker.start(mine.key, mine.run_id)
    tracker.metrics(whole.metrics)
    folder = filed.offline(whole.key)
    with scratch_folder() as scratch:
        for name in store.names(folder):
            if Path(name).suffix in (".html", ".json", ".png"):
                (scratch / name).write_bytes(store.get(f"{folder}/{name}") or b"")
        tracker.file(scratch, "report")
    tracker.end()


def _lineage(settings: Settings, mine: Candidate) -> dict[str, str]:
    return {
        "Data set": settings.dataset,
        "Line": mine.line,
        "Run": mine.key,
        "Updated from": mine.parent or "nothing: trained from scratch",
        "Training days": f"{mine.days[0]} to {mine.days[-1]} ({len(mine.days)})",
        "Learnt tonight": _told(mine.learnt),
        "Ancestry": f"{mine.ancestry.moments:,} moments in {len(mine.ancestry.parts)} parts, "
        f"digest {mine.ancestry.digest}",
        "Preset": settings.preset or tracked.NONE,
        "Settings": settings.digest(),
        "All settings": f"{tracked.FILE}, beside this page",
        "Seed": str(settings.seed),
    }


def _told(learnt: Sequence[Part]) -> str:
    """What was learnt, in the order of learning; of very much the newest, and how much it was."""
    newest = "; ".join(_part(part) for part in learnt[-NEWEST:])
    if len(learnt) <= NEWEST:
        return newest
    moments = sum(part.moments for part in learnt)
    return f"{len(learnt)} parts of {moments:,} moments, the newest {NEWEST}: {newest}"


def _part(part: Part) -> str:
    share = {
        Share.ALL: "all users",
        Share.REST: f"all but {100 * part.held:.3g} % of the users",
        Share.HOLDOUT: f"the {100 * part.held:.3g} % held out then",
    }[part.share]
    weight = "" if part.weight == 1 else f", weight {part.weight:g}"
    forced = f", forced: {part.forced}" if part.forced else ""
    return f"{part.day} {share} ({part.moments:,} moments{weight}{forced})"
