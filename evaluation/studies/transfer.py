"""Figure 7: where the four ways to the shop task end, and how fast they get there."""

from collections.abc import Iterator, Sequence

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.results import Figure, Record
from evaluation.studies.asking import Score
from evaluation.studies.cells import (
    Cell,
    figure,
    figure_over,
    known,
    mean_difference,
    mean_of,
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


class Learnt(Record):
    """One way in one world."""

    way: Way
    trial: int
    """The point of the search that it was given."""
    score: Score
    curve: tuple[Step, ...]
    seconds: float

    @property
    def converged(self) -> float:
        """Moments that ask of a shop, learnt until the judging day's curve is near its best."""
        values = np.array([step.figures[MEASURE] for step in self.curve])
        near = 0.5 + NEAR * (values.max() - 0.5)
        return float(self.curve[int(np.argmax(values >= near))].moments)


class TransferCell(Cell):
    """A world."""

    seed: int
    learnt: tuple[Learnt, ...]
    known: Score
    """CTR of the network that the ways begin with: that it has learnt anything."""

    def way(self, way: Way) -> Learnt:
        """One of the four."""
        return next(one for one in self.learnt if one.way is way)


def figures(cells: Sequence[TransferCell]) -> Iterator[Figure]:
    """Ends, paired differences, and moments until near the end."""
    scores = {way: [cell.way(way).score for cell in cells] for way in Way}
    for way, mine in scores.items():
        end = mean_of(mine)
        said = words(known(mine), of=len(cells), interval=end)
        yield figure(f"transfer_{way}_{MEASURE}", end, "AUC", f"{ASKED}; {said}")
        moments = [Interval(cell.way(way).converged) for cell in cells]
        yield figure_over(
            f"transfer_{way}_converged",
            moments,
            "moments",
            f"that ask of a shop, learnt until {NEAR:.0%} of the way from chance to its own best "
            "on the judging day",
        )
    for one, other in PAIRS:
        gap = difference(cells, one, other)
        said = words(known(scores[one], scores[other]), of=len(cells), interval=gap)
        yield figure(
            f"transfer_{one}_over_{other}_{MEASURE}", gap, "AUC", f"{ASKED}, paired; {said}"
        )


def difference(cells: Sequence[TransferCell], one: Way, other: Way) -> Interval:
    """One way less another, paired."""
    return mean_difference(
        [cell.way(one).score for cell in cells], [cell.way(other).score for cell in cells]
    )


def goals(cells: Sequence[TransferCell]) -> list[str]:
    """FT and RA above RS and RT in the end; RT the fastest."""
    found = []
    for better in (Way.FT, Way.RA):
        for worse in (Way.RS, Way.RT):
            gap = difference(cells, better, worse)
            verdict = (
                f"above {worse.upper()}, clear of zero" if gap.low > 0
                else f"above {worse.upper()}, but not clear of zero" if gap.value > 0
                else f"not above {worse.upper()}"
            )  # fmt: skip
            found.append(
                f"{better.upper()} is {verdict}: {gap.value:+.4f} "
                f"({gap.low:+.4f} to {gap.high:+.4f})."
            )
    speed = {way: float(np.mean([c.way(way).converged for c in cells])) for way in Way}
    first = [way for way in Way if speed[way] == min(speed.values())]
    named = ", ".join(f"{way.upper()} {moments:,.0f}" for way, moments in speed.items())
    alone, among = first == [Way.RT], Way.RT in first
    verdict = "reached" if alone else "level with others" if among else "not reached"
    found.append(f"RT converges first: {verdict} (moments learnt that ask of a shop: {named}).")
    return found
