"""`dupn watch`: what is known of a night, gathered, kept, drawn and logged.

Models come from `checkpoints/`, volumes and durations from the manifests of the day, quality from
its report. Nothing here decides: alerts are sentences that the front doors pass on.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np

from evaluation import nights, sampled, watch
from evaluation.predictions import Predictions
from evaluation.results import Figure
from evaluation.sampled import SampledDay
from evaluation.settings import WatchConfig
from evaluation.watch import Night
from features.holdout import held_out
from infra import run_key
from infra.runs import is_there
from infra.store import Store
from infra.tracking import MlflowTracker
from pipeline.learn import learning
from pipeline.learn.learning import Candidate
from pipeline.nights import night_page, volumes
from pipeline.release import verdicts
from pipeline.release.incumbent import is_rival, registry_of
from pipeline.settings import Settings
from training import checkpoint as checkpoints
from training.ancestry import Ancestry
from training.update_plan import readable

logger = logging.getLogger(__name__)


def run(settings: Settings, day: date, named: str = "") -> Mapping[str, Any]:
    """Watch the night of `day`: figures, alerts, the page of the last nights, MLflow."""
    store, config = settings.store, settings.watch
    mine = learning.candidate(settings, day, named)
    look = _Look(settings, day, mine)
    figures = [
        *look.progressive(),
        *look.staleness(),
        *look.forgetting(),
        *volumes.figures(store, day, mine.key),
    ]
    role = "challenger" if is_rival(registry_of(settings), mine.line) else "champion"
    whose = f"the {role} {look.asked} (line {mine.line})"
    before = nights.read(store, settings.line, day - timedelta(days=1), config.median_nights)
    night = Night(
        day=day.isoformat(),
        run=mine.key,
        parent=look.parent,
        figures=tuple(figures),
        alerts=tuple(watch.drops(figures, before, config, look.untrained, whose)),
        notes=(*mine.notes, *look.notes),
        outcome=verdicts.outcome(store, mine.key),
    )
    address = nights.put(store, settings.line, night)
    page = night_page.draw(settings)
    _log(settings, mine, night)
    for alert in night.alerts:
        logger.warning("%s", alert)
    return {
        "run": mine.key,
        "day": night.day,
        "parent": look.parent or "none",
        "alerts": list(night.alerts),
        "notes": list(night.notes),
        "report": address,
        "page": page,
        "figures": [figure.model_dump() for figure in figures],
    }


class _Look:
    """The models of a line, asked about the day and the days before."""

    def __init__(self, settings: Settings, day: date, mine: Candidate) -> None:
        self.store: Store = settings.store
        self.config: WatchConfig = settings.watch
        self.measuring = watch.settings(settings.watch, settings.evaluate)
        self.line = settings.line
        self.day = day
        self.key = mine.key
        lineage = checkpoints.final(self.store, mine.key).manifest().lineage
        self.parent: str = lineage.get("parent", "")
        self.ancestry = Ancestry.of_lineage(lineage)
        self.notes: list[str] = []
        self.asked = ""
        """Whose the progressive figures are."""
        self.untrained: frozenset[str] = frozenset()
        """Tasks that the model of the progressive figures was not trained for."""
        self.today = self._sample(day)

    def progressive(self) -> Iterator[Figure]:
        """The champion (before tonight) on the new day."""
        key = self.parent if self._can_ask(self.parent) else self.key
        ancestry = self._ancestry(key)
        if ancestry.has(self.day):
            self.notes.append(
                f"no model was asked about {self.day} before it learnt it: {key} has the day in "
                "its ancestry."
            )
            return
        protocol = f"{key}, before training on {self.day}"
        self.asked = key
        self.untrained = learning.of_run(self.store, key).untrained
        yield from watch.progressive(self._ask(key, self.today), self.measuring, protocol)

    def staleness(self) -> Iterator[Figure]:
        """Models of growing age on the new day."""
        keys = {age: self._key(self.day - timedelta(days=age)) for age in self.config.ages}
        answered = {
            age: self._ask(key, self.today) for age, key in keys.items() if self._can_ask(key)
        }
        yield from watch.staleness(answered, self.measuring)

    def forgetting(self) -> Iterator[Figure]:
        """Tonight's model on older days, against the model of then."""
        for back in self.config.back:
            day = self.day - timedelta(days=back)
            then = self._key(day)
            if then == self.key or not self._can_ask(then):
                continue
            if why := self._nothing_forgotten(day, then):
                self.notes.append(f"nothing is asked about {day}, {back} days back: {why}.")
                continue
            held = self._ancestry(then).held(day)
            if held is None:
                of, sample = "users of whom both have learnt", self._sample(day)
            else:
                of, sample = "users held out then (learnt since)", self._sample(day, held)
            if not len(sample.moments):
                continue
            yield from watch.forgetting(
                back,
                self._ask(self.key, sample),
                self._ask(then, sample),
                self.measuring,
                f"{self.key} against {then} on {day}, {of}",
            )

    def _nothing_forgotten(self, day: date, then: str) -> str:
        """Why two models cannot be held against each other on a day; "" if they can be.

        Of a day that one of them was judged by, and did not learn, nothing can be forgotten.
        """
        if not readable(self.store, day):
            return "its samples, or their catalog, are not published"
        learnt = {then: self._ancestry(then), self.key: self.ancestry}
        strangers = [key for key, ancestry in learnt.items() if not ancestry.has(day)]
        return f"{strangers[0]} learnt nothing of it" if strangers else ""

    def _sample(self, day: date, held: float | None = None) -> SampledDay:
        among = None
        if held is not None:
            users = np.unique(
                self.store.partition("samples", day).table(["user_hash"])["user_hash"]
            )
            among = users[held_out(users, day, held)]
        return sampled.read(self.store, day, self.config.moments, self.config.seed, among)

    def _ask(self, key: str, sample: SampledDay) -> Predictions:
        return sample.ask(checkpoints.load_model(checkpoints.final(self.store, key)))

    def _ancestry(self, key: str) -> Ancestry:
        return Ancestry.of_lineage(checkpoints.final(self.store, key).manifest().lineage)

    def _can_ask(self, key: str) -> bool:
        """Whether there is such a model; of one with other inputs than today's, a note says so."""
        if not key or not (final := checkpoints.final(self.store, key)).exists():
            return False
        misfit = checkpoints.misfit(final)
        if misfit and (note := f"{key} {misfit}: it was not asked.") not in self.notes:
            self.notes.append(note)
        return not misfit

    def _key(self, day: date) -> str:
        return run_key.of(self.line, day)


def _log(settings: Settings, mine: Candidate, night: Night) -> None:
    """Figures and JSON into the night's run, if it is there."""
    tracker = MlflowTracker(settings.tracking, settings.store)
    if not mine.run_id or not is_there(tracker.client, mine.run_id):
        return
    tracker.start(mine.key, mine.run_id)
    tracker.metrics({f.name: f.value for f in night.figures if f.value is not None})
    tracker.text(night.model_dump_json(indent=1), "watch/figures.json")
    tracker.end()
