"""Who stands behind an arm of the closed loop, from day to day.

`policy`: the marketplace's own logging policy. `network`: a line of checkpoints in this store, each
day served from a bundle written the night before, like a released one. `predecessor`: Wide and
MaxEnt. `version`: whatever the registry or the store says is to be served, as `dupn serve` would
answer. A day is ranked with what the night before it knew: its catalog, and the statistics before.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Protocol

from evaluation.marketplace.arms import Arm, Stamp
from evaluation.marketplace.policies import PopularityWithNoise
from features.carry import ONE_DAY
from features.raw.dataset import load as load_dataset
from infra import run_key
from infra.progress import quiet
from infra.scratch import scratch_folder
from pipeline.abtest import predecessor
from pipeline.abtest.page_rankers import Audience, PageArm
from pipeline.abtest.predecessor import Predecessor, Prices
from pipeline.settings import Settings
from serving import bundle as bundles
from serving import served as disassembled
from serving.pages import PageRanker
from serving.served import Name, Served
from training import checkpoint as checkpoints
from training.fit import fit
from training.peers.wide import Wide
from training.update import plan, update


class Contender(Protocol):
    """What a living marketplace asks of an arm."""

    needs_histories: bool
    """Whether it looks at what users did before."""
    learns: bool
    """Whether it wants samples every night."""

    def arm(self, variant: str, audience: Audience | None, today: date) -> Arm:
        """The arm of a day; `audience` is there if it needs histories."""
        ...

    def learn(self, day: date) -> None:
        """What it makes of a night whose samples are published."""
        ...


class Policy:
    """The logging policy: popularity and noise."""

    needs_histories, learns = False, False

    def arm(self, variant: str, audience: Audience | None, today: date) -> Arm:
        """See `Contender`."""
        del audience, today
        return Arm(Stamp(variant=variant, line="policy"), PopularityWithNoise)

    def learn(self, day: date) -> None:
        """It counts clicks, which the marketplace does for it."""


class Version:
    """A version that is served, looked for anew every day.

    Args:
        find: the version of today.
        explores: share of its pages that are dealt at random.
    """

    needs_histories, learns = True, False

    def __init__(self, find: Callable[[], Served], explores: float) -> None:
        self.find, self.explores = find, explores

    def arm(self, variant: str, audience: Audience | None, today: date) -> Arm:
        """See `Contender`."""
        del today
        return _of_served(self.find(), variant, audience, self.explores)

    def learn(self, day: date) -> None:
        """Its line is updated and released by the night itself."""


class _Learner:
    """It is trained on some days, and learns every night.

    Args:
        settings: of the home in which it learns.
        first: its first training days.
        nightly: whether it learns after the first days.
    """

    needs_histories = True

    def __init__(self, settings: Settings, first: Sequence[date], *, nightly: bool = True) -> None:
        self.settings, self.first, self.learns = settings, tuple(first), nightly

    def _known(self, until: date) -> date:
        """The last day that it has learnt by then."""
        return until if self.learns else self.first[-1]


class Network(_Learner):
    """DUPN: updated every night, served from a bundle of the night before."""

    def arm(self, variant: str, audience: Audience | None, today: date) -> Arm:
        """See `Contender`."""
        settings, eve = self.settings, today - ONE_DAY
        key = self._key(eve)
        model = checkpoints.load_model(checkpoints.final(settings.store, key))
        zone = load_dataset(settings.dataset).time_zone
        with scratch_folder() as scratch:
            bundle = scratch / "bundle"
            bundles.write(bundle, model, settings.store, eve, key=key, zone=zone)
            disassembled.disassemble(bundle, scratch / "items")
            name = Name(version=key, line=settings.line, run=key)
            served = disassembled.load(bundle, scratch / "items", name)
        return _of_served(served, variant, audience, settings.living.exploration)

    def begin(self) -> None:
        """The first training, if it is not done yet."""
        settings = self.settings
        fit(
            settings.store, self.first, settings.model, settings.train, seed=settings.seed,
            run_name=self._key(self.first[-1]), progress=quiet,
        )  # fmt: skip

    def learn(self, day: date) -> None:
        """See `Contender`: the night's update, but for the held-out users."""
        settings, store = self.settings, self.settings.store
        known = [self.first[0] + ONE_DAY * n for n in range((day - self.first[0]).days + 1)]
        parent = checkpoints.final(store, self._key(day - ONE_DAY))
        update(
            store, plan(store, parent, day, settings.update, days=known),
            settings.train, settings.update, seed=settings.seed, run_name=self._key(day),
            progress=quiet,
        )  # fmt: skip

    def _key(self, until: date) -> str:
        return run_key.of(self.settings.line, self._known(until))


