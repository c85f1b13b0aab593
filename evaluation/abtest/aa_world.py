"""A world for A/A experiments: persistent, returning, heavy-tailed users, drawn afresh each time.

Not the marketplace, which knows pages and items: here only what makes the statistics of experiments
hard, two thousand times over. How often a user comes, how much he looks at, how readily he clicks
and buys, and what he pays are his own, lognormal over users, and stay his own before and during the
experiment; his mood carries over from day to day, so that days are alike beyond that. Orders have
lognormal prices on top. A share of the users is new on the first day and has no pre-period.

The treatment multiplies the chance of a click; orders and sales follow from clicks.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from evaluation.abtest.sufficient import Users
from evaluation.metrics import Bools, Floats


@dataclass(frozen=True, kw_only=True)
class AAWorld:
    """Laws of the users; spreads are standard deviations of logs."""

    users: int = 4_000
    """Who might come; about nine in ten do within two weeks."""
    treated: float = 0.5
    """Share of them."""
    days: int = 14
    pre_days: int = 14
    new_share: float = 0.25
    """Without a pre-period."""
    visits: float = 0.25
    """Median rate of visits a day."""
    visits_spread: float = 1.0
    pages: float = 2.0
    """Median number of pages of a visit beyond the first."""
    pages_spread: float = 1.0
    pages_shape: float = 1.5
    """Of the gamma law that makes pages of a visit negative binomial."""
    items_a_page: int = 10
    click: float = 0.04
    """Median chance that a shown item is clicked."""
    click_spread: float = 0.6
    buy: float = 0.08
    """Median chance that a clicked item is bought."""
    buy_spread: float = 0.7
    price: float = 20.0
    """Median, in money."""
    price_spread: float = 0.6
    """Between users."""
    order_spread: float = 0.9
    """Between orders of a user."""
    mood_spread: float = 0.3
    mood_memory: float = 0.7
    """Correlation of one day's mood with the next's."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """What happened in the experiment: days x users; and sums of the days before."""

    arm: NDArray[np.int8]
    pages: Floats
    clicks: Floats
    orders: Floats
    sales: Floats
    pre: Floats
    """(pages, clicks, orders, sales) x users."""
    items_a_page: int

    @property
    def visited(self) -> Bools:
        """Days x users."""
        return np.asarray(self.pages > 0)

    @cached_property
    def _totals(self) -> Floats:
        """Columns x days x users, running."""
        return np.stack([self.pages, self.clicks, self.orders, self.sales]).cumsum(axis=1)

    def until(self, days: int) -> Users:
        """The users seen in the first `days` days, with their sums."""
        seen = np.flatnonzero(self._totals[0, days - 1])
        pages, clicks, orders, sales = self._totals[:, days - 1, seen]
        before = self.pre[:, seen]
        nothing = np.zeros(len(seen))
        return Users(
            user=seen.astype(np.uint64), arm=self.arm[seen], pages=pages,
            impressions=pages * self.items_a_page, clicks=clicks, orders=orders, sales=sales,
            ppp_asked=nothing, ppp_right=nothing, pre_impressions=before[0] * self.items_a_page,
            pre_clicks=before[1], pre_orders=before[2], pre_sales=before[3],
            seen_before=(before[0] > 0).astype(np.float64),
        )  # fmt: skip


def live(world: AAWorld, seed: np.random.SeedSequence, effect: float = 0.0) -> Life:
    """One experiment's users.

    Args:
        world: the laws.
        seed: of this experiment; the same seed with another effect has the same people and visits.
        effect: relative, on the chance of a click of the treated during the experiment.
    """
    rng = np.random.Generator(np.random.SFC64(seed))
    n, total = world.users, world.pre_days + world.days
    own = np.exp(
        rng.standard_normal((5, n))
        * [[world.visits_spread], [world.pages_spread], [world.click_spread],
           [world.buy_spread], [world.price_spread]]
    )  # fmt: skip
    arm = np.sort(rng.random(n) < world.treated).astype(
        np.int8
    )  # users are alike: an order is free, and fast
    coming = rng.random((n, total)) < -np.expm1(-world.visits * own[0])[:, None]
    coming[rng.random(n) < world.new_share, : world.pre_days] = False
    mood = np.exp(world.mood_spread * _moods(rng, n, total, world.mood_memory))
    who, day = np.nonzero(coming)
    pages = 1 + rng.poisson(
        world.pages * own[1][who] * rng.standard_gamma(world.pages_shape, len(who))
        / world.pages_shape
    )  # fmt: skip
    treated = (arm[who] == 1) & (day >= world.pre_days)
    chance = world.click * own[2][who] * mood[who, day] * np.where(treated, 1 + effect, 1.0)
    clicks = rng.binomial(pages * world.items_a_page, np.minimum(chance, 0.9))
    orders = rng.binomial(clicks, np.minimum(world.buy * own[3][who], 0.9))
    visit = np.repeat(np.arange(len(who)), orders)
    paid = np.exp(world.order_spread * rng.standard_normal(len(visit)))
    sales = np.bincount(visit, paid, minlength=len(who)) * world.price * own[4][who]
    columns = np.zeros((4, total, n))
    for column, value in zip(columns, (pages, clicks, orders, sales), strict=True):
        column[day, who] = value
    during, pre = columns[:, world.pre_days :], columns[:, : world.pre_days].sum(axis=1)
    return Life(
        arm=arm, pages=during[0], clicks=during[1], orders=during[2], sales=during[3], pre=pre,
        items_a_page=world.items_a_page,
    )  # fmt: skip


def _moods(rng: np.random.Generator, users: int, days: int, memory: float) -> Floats:
    """Stationary first-order autoregressions, standard normal on each day."""
    noise = rng.standard_normal((users, days))
    noise[:, 1:] *= np.sqrt(1 - memory**2)
    return np.asarray(lfilter([1.0], [1.0, -memory], noise, axis=1))
