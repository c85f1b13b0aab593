"""`dupn bench gate`: the gate measured as an instrument, on a marketplace.

One parent, trained once. Tonight's update of it with one seed is the champion; the same update
with other seeds are its **twins**, as good as it and different: the gate should pass them.
**Defects** are planted in such updates (`pipeline.bench.spoilt`): the gate should stop those that
cost 0.01 AUC or more. All are asked about days after tonight's, which nobody has learnt: whole,
they say what a defect costs; cut into disjoint groups of users as large as a night's holdout, each
group is a night for the gate to judge (`evaluation.trial`).
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any

from evaluation import sampled, trial
from evaluation.evaluate import context_of
from evaluation.predictions import Predictions
from evaluation.sampled import SampledDay
from evaluation.trial import TWIN, Trial
from features import catalog
from infra.progress import track
from infra.scratch import scratch_folder
from infra.store import Store
from pipeline import steps
from pipeline.bench import spoilt
from pipeline.settings import Settings, own
from training import checkpoint as checkpoints
from training.fit import fit
from training.model.dupn import Dupn
from training.update import plan, update

logger = logging.getLogger(__name__)

PARENT, CHAMPION = "parent", "champion"


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is tried."""

    trained: int
    """Days that the parent learns; the day after is tonight's."""
    asked: int
    """Days after tonight's, on which everybody is asked."""
    twins: int
    group: float
    """Users of a draw, as a share of a day's: of a night's holdout."""
    pairs: tuple[str, ...] = ()
    """Settings."""


FULL = Size(
    trained=10,
    asked=3,
    twins=8,
    group=0.1,
    pairs=("marketplace.users=5000", "marketplace.items=6000", "train.epochs=2"),
)
QUICK = Size(
    trained=2,
    asked=1,
    twins=2,
    group=0.5,
    pairs=(
        "marketplace.users=200", "marketplace.items=600", "marketplace.categories=24",
        "marketplace.shops=40", "marketplace.icons=40", "train.epochs=1", "train.batch_size=64",
        "evaluate.replicates=50",
    ),
)  # fmt: skip


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Figures; `quick` only shows that it runs."""
    size = QUICK if quick else FULL
    with scratch_folder() as home:
        settings = chosen(str(home), size)
        found = list(trials(settings, size))
    world = settings.marketplace
    said = (
        f"; {world.users:,} users, {world.items:,} items, {size.trained} days learnt, "
        f"{size.asked} asked, {size.twins} twins"
    )
    return [
        {**figure.model_dump(), "protocol": figure.protocol + said}
        for figure in trial.figures(found)
    ]


def chosen(home: str, size: Size) -> Settings:
    """Of the world and of the line."""
    return own("drift", home, ["seed=31", *size.pairs])


def trials(settings: Settings, size: Size) -> Iterator[Trial]:
    """Every candidate before the gate on every draw.

    Args:
        settings: of the world and of the line; what is published under their home is used.
        size: how much.
    """
    world = _World(settings, size)
    world.data()
    candidates = spoilt.KINDS
    with track("bench gate", total=size.twins + len(candidates), unit="candidates") as bar:
        world.train()
        champion = world.answers(world.model(CHAMPION))
        for number in range(size.twins):
            yield from world.tried(TWIN, champion, world.answers(world.model(f"twin-{number}")))
            bar.advance()
        for number, (kind, defect) in enumerate(candidates.items()):
            answered = world.spoilt(defect, number % size.twins)
            yield from world.tried(kind.partition(":")[0], champion, answered)
            bar.advance()


class _World:
    """Data, models and questions of one run."""

    def __init__(self, settings: Settings, size: Size) -> None:
        self.settings = settings
        self.size = size
        self.store: Store = settings.store
        first = settings.first_day
        self.learnt = [first + timedelta(days=i) for i in range(size.trained)]
        self.tonight = first + timedelta(days=size.trained)
        self.after = [self.tonight + timedelta(days=i + 1) for i in range(size.asked)]

    def data(self) -> None:
        """Everything up to the samples of the last asked day."""
        days = [*self.learnt, self.tonight, *self.after]
        if not self.store.partition("raw", days[-1], "behaviors").exists():
            steps.simulate(self.settings, days[0], len(days))
        for day in days:
            if not self.store.partition("samples", day).exists():
                for stage in steps.DATA:
                    getattr(steps, stage)(self.settings, day)

    def train(self) -> None:
        """Parent, champion and twins."""
        settings = self.settings
        fit(
            self.store,
            self.learnt,
            settings.model,
            settings.train,
            seed=settings.seed,
            run_name=PARENT,
        )
        self.update(self.store, CHAMPION, 0)
        for number in range(self.size.twins):
            self.update(self.store, f"twin-{number}", number + 1)

    def update(self, store: Store, key: str, seed: int) -> None:
        """Tonight's update of the parent, from the samples in `store`."""
        settings = self.settings
        days = [*self.learnt, self.tonight]
        todo = plan(
            store, checkpoints.final(store, PARENT), self.tonight, settings.update, days=days
        )
        seed += settings.seed
        update(store, todo, settings.train, settings.update, seed=seed, run_name=key)

    def model(self, key: str, store: Store | None = None) -> Dupn:
        """A trained network."""
        return checkpoints.load_model(checkpoints.final(store or self.store, key))

    @cached_property
    def days(self) -> Mapping[date, SampledDay]:
        """All questions of the days after tonight."""
        return {day: sampled.read(self.store, day, 10**9, 0) for day in self.after}

    def answers(self, model: Dupn) -> list[Predictions]:
        """What a network says on these days."""
        return [day.ask(model) for day in self.days.values()]

    def spoilt(self, defect: spoilt.Defect, twin: int) -> list[Predictions]:
        """What a spoilt candidate says."""
        if defect.samples is not None:
            with scratch_folder() as home:
                store = spoilt.copy(self.store, str(home), self.tonight, defect.samples)
                self.update(store, f"spoilt-{twin}", twin + 1)
                return self.answers(self.model(f"spoilt-{twin}", store))
        model = self.model(f"twin-{twin}")
        if defect.weights is not None:
            defect.weights(model, catalog.load(self.store, self.tonight))
        return [spoilt.ask(day, model, defect.batch) for day in self.days.values()]

    def tried(
        self, kind: str, champion: list[Predictions], candidate: list[Predictions]
    ) -> Iterator[Trial]:
        """One candidate on every draw."""
        settings, size = self.settings, self.size
        mine, theirs = trial.aucs(candidate), trial.aucs(champion)
        cost = max(theirs[name] - mine[name] for name in theirs)
        items = catalog.load(self.store, self.after[-1])
        context = context_of(self.store, items, self.learnt)
        promoted = 0
        for place, (one, other) in enumerate(zip(candidate, champion, strict=True)):
            users = one.questions.users
            for group in trial.groups(users, int(users * size.group), place):
                verdict, error = trial.judge(
                    trial.drawn(one, group),
                    trial.drawn(other, group),
                    context,
                    settings.gate,
                    settings.evaluate,
                )
                promoted += verdict.promoted
                yield Trial(kind, cost, verdict.outcome, trial.failed_checks(verdict), error)
        lost = ", ".join(f"{name} {theirs[name] - mine[name]:+.4f}" for name in theirs)
        logger.info("%s costs %s: promoted on %d draws", kind, lost, promoted)
