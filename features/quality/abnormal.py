"""A day that looks like none before it: several times the volume, or another mix.

A sale day is not bad data, so it passes quality; but a model that learns it at full strength may
be worse on the day after. Judged from the tallies that `quality` has published, never from rows:
volume against the median of the days before, and the mix of types, scenarios and prices against
their median shares (total variation distance: the share of rows that would have to change).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

ENOUGH = 3
"""Days before without which nothing is said: a median of two is no habit."""

VOLUMES = ("behaviors", "samples")
MIXES = ("behaviors.type", "behaviors.scenario", "behaviors.price", "samples.scenario")

Tally = Mapping[str, float]
"""As `features.quality.figures` counts: `sum:<table>.rows`, `sum:<table>.<column>.mix.<value>`."""


@dataclass(frozen=True)
class Finding:
    """One way in which a day is unlike the days before it."""

    figure: str
    value: float
    limit: float
    sentence: str


def judge(
    today: Tally, before: Sequence[Tally], *, volume_ratio: float, mix_distance: float
) -> tuple[Finding, ...]:
    """Why a day is abnormal; empty if it is not, or if there are too few days to tell.

    Args:
        today: the day's tally; an empty one is of a day that nobody has judged.
        before: tallies of the days before it.
        volume_ratio: rows against the median from which (or from whose inverse) a day is abnormal.
        mix_distance: total variation distance from which it is.
    """
    if len(before) < ENOUGH or not today:
        return ()
    found = [_volume(name, today, before, volume_ratio) for name in VOLUMES]
    found += [_mix(name, today, before, mix_distance) for name in MIXES]
    return tuple(finding for finding in found if finding is not None)


def _volume(name: str, today: Tally, before: Sequence[Tally], limit: float) -> Finding | None:
    key = f"sum:{name}.rows"
    usual, rows = median(one.get(key, 0.0) for one in before), today.get(key, 0.0)
    if not usual or 1 / limit < rows / usual < limit:
        return None
    sentence = (
        f"{name} has {rows:,.0f} rows, {rows / usual:.2f} times the median of the "
        f"{len(before)} days before ({usual:,.0f})."
    )
    return Finding(f"{name}.volume_ratio", rows / usual, limit, sentence)


def _mix(name: str, today: Tally, before: Sequence[Tally], limit: float) -> Finding | None:
    prefix = f"sum:{name}.mix."
    now, then = _shares(today, prefix), [_shares(one, prefix) for one in before]
    then = [shares for shares in then if shares]
    if not now or len(then) < ENOUGH:
        return None
    names = sorted({*now, *(value for shares in then for value in shares)})
    usual = {value: median(shares.get(value, 0.0) for shares in then) for value in names}
    total = sum(usual.values()) or 1.0
    distance = sum(abs(now.get(value, 0.0) - usual[value] / total) for value in names) / 2
    if distance < limit:
        return None
    sentence = (
        f"the mix of {name} is {distance:.2f} away from that of the {len(then)} days before "
        f"(total variation distance; {limit:g} is abnormal)."
    )
    return Finding(f"{name}.mix_distance", distance, limit, sentence)


def _shares(tally: Tally, prefix: str) -> dict[str, float]:
    counts = {key.removeprefix(prefix): n for key, n in tally.items() if key.startswith(prefix)}
    total = sum(counts.values())
    return {value: n / total for value, n in counts.items()} if total else {}
