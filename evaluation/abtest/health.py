"""Errors and latency of the arms, by the hour: guardrails that no user's sums can show.

Requests of one hour share their fate (a restart, a burst), so an hour is what is independent here.
Both arms live through the same hours: the difference of their shares is estimated from pulls paired
by hour, which takes out what hits both. Latency is the share of requests over the declared budget,
a share like any other, so that no quantile needs a law. Each share is of the requests that say it:
where an arm logs no latency, or never whether a request failed, there is none. A log that marks
failures alone (nowhere `false`) says of all its other requests that they did not fail; where one
arm marks them alone and the other does not, their shares are of different things, and none is said.
"""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.abtest import always_valid
from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.effect import Bounds
from evaluation.metrics import Floats
from evaluation.results import Record

HEALTH = pa.schema(
    [
        pa.field("arm", pa.string(), nullable=False),
        pa.field("hour", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("requests", pa.int64(), nullable=False),
        pa.field("errors", pa.int64(), nullable=False),
        pa.field("slow", pa.int64(), nullable=False),  # over the latency budget
        pa.field("timed", pa.int64(), nullable=False),  # with a latency
        pa.field("reported", pa.int64(), nullable=False),  # that say whether they failed
    ]
)
FEWEST = 12
"""Hours that both arms say something of below which nothing is said."""
TITLES = {"errors": "share of failed requests", "slow": "share of slow requests"}
OF: Mapping[str, str] = {"errors": "reported", "slow": "timed"}
"""The requests that each share is of."""
DIFFERENT = (
    "logged in different ways: one arm marks failures alone, the other says it of each page."
)
ALIKE = "the same in every hour of both arms: there is no spread to judge by."
"""Mostly none: what did not happen in few hours may yet."""
LOGGED = {"errors": "`failed`", "slow": "`latency_ms`"}


class Harm(Record):
    """A share that should not rise."""

    name: str
    """`errors` or `slow`."""
    title: str
    control: float | None
    treatment: float | None
    rise: Bounds
    """Treatment minus control."""
    reason: str | None = None
    """Why there is no interval."""

    def exceeds(self, tolerated: float) -> bool:
        """The always-valid interval of the rise lies above what is tolerated."""
        return self.rise.low is not None and self.rise.low > tolerated


def harm(hours: pa.Table, name: str, arms: tuple[str, str], mixture: Mixture) -> Harm:
    """Rise of the share `name` among the requests that say it.

    Args:
        hours: rows of `HEALTH` up to the look.
        name: `errors` or `slow`.
        arms: control and treatment.
        mixture: the always-valid rule.
    """
    columns = {_whole(hours, name, arm) for arm in arms} - {""}
    column = columns.pop() if len(columns) == 1 else OF[name]
    bad, whole = (_by_hour(hours, one, arms) for one in (name, column))
    reason = DIFFERENT if columns else _too_little(name, whole, arms)
    if reason:
        nothing = Bounds(value=None)
        return Harm(
            name=name, title=TITLES[name], control=None, treatment=None, rise=nothing, reason=reason
        )
    both = (whole > 0).all(axis=1)
    bad, whole = bad[both], whole[both]
    totals = whole.sum(0)
    shares = bad.sum(0) / totals
    pulls = (bad - shares * whole) / totals  # per hour and arm
    paired = pulls[:, 1] - pulls[:, 0]
    n = len(paired)
    error = math.sqrt((paired**2).sum() * n / (n - 1))
    rise = float(shares[1] - shares[0])
    alike = rise == 0 and error == 0
    return Harm(
        name=name, title=TITLES[name], control=float(shares[0]), treatment=float(shares[1]),
        rise=Bounds(value=rise) if alike else _bounds(rise, error, mixture, n - 1),
        reason=ALIKE if alike else None,
    )  # fmt: skip


def _whole(hours: pa.Table, name: str, arm: str) -> str:
    """The column of the arm's requests that a share is of; "": it says nothing by which to tell."""
    mine = hours.filter(pc.equal(hours["arm"], arm))
    told, failed = (mine[column].to_numpy() for column in ("reported", "errors"))
    if name != "errors":
        return OF[name]
    if not told.any():
        return ""
    alone = (failed == told).all() and told.sum() < mine["requests"].to_numpy().sum()
    return "requests" if alone else OF[name]


def _too_little(name: str, whole: Floats, arms: tuple[str, str]) -> str | None:
    mute = [arm for arm, count in zip(arms, whole.sum(0), strict=True) if not count]
    if mute:
        return f"not logged: no page of {' or '.join(mute)} has {LOGGED[name]}."
    if int((whole > 0).all(axis=1).sum()) < FEWEST:
        return f"fewer than {FEWEST} hours in which both arms log it."
    return None


def _bounds(rise: float, error: float, mixture: Mixture, freedom: int) -> Bounds:
    if error == 0:  # each arm's own share, in every hour
        return Bounds(
            value=rise, low=rise, high=rise, fixed_low=rise, fixed_high=rise, alpha=mixture.alpha
        )
    always, once = (
        always_valid.student(z, freedom) * error  # a day's hours are few
        for z in (mixture.multiplier(error), always_valid.fixed(mixture.alpha))
    )
    return Bounds(
        value=rise, low=rise - always, high=rise + always,
        fixed_low=rise - once, fixed_high=rise + once, alpha=mixture.alpha,
    )  # fmt: skip


def _by_hour(hours: pa.Table, column: str, arms: tuple[str, str]) -> Floats:
    """Hours x arms."""
    place = np.unique(hours["hour"].cast(pa.int64()).to_numpy(), return_inverse=True)[1]
    number = int(place.max()) + 1 if len(place) else 0
    values = hours[column].to_numpy().astype(np.float64)
    columns = []
    for arm in arms:
        mine = pc.equal(hours["arm"], arm).to_numpy()
        columns.append(np.bincount(place[mine], values[mine], minlength=number))
    return np.stack(columns, axis=1)