class Before(_Learner):
    """The predecessor: Wide and MaxEnt.

    Wide is kept under a name that tells what it was made of: with other settings, or of days that
    were published again, it is another, and it stays what it was while this one lives.
    """

    def __init__(self, settings: Settings, first: Sequence[date], *, nightly: bool = True) -> None:
        super().__init__(settings, first, nightly=nightly)
        self._made_of: dict[date, str] = {}

    def arm(self, variant: str, audience: Audience | None, today: date) -> Arm:
        """See `Contender`."""
        assert audience is not None
        eve = today - ONE_DAY
        answer = Predecessor(
            self._wide(eve), self._prices(eve), predecessor.desk(self.settings, eve)
        )
        ranker = PageArm(audience, answer.desk.world, answer)
        version = self._key(eve).rpartition("/")[2]
        return Arm(Stamp(variant=variant, model_version=version, line="predecessor"),
                   lambda _: ranker, self.settings.living.exploration)  # fmt: skip

    def begin(self) -> None:
        """The first training, if it is not done yet."""
        self._wide(self.first[-1])

    def learn(self, day: date) -> None:
        """See `Contender`: the whole day, once."""
        self._wide(day)

    def _wide(self, until: date) -> Wide:
        """What it is by then; learnt if it is not kept."""
        store, config, key = self.settings.store, self.settings.wide, self._key(until)
        content = store.get(key)
        if content is not None:
            return Wide.load(content, config)
        days = self._learnt_for(until)
        known = None if days == self.first else self._wide(days[0] - ONE_DAY)
        made = predecessor.learn(store, days, config, self.settings.seed, known)
        store.put(key, made.saved())
        return made

    def _prices(self, until: date) -> Prices:
        """On all days that it has learnt by then."""
        nights = (until - self.first[-1]).days if self.learns else 0
        days = [*self.first, *(self.first[-1] + ONE_DAY * n for n in range(1, nights + 1))]
        return Prices.on(self.settings.store, days, self.settings)

    def _learnt_for(self, until: date) -> tuple[date, ...]:
        """The days that make it what it is by then: the first ones together, else a night's."""
        known = self._known(until)
        return (known,) if known > self.first[-1] else self.first

    def _recipe(self, until: date) -> str:
        """Asked once: days that are published again meanwhile make no other of it."""
        days = self._learnt_for(until)
        if days[-1] not in self._made_of:
            known = "" if days == self.first else self._recipe(days[0] - ONE_DAY)
            settings = self.settings
            made_of = predecessor.recipe(settings.store, days, settings.wide, settings.seed, known)
            self._made_of[days[-1]] = made_of
        return self._made_of[days[-1]]

    def _key(self, until: date) -> str:
        return f"peers/wide-{self._learnt_for(until)[-1].isoformat()}-{self._recipe(until)}.npz"


def _of_served(served: Served, variant: str, audience: Audience | None, explores: float) -> Arm:
    assert audience is not None
    answer, columns = PageRanker(served.ranker).rank, served.profile_columns
    ranker = PageArm(audience, served.bundle.world, answer, columns)
    stamp = Stamp(variant=variant, model_version=served.name.version, line=served.name.line)
    return Arm(stamp, lambda _: ranker, explores)
