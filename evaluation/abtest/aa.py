"""One simulated experiment looked at every day, and what different rules make of its looks.

The looks use the very functions of the read-out (`winsor`, `effect.contrasts`, `cuped`). Beside
them stands what is often done instead: treating impressions (for sales: visits) as if they, and
not users, had been drawn into arms.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np

from evaluation.abtest import always_valid, winsor
from evaluation.abtest.aa_world import AAWorld, Life, live
from evaluation.abtest.cuped import covariates
from evaluation.abtest.design import Design
from evaluation.abtest.effect import contrasts, too_little
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.sufficient import Users
from evaluation.metrics import NAN, Bools, Floats

METRIC_NAMES = ("ctr", "sales")
LOST = 0.2
"""Share of the treated whose rows get lost, where a sample-ratio mismatch is planted."""


class Rule(StrEnum):
    """When a winner (or loser) is declared; each has a nominal error of alpha."""

    ALWAYS = "always"
    """Always-valid interval, clustered, CUPED, at any look: the rule of `verdict`, by `Design`."""
    PLANNED = "planned"
    """The same where the error of each metric at the planned end was declared, from pilots."""
    ALWAYS_PLAIN = "always_plain"
    """The same without CUPED."""
    ONCE = "once"
    """Fixed-horizon interval, clustered, CUPED, at the planned end only."""
    DAILY = "daily"
    """The same, but looked at every day."""
    INDEPENDENT = "independent"
    """Fixed-horizon, every day, impressions (visits) taken as independent."""
    INDEPENDENT_ALWAYS = "independent_always"
    """Always-valid, but impressions (visits) taken as independent."""


class Way(StrEnum):
    """How a look was estimated."""

    ADJUSTED = "adjusted"
    PLAIN = "plain"
    INDEPENDENT = "independent"


WAYS = tuple(Way)
HOW: Mapping[Rule, Way] = {
    Rule.ALWAYS: Way.ADJUSTED,
    Rule.PLANNED: Way.ADJUSTED,
    Rule.ALWAYS_PLAIN: Way.PLAIN,
    Rule.ONCE: Way.ADJUSTED,
    Rule.DAILY: Way.ADJUSTED,
    Rule.INDEPENDENT: Way.INDEPENDENT,
    Rule.INDEPENDENT_ALWAYS: Way.INDEPENDENT,
}


@dataclass(frozen=True)
class Looks:
    """All looks of one experiment: metrics x ways x looks."""

    estimate: Floats
    """Log uplift."""
    error: Floats
    users: Floats
    """Looks x arms."""
    users_lost: Floats
    """The same after a share `LOST` of the treated got lost."""


def experiment(world: AAWorld, seed: np.random.SeedSequence, effect: float = 0.0) -> Looks:
    """One experiment's looks, after each of its days."""
    life = live(world, seed, effect)
    caps = winsor.caps(life.pre[0] * life.items_a_page, life.pre[3])
    found = np.full((2, len(METRIC_NAMES), len(WAYS), world.days), NAN)
    counts = np.zeros((world.days, 2))
    for look in range(world.days):
        users = life.until(look + 1)
        counts[look] = users.count(2)
        users = winsor.cut(users, caps)
        for place, name in enumerate(METRIC_NAMES):
            found[:, place, :2, look] = _clustered(users, name)
    for place, by_look in enumerate((_impressions(life), _visits(life))):
        found[:, place, 2, :] = by_look
    return Looks(found[0], found[1], counts, _lost(life, seed))


def _clustered(users: Users, name: str) -> Floats:
    """(estimate, error) x (adjusted, plain)."""
    metric = METRICS[name]
    part, whole = users.column(metric.counted), users.column(metric.whole)
    treated = users.arm == 1
    if too_little(part, whole, treated):
        return np.full((2, 2), NAN)
    found = contrasts(part, whole, treated, covariates(users))
    log = found.log_uplift
    raw = np.log(found.treatment / found.control)
    return np.array([[log.value, raw], [log.error, log.raw_error]])


def _impressions(life: Life) -> Floats:
    """(estimate, error) x looks of CTR, each impression an independent coin."""
    clicks = _by_arm(life, life.clicks)
    shown = _by_arm(life, life.pages) * life.items_a_page
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(clicks / shown)
        variance = 1 / clicks - 1 / shown
    return np.stack([log[1] - log[0], np.sqrt(variance.sum(0))])


def _visits(life: Life) -> Floats:
    """(estimate, error) x looks of sales, each day of a user an independent observation."""
    visits = _by_arm(life, life.visited.astype(np.float64))
    sums, squares = _by_arm(life, life.sales), _by_arm(life, life.sales**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums / visits
        variance = (squares / visits - mean**2) / visits / mean**2
        log = np.log(mean)
    return np.stack([log[1] - log[0], np.sqrt(variance.sum(0))])


def _by_arm(life: Life, column: Floats) -> Floats:
    """Arms x looks: running totals."""
    return np.stack([(column @ (life.arm == arm)).cumsum() for arm in (0, 1)])


def _lost(life: Life, seed: np.random.SeedSequence) -> Floats:
    """Users by look and arm, had some of the treated got lost."""
    draw = np.random.default_rng(
        np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, 1))
    )
    kept = (life.arm == 0) | (draw.random(len(life.arm)) >= LOST)
    seen = np.maximum.accumulate(life.visited & kept, axis=0)
    return np.stack([seen[:, life.arm == arm].sum(1) for arm in (0, 1)], axis=1).astype(np.float64)


def planned_errors(pilots: Sequence[Looks]) -> Floats:
    """Metrics x ways: mean error at the last look, as days before an experiment would tell it."""
    return np.asarray(np.nanmean([looks.error[:, :, -1] for looks in pilots], axis=0))


def declared(looks: Looks, metric: int, rule: Rule, planned: Floats, alpha: float) -> Bools:
    """Whether the rule declares a difference, at each look.

    Args:
        looks: of one experiment.
        metric: place in `METRIC_NAMES`.
        rule: which.
        planned: see `planned_errors`; only `Rule.PLANNED` asks.
        alpha: two-sided.
    """
    way = WAYS.index(HOW[rule])
    estimate, error = looks.estimate[metric, way], looks.error[metric, way]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.abs(estimate) / error
    if rule in (Rule.ONCE, Rule.DAILY, Rule.INDEPENDENT):
        bound = np.full(len(z), always_valid.fixed(alpha))
    else:
        name = METRIC_NAMES[metric]
        errors = {name: float(planned[metric, way])} if rule is Rule.PLANNED else {}
        mixture = _design(len(z), errors).mixture(name, alpha)
        bound = np.array([mixture.multiplier(float(one)) for one in error])
    if rule is Rule.ONCE:
        bound[:-1] = np.inf
    return np.asarray(z >= bound)


def _design(looks: int, planned_errors: Mapping[str, float]) -> Design:
    """The declaration of such an experiment: what `verdict` would go by."""
    return Design(
        arms={"control": 0.5, "treatment": 0.5}, first_day=date(2026, 1, 1), planned_days=looks,
        planned_errors=planned_errors,
    )  # fmt: skip
