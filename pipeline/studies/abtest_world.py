"""One cell of the A/B study: a marketplace, its models, and the twin worlds in which they rank.

What is finished is kept under the cell's own home and not done again: days of data by their
partitions, trainings by their checkpoints, lived days by a small file of their totals.
"""

import json
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

from evaluation.results import Figure
from evaluation.studies import uplift
from evaluation.studies.abtest import BEFORE, DUPN, POLICY, SPLIT, TWINS, Cell, Shape
from evaluation.studies.uplift import Lived
from features.abtest.traffic import Traffic
from features.carry import ONE_DAY
from infra.progress import Progress
from infra.record import reading
from pipeline.abtest import closed_loop, estimating
from pipeline.abtest.closed_loop import World
from pipeline.abtest.contenders import Before, Contender, Network, Policy
from pipeline.days import span
from pipeline.settings import Settings
from pipeline.studies import worlds

SALT = "abtest"
SHARES = {BEFORE: 0.5, DUPN: 0.5}


class AbtestWorld:
    """A seed.

    Args:
        settings: of the study, with the seed and a home of its own.
        shape: how many days of what.
        progress: counts days.
    """

    def __init__(self, settings: Settings, shape: Shape, progress: Progress) -> None:
        self.folder = Path(settings.home)
        self.settings = settings.model_copy(update={"home": str(self.folder / "base")})
        self.shape = shape
        self.progress = progress
        self.first = span(settings.first_day, shape.trained)

    def cell(self, digest: str) -> Cell:
        """Everything about the seed, under a digest of the settings."""
        begin = time.monotonic()
        worlds.build(self.settings, self.first, self.progress)
        Network(self.settings, self.first).begin()
        Before(self.settings, self.first).begin()
        lived = [one for world in (*TWINS, SPLIT) for one in self._lived(world)]
        return Cell(
            seed=self.settings.seed,
            settings=digest,
            lived=tuple(lived),
            estimated=self._estimated(),
            seconds=time.monotonic() - begin,
        )

    def _lived(self, name: str) -> list[Lived]:
        """All days of one world."""
        settings = closed_loop.copy_home(self.settings, self.folder / name)
        world = self._world(name, settings)
        found: list[Lived] = []
        for number in range(1, self.shape.lived + 1):
            found += self._day(world, name, number)
            self.progress.advance(1)
        return found

    def _estimated(self) -> tuple[Figure, ...]:
        """What the experiment's own statistics say of the split world, from its log alone."""
        settings = closed_loop.copy_home(self.settings, self.folder / SPLIT)
        days = span(self.first[-1] + ONE_DAY, self.shape.lived)
        traffic = Traffic(experiment=SALT, salt=SALT, shares=SHARES)
        return tuple(estimating.figures(estimating.looks(settings, traffic, days)[DUPN]))

    def _day(self, world: World, name: str, number: int) -> list[Lived]:
        store = world.settings.store
        key, today = f"lived/{number}.json", self.first[-1] + ONE_DAY * number
        kept = store.get(key)
        if kept is None:
            effects = world.day(today).effects
            days = uplift.of_effects(effects, world.arm_of, list(world.contenders), name, number)
            kept = json.dumps([one.model_dump() for one in days]).encode()
            store.put(key, kept)
        with reading(key, "Remove it, and run the study again."):
            return [Lived.model_validate(one) for one in json.loads(kept)]

    def _world(self, name: str, settings: Settings) -> World:
        if name == SPLIT:
            both = {arm: self._contender(arm, settings) for arm in SHARES}
            return World.split(settings, both, SHARES, SALT)
        return World.twin(settings, name, self._contender(name, settings))

    def _contender(self, name: str, settings: Settings) -> Contender:
        return _CONTENDERS[name](settings, self.first)


_CONTENDERS: Mapping[str, Callable[[Settings, "list[date]"], Contender]] = {
    POLICY: lambda *_: Policy(),
    BEFORE: Before,
    DUPN: Network,
}
