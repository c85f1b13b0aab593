"""Figure 7: where the four ways to the shop task end, and how fast they get there."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.results import Figure
from evaluation.studies.asking import Score
from evaluation.studies.cells import (
    Cell,
    figure,
    figure_over,
    known,
    mean_difference,
    mean_of,
    over_cells,
    over_each,
    words,
)
from evaluation.studies.contest import Step
from training.transfer import Way

MEASURE = "spp_auc"
ASKED = "spp on the asked days"
NEAR = 0.95
"""Share of the way from chance to its own best at which a run counts as converged."""
PAIRS = ((Way.FT, Way.RS), (Way.FT, Way.RT), (Way.RA, Way.RS), (Way.RA, Way.RT),
         (Way.FT, Way.RA), (Way.RS, Way.RT))  # fmt: skip


class KnownCell(Cell):
    """The network that RT and FT begin with, in a world."""

    seed: int
    score: Score
    """Its CTR on the asked days: that it has learnt anything."""


class WayCell(Cell):
    """One way in one world."""

    seed: int
    way: Way
    trial: int
    """The point of the search that it was given, of those that its network can tell apart."""
    score: Score
    curve: tuple[Step, ...]
    seconds: float

    @property
    def converged(self) -> float:
        """Moments that ask of a shop, learnt until the judging day's curve is near its best.

        NaN where that is not above chance: what learnt nothing was not the first to have learnt it.
        """
        values = np.array([step.figures[MEASURE] for step in self.curve])
        if not values.max() > 0.5:
            return float("nan")
        near = 0.5 + NEAR * (values.max() - 0.5)
        return float(self.curve[int(np.argmax(values >= near))].moments)

    def after(self, moments: float) -> float:
        """The judging day's measure after so many; between judgements curves are straight.

        NaN before the first one and after the last.
        """
        learnt = [step.moments for step in self.curve]
        values = [step.figures[MEASURE] for step in self.curve]
        return float(np.interp(moments, learnt, values, left=np.nan, right=np.nan))


@dataclass(frozen=True)
class Transferred:
    """A world: what was known, and all ways."""

    known: KnownCell
    learnt: tuple[WayCell, ...]

    @property
    def seed(self) -> int:
        """Of the world."""
        return self.known.seed

    def way(self, way: Way) -> WayCell:
        """One of the four."""
        return next(one for one in self.learnt if one.way is way)


def figures(worlds: Sequence[Transferred]) -> Iterator[Figure]:
    """Ends, paired differences, and moments until near the end."""
    scores = {way: [world.way(way).score for world in worlds] for way in Way}
    for way, mine in scores.items():
        end = mean_of(mine)
        said = words(known(mine), of=len(worlds), interval=end)
        yield figure(f"transfer_{way}_{MEASURE}", end, "AUC", f"{ASKED}; {said}")
        moments = [Interval(world.way(way).converged) for world in worlds]
        yield figure_over(
            f"transfer_{way}_converged",
            moments,
            "moments",
            f"that ask of a shop, learnt until {NEAR:.0%} of the way from chance to its own best "
            "on the judging day",
        )
    for one, other in PAIRS:
        gap = difference(worlds, one, other)
        said = words(known(scores[one], scores[other]), of=len(worlds), interval=gap)
        yield figure(
            f"transfer_{one}_over_{other}_{MEASURE}", gap, "AUC", f"{ASKED}, paired; {said}"
        )


def difference(worlds: Sequence[Transferred], one: Way, other: Way) -> Interval:
    """One way less another, paired."""
    return mean_difference(
        [world.way(one).score for world in worlds], [world.way(other).score for world in worlds]
    )


def lead(worlds: Sequence[Transferred], way: Way, judgement: int, over: Way = Way.RS) -> Interval:
    """One way less another on the judging day, after equally many moments, paired.

    Args:
        worlds: with all ways each.
        way: which.
        judgement: of RS, counted from 1; a way that is judged for the first time a few moments
            later is compared there. NaN: in a world RS was not judged so often, or one of both not
            so late.
        over: the other.
    """
    gaps = []
    for world in worlds:
        one, other, scratch = world.way(way), world.way(over), world.way(Way.RS)
        if judgement > len(scratch.curve):
            return Interval(float("nan"))
        first = max(one.curve[0].moments, other.curve[0].moments)
        at = max(scratch.curve[judgement - 1].moments, first)
        gaps.append(Interval(one.after(at) - other.after(at)))
    return over_each(gaps)


def goals(worlds: Sequence[Transferred]) -> list[str]:
    """FT and RA above RS and RT in the end; RT the fastest."""
    found = []
    for better in (Way.FT, Way.RA):
        for worse in (Way.RS, Way.RT):
            gap = difference(worlds, better, worse)
            verdict = (
                f"above {worse.upper()}, clear of zero" if gap.low > 0
                else f"above {worse.upper()}, but not clear of zero" if gap.value > 0
                else f"not above {worse.upper()}"
            )  # fmt: skip
            found.append(
                f"{better.upper()} is {verdict}: {gap.value:+.4f} "
                f"({gap.low:+.4f} to {gap.high:+.4f})."
            )
    return [*found, _first(worlds)]


def convergence(worlds: Sequence[Transferred], way: Way) -> float:
    """Mean of `WayCell.converged`; NaN where it is not known of each world."""
    return float(np.mean([world.way(way).converged for world in worlds]))


def _first(worlds: Sequence[Transferred]) -> str:
    """Whether RT needs surely fewer moments than every other way."""
    speed = {way: convergence(worlds, way) for way in Way}
    nowhere = [way.upper() for way, moments in speed.items() if np.isnan(moments)]
    if nowhere:
        return (
            f"RT converges first: not known, since {' and '.join(nowhere)} did not get above "
            "chance in each world."
        )
    named = ", ".join(f"{way.upper()} {moments:,.0f}" for way, moments in speed.items())
    others = [way for way in Way if way is not Way.RT]
    unsure = [way.upper() for way in others if not _ahead(worlds, Way.RT, way).high < 0]
    by_mean = speed[Way.RT] == min(speed.values())
    verdict = (
        "reached, clear of zero" if not unsure
        else f"by the mean, but not clear of zero against {', '.join(unsure)}" if by_mean
        else "not reached"
    )  # fmt: skip
    return (
        f"RT converges first: {verdict} (moments learnt that ask of a shop: {named}; of a way that "
        "the epochs cut off, at least as many)."
    )


def _ahead(worlds: Sequence[Transferred], way: Way, other: Way) -> Interval:
    """Moments that one way needs less those of the other, paired."""
    gaps = [world.way(way).converged - world.way(other).converged for world in worlds]
    return over_cells([Interval(gap) for gap in gaps])
