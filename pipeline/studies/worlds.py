"""The marketplace of a seed, from raw logs to samples, shared by the studies that learn from it.

Days are built once, under `study/worlds`; studies of the same settings read the same bytes. They
are working data: the folder may be deleted when no study runs, and is made again if one needs it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from evaluation.marketplace import state
from features.carry import ONE_DAY
from infra.files import alone
from infra.progress import Progress, quiet
from infra.store import Store
from pipeline import steps
from pipeline.settings import Settings
from pipeline.studies.base import line
from training.peers.held import Held

DECIDING = frozenset({
    "seed", "first_day", "marketplace", "events", "vocabulary", "statistics", "sequences",
    "samples",
})  # fmt: skip
"""Settings that decide a world, beside its number of days."""
SMALL = {"users": 200, "items": 600, "categories": 24, "shops": 40, "icons": 40}
"""A world of a quick study."""


def build(settings: Settings, days: Sequence[date], progress: Progress) -> None:
    """Raw logs and samples of some days, each once; a step of progress a day.

    Args:
        settings: with the seed and a home of its own.
        days: in order, from `settings.first_day` on.
        progress: counts days.
    """
    if not state.saved(settings.store, days[-1]):
        steps.simulate(settings, days[0], len(days), progress=quiet)
    prepare(settings, days, progress)


def prepare(settings: Settings, days: Sequence[date], progress: Progress) -> None:
    """Samples of days whose raw logs are there, as `build` makes them."""
    store = settings.store
    for day in days:
        if not store.partition("samples", day).exists():
            for stage in steps.DATA:
                getattr(steps, stage)(settings, day)
        progress.advance(1)


@dataclass(frozen=True)
class World:
    """A seed's days: some are learnt, then some judge what is learnt, then some are asked.

    Args:
        settings: of the study; its seed is not this world's.
        seed: of the world.
        quick: whether it is small.
    """

    settings: Settings
    seed: int
    quick: bool = False

    @property
    def days(self) -> list[date]:
        """All of them."""
        study = self.settings.study
        count = study.learnt + study.judges + study.asked
        return [self.settings.first_day + ONE_DAY * number for number in range(count)]

    @property
    def learnt(self) -> list[date]:
        """Days that networks learn from."""
        return self.days[: self.settings.study.learnt]

    @property
    def judges(self) -> list[date]:
        """Days that stop the learning and choose settings."""
        study = self.settings.study
        return self.days[study.learnt : study.learnt + study.judges]

    @property
    def asked(self) -> list[date]:
        """Days that figures are about; nothing is chosen by them."""
        return self.days[-self.settings.study.asked :]

    @property
    def own(self) -> Settings:
        """Settings of its data, with a home of their own."""
        folder = f"seed-{self.seed}-{self.digest}"
        home = self.settings.store.address("study", "worlds", folder)
        return self._data.model_copy(update={"home": home})

    @property
    def digest(self) -> str:
        """Changes with what decides its bytes."""
        deciding = line(self._data, DECIDING)
        return hashlib.sha256(f"{deciding} {len(self.days)}".encode()).hexdigest()[:12]

    @property
    def _data(self) -> Settings:
        mine = self.settings.model_copy(update={"seed": self.seed})
        if not self.quick:
            return mine
        market = mine.marketplace.model_copy(update=SMALL)
        return mine.model_copy(update={"marketplace": market})

    @property
    def store(self) -> Store:
        """Of its own data."""
        return self.own.store

    def build(self, progress: Progress) -> None:
        """Make it, or what is left of it; cells side by side make it once."""
        with alone(Path(self.own.home) / "building"):
            build(self.own, self.days, progress)

    def held(self, days: Sequence[date]) -> Held:
        """Samples of some of its days, for networks that know the last learnt day's vocabulary.

        A world whose folder was deleted is made again.
        """
        from training.sizes import vocabulary_sizes

        if not self.store.partition("samples", self.days[-1]).exists():
            with quiet() as silent:
                self.build(silent)
        return Held.read(self.store, days, vocabulary_sizes(self.store, self.learnt[-1]))
