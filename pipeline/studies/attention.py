"""What attention looks at (Section 6.4, Figures 8 and 9): DUPN on all tasks, world by world."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.studies import attention, attention_map, attention_report
from evaluation.studies.attending import Asked, Named
from evaluation.studies.attention import Seen
from evaluation.studies.cells import Cell
from evaluation.studies.histories import held_among_others
from infra.progress import Progress, quiet
from pipeline.settings import Settings
from pipeline.studies.base import Study
from pipeline.studies.worlds import World
from training.config import TrainConfig
from training.model.dupn import Dupn
from training.peers.fitting import Course, fit
from training.peers.held import Held

QUICK = {"learnt": 3, "judges": 1, "asked": 1, "epochs": 2, "judgements": 1, "shares": {}}
LEARNING = frozenset({"model", "train", "evaluate"})
"""Settings that decide what is seen, beside its world and the budget."""
BUDGET = frozenset({"epochs", "judgements", "patience", "shares", "learnt", "judges", "asked"})
NOTES: tuple[str, ...] = ()
"""What has to be said beside the figures, by who has looked at them."""


class AttentionStudy(Study[Cell]):
    """Keys: `world-3` builds a world, `seed-3` fits in it and looks."""

    title = "attention"
    preset = "study"

    def __init__(self, settings: Settings, seeds: int, quick: bool) -> None:
        if quick:
            small = settings.study.model_copy(update=QUICK)
            settings = settings.model_copy(update={"study": small})
        super().__init__(settings, seeds, quick)

    def stages(self) -> Sequence[Sequence[str]]:
        """Worlds, then what is seen in each."""
        return [self._keys("world"), self._keys("seed")]

    def kind(self, key: str) -> type[Cell]:
        """A world leaves nothing but that it is there."""
        return Cell if key.startswith("world-") else Seen

    def decides(self, key: str) -> Any:
        """The world's settings and, where something is fitted, the network's."""
        world = self._world(key)
        if key.startswith("world-"):
            return [world.seed, world.digest]
        settings = self.settings
        learning = settings.model_dump(mode="json", include=set(LEARNING))
        budget = settings.study.model_dump(mode="json", include=set(BUDGET))
        return [world.seed, world.digest, learning, budget]

    def work(self, key: str, digest: str, progress: Progress) -> Cell:
        """Build a world, or fit and look; a world that was deleted is made again."""
        world = self._world(key)
        with quiet() as silent:
            world.build(silent)
        done = Cell(settings=digest) if key.startswith("world-") else self._seen(world, digest)
        progress.advance(1)
        return done

    def report(self) -> Mapping[str, Any]:
        """Both figures, and the readings of the paper beside what is found."""
        cells = self.finished(self._keys("seed"))
        worlds = [one for one in cells if isinstance(one, Seen)]
        return attention_report.write(self.store, self.name, worlds, NOTES)

    @property
    def train(self) -> TrainConfig:
        """All tasks together, with the study's budget."""
        study = self.settings.study
        budget = {"epochs": study.epochs, "patience": study.patience}
        return self.settings.train.model_copy(update=budget)

    def _seen(self, world: World, digest: str) -> Seen:
        learnt, config = world.held(world.learnt), self.settings.evaluate
        network = self._fitted(world, learnt)
        asked = Asked(learnt, world.held(world.asked))
        found = asked.histories
        weights = asked.weights(network, config)
        return Seen(
            settings=digest,
            seed=world.seed,
            moments=found.moments,
            users=found.users,
            known=int((found.wanted > 0).sum()),
            matched=int(held_among_others(found).sum()),
            figures=tuple(attention.figures(found, weights, config)),
            behaviours=attention_map.behaviours(found),
            example=asked.example(network, Named.of(world.store, world.learnt[-1])),
        )

    def _fitted(self, world: World, learnt: Held) -> Dupn:
        study, tasks = self.settings.study, self.train.tasks
        course = Course(
            learnt=learnt.asking(tasks, study.shares),
            judges=world.held(world.judges).asking(tasks, study.shares),
            train=self.train,
            judgements=study.judgements,
        )
        network = fit(Dupn, self.settings.model, course, world.seed).network
        assert isinstance(network, Dupn)
        return network

    def _keys(self, kind: str) -> list[str]:
        return [f"{kind}-{seed}" for seed in range(1, self.seeds + 1)]

    def _world(self, key: str) -> World:
        return World(self.settings, int(key.split("-")[1]), self.quick)
