"""`dupn abtest aa`: thousands of experiments in which we know what is true.

A/A experiments: nothing differs, and whatever a rule declares is an error. Planted effects: what a
rule misses is its lack of power. Every experiment has a seed of its own, so that results do not
depend on the number of processes; planted effects of one number share people and visits.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import combinations, product
from multiprocessing import get_context

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # ships no types

from evaluation.abtest import aa, checks
from evaluation.abtest.aa import METRIC_NAMES, WAYS, Looks, Rule, Way
from evaluation.abtest.aa_world import AAWorld
from evaluation.metrics import Floats
from evaluation.results import Figure, finite
from infra import cores
from infra.orphans import end_with_parent

ALPHA, SRM_ALPHA, CHUNK = 0.05, 0.001, 5
WORLD = AAWorld()
POWER_RULES = (Rule.ALWAYS, Rule.PLANNED, Rule.ALWAYS_PLAIN, Rule.ONCE)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How much is simulated."""

    experiments: int = 2_000
    """A/A."""
    world: AAWorld = WORLD
    effects: tuple[float, ...] = (0.01, 0.02, 0.03, 0.04, 0.05)
    """Planted, relative, on clicks."""
    power_experiments: int = 120
    """Of each effect."""
    power_users: int = 40_000
    pilots: int = 40
    """Experiments that only say what error to plan with, as days before an experiment would."""

    @property
    def power_world(self) -> AAWorld:
        """A larger crowd of the same people."""
        return replace(self.world, users=self.power_users)

    @property
    def total(self) -> int:
        """Experiments in all."""
        both = 2 if self.effects else 1
        return self.experiments + both * self.pilots + len(self.effects) * self.power_experiments


QUICK = Shape(
    experiments=40,
    world=AAWorld(users=3_000),
    effects=(0.05,),
    power_experiments=10,
    power_users=3_000,
    pilots=10,
)
"""Only shows that it runs; on its first day an arm must have `effect.FEWEST` users, and
`effect.FEWEST_HAVING` of them an order."""


@dataclass(frozen=True)
class Job:
    """Some experiments of one kind."""

    world: AAWorld
    effect: float
    seeds: tuple[np.random.SeedSequence, ...]


def run(
    shape: Shape,
    seed: int = 7,
    workers: int | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Figure]:
    """Simulate and say what came of it.

    Args:
        shape: how much.
        seed: of everything.
        workers: processes; None: one per core. 1: this one.
        advance: told how many experiments have just ended.
    """
    with _Pool(workers or cores.usable(), advance) as pool:
        return _run(shape, np.random.SeedSequence(seed).spawn(4), pool)


def _run(shape: Shape, purposes: Sequence[np.random.SeedSequence], pool: "_Pool") -> list[Figure]:
    pilots = pool.looks(shape.world, 0.0, purposes[0].spawn(shape.pilots))
    null = pool.looks(shape.world, 0.0, purposes[1].spawn(shape.experiments))
    planned = aa.planned_errors(pilots)
    found = [*_errors(null, planned, shape), *_correlations(null), *_mismatches(null, shape)]
    if shape.effects:
        pilots = pool.looks(shape.power_world, 0.0, purposes[2].spawn(shape.pilots))
        planned = aa.planned_errors(pilots)
        seeds = purposes[3].spawn(shape.power_experiments)
        for effect in shape.effects:
            planted = pool.looks(shape.power_world, effect, seeds)
            found.extend(_powers(planted, planned, effect, shape))
    return found


@dataclass
class _Pool:
    """Answers jobs in order; with one worker in this process."""

    workers: int
    advance: Callable[[int], None]
    processes: ProcessPoolExecutor | None = None

    def __enter__(self) -> "_Pool":
        if self.workers > 1:
            self.processes = ProcessPoolExecutor(
                self.workers, mp_context=get_context("spawn"), initializer=end_with_parent
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.processes is not None:
            self.processes.shutdown(cancel_futures=True)

    def looks(
        self, world: AAWorld, effect: float, seeds: Sequence[np.random.SeedSequence]
    ) -> list[Looks]:
        found: list[Looks] = []
        jobs = [
            Job(world, effect, tuple(seeds[at : at + CHUNK])) for at in range(0, len(seeds), CHUNK)
        ]
        for done in self.processes.map(do, jobs) if self.processes else map(do, jobs):
            self.advance(len(done))
            found.extend(done)
        return found


def do(job: Job) -> list[Looks]:
    """Run a job; one thread, as there is a process per core."""
    with threadpool_limits(1):
        return [aa.experiment(job.world, seed, job.effect) for seed in job.seeds]


def _errors(null: Sequence[Looks], planned: Floats, shape: Shape) -> Iterator[Figure]:
    world = f"{shape.world.users:,} persistent, returning, heavy-tailed users"
    for metric, name in enumerate(METRIC_NAMES):
        for rule in Rule:
            hits = sum(aa.declared(looks, metric, rule, planned, ALPHA).any() for looks in null)
            yield share(
                f"abtest_aa_{name}_{rule}", int(hits), len(null),
                f"A/A experiments in which it ever declares a difference, nominal {ALPHA:g}; "
                f"{world}, {shape.world.days} daily looks",
            )  # fmt: skip


def _correlations(null: Sequence[Looks]) -> Iterator[Figure]:
    """How much more alike two looks' z are than a Brownian motion's in information time."""
    for metric, way in product(range(len(METRIC_NAMES)), (Way.ADJUSTED, Way.PLAIN)):
        error = np.stack([looks.error[metric, WAYS.index(way)] for looks in null])
        z = np.stack([looks.estimate[metric, WAYS.index(way)] for looks in null]) / error
        kept = np.isfinite(z).all(1)
        seen, typical = np.corrcoef(z[kept].T), np.median(error[kept], axis=0)
        pairs = list(combinations(range(len(typical)), 2))
        excess = [float(seen[s, t] - min(typical[t] / typical[s], 1.0)) for s, t in pairs]
        yield Figure(
            name=f"abtest_aa_{METRIC_NAMES[metric]}_{way}_correlation_excess",
            value=finite(float(np.mean(excess))),
            unit="correlation",
            protocol="of z between looks, less that of a Brownian motion in information time; "
            f"mean over {len(pairs)} pairs of looks, smallest {min(excess):+.3f}, "
            f"largest {max(excess):+.3f}",
        )


def _mismatches(null: Sequence[Looks], shape: Shape) -> Iterator[Figure]:
    shares = (1 - shape.world.treated, shape.world.treated)
    for suffix, counts in (
        ("false", [looks.users for looks in null]),
        ("found", [looks.users_lost for looks in null]),
    ):
        what = "nothing lost" if suffix == "false" else f"{aa.LOST:.0%} of the treated lost"
        told = f"chi-square at {SRM_ALPHA:g}; {what}; {shape.world.users:,} users"
        p = checks.chi_square_p(np.stack(counts), shares)
        ever = (checks.anytime_p(np.stack(counts), shares) < SRM_ALPHA).any(1)
        once, daily = int((p[:, -1] < SRM_ALPHA).sum()), int((p < SRM_ALPHA).any(1).sum())
        yield share(f"abtest_srm_once_{suffix}", once, len(counts), f"{told}, at the end")
        yield share(f"abtest_srm_daily_{suffix}", daily, len(counts), f"{told}, every day")
        anytime = f"anytime test at {SRM_ALPHA:g}, every day; {what}"
        yield share(f"abtest_srm_always_{suffix}", int(ever.sum()), len(counts), anytime)
        if suffix == "false":
            loose = int((p[:, -1] < ALPHA).sum())
            told = f"chi-square at {ALPHA:g} at the end; nothing lost"
            yield share("abtest_srm_once_false_5pc", loose, len(counts), told)


def _powers(
    planted: Sequence[Looks], planned: Floats, effect: float, shape: Shape
) -> Iterator[Figure]:
    for metric, name in enumerate(METRIC_NAMES):
        for rule in POWER_RULES:
            hits = sum(_won(looks, metric, rule, planned) for looks in planted)
            yield share(
                f"abtest_power_{name}_{rule}_{effect * 100:g}pc", hits, len(planted),
                f"experiments in which it declares a winner; clicks {effect:+.0%}, "
                f"{shape.power_users:,} users, {shape.world.days} daily looks",
            )  # fmt: skip


def _won(looks: Looks, metric: int, rule: Rule, planned: Floats) -> bool:
    """Whether the first difference that is declared is a gain."""
    said = np.flatnonzero(aa.declared(looks, metric, rule, planned, ALPHA))
    way = WAYS.index(aa.HOW[rule])
    return bool(len(said) and looks.estimate[metric, way, said[0]] > 0)


def share(name: str, hits: int, of: int, protocol: str) -> Figure:
    """A share with Clopper and Pearson's exact 95 % interval."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, of, alpha=0.05, method="beta")
    return Figure(
        name=name, value=hits / of, low=float(low), high=float(high), unit="share",
        protocol=f"{protocol}; {hits} of {of}, Clopper-Pearson 95 %",
    )  # fmt: skip
