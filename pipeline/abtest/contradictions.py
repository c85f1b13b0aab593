"""What the log of an experiment contradicts itself in: with a broken log nothing ships.

The counts that the job of read-outs leaves with each file become sentences here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from evaluation.abtest.always_valid import steady
from evaluation.abtest.experiment import Experiment
from features.abtest.readout import LARGEST
from infra.store import Partition
from pipeline.jobs import readout as job

TOLERATED = 0.001
"""Share of the pages in which the log may contradict itself."""


def broken(days: Sequence[Partition], experiment: Experiment) -> Iterator[str]:
    """A sentence for everything that the log of the days contradicts itself in."""
    counts = [one.manifest().counts for one in days]
    total = {
        name: sum(one.get(name, 0) for one in counts) for name in {n for c in counts for n in c}
    }
    pages = sum(total.get(f"pages_{arm}", 0) for arm in experiment.arms)
    for arm in experiment.arms:
        if dry := _dry(days, arm):
            yield f"no page of arm {arm} was logged on {', '.join(dry)}."
    told = {
        "misassigned": "carry another arm than the hash of their user gives",
        "other_line": "were answered by another line than their arm's",
        "too_late": "arrived after the day in which their window closed",
        "repeated_pages": "carry a request id that another page has",
    }
    for name, words in told.items():
        count = total.get(name, 0)
        if count > TOLERATED * max(pages, 1):
            yield f"{count:,} of {pages:,} pages {words}."
    untold = [
        one.key[-10:]
        for one, c in zip(days, counts, strict=True)
        if c.get("without_arm") and not any(f"armless_{arm}" in c for arm in experiment.arms)
    ]
    if untold:
        yield (
            f"{', '.join(untold)}: read out by an earlier release, which did not tell whose pages "
            "carry no arm. "
            f"Run `dupn abtest readout --id {experiment.id} --day {untold[0]}` again"
            f"{', and so for the others' if len(untold) > 1 else ''}."
        )
    yield from _lost_arms({**total, **_largest(days)}, len(days), experiment)


def _dry(days: Sequence[Partition], arm: str) -> list[str]:
    """Days on which an arm showed nothing.

    Those whose pages are lost are none: lost of all arms alike, it is a day less, and favours none.
    But where the arm has no page at all, there is no experiment.
    """
    shown = [bool(one.manifest().counts.get(f"pages_{arm}")) for one in days]
    return [
        one.key[-10:]
        for one, some in zip(days, shown, strict=True)
        if not some and not (any(shown) and job.is_without_pages(one))
    ]


def _largest(days: Sequence[Partition]) -> Mapping[str, int]:
    """Pages without an arm of the user of each arm who has most on a day, the days added up."""
    found = [job.largest(one) for one in days]
    return {name: sum(one.get(name, 0) for one in found) for name in {n for f in found for n in f}}


def _lost_arms(total: Mapping[str, int], days: int, experiment: Experiment) -> Iterator[str]:
    """A sentence for an arm whose users have too many of the pages that carry no arm.

    The log may hold pages of no experiment (another surface), and the hash deals their users out to
    the arms by its shares. More of one arm's than that are pages of the arm that lost it, and what
    is lost may depend on what came of it. A user's pages go together; those of his days may, so
    the sum of their squares is taken that often.
    """
    every = sum(total.get(f"armless_{arm}", 0) for arm in experiment.arms)
    squares = sum(total.get(f"armless_squares_{arm}", 0) for arm in experiment.arms)
    most = steady(experiment.trust.alpha, experiment.planned_days).multiplier(1.0)
    for arm, share in experiment.arms.items():
        found, due = total.get(f"armless_{arm}", 0), share * every
        chance = most * math.sqrt(share * (1 - share) * squares * days)
        chance += total.get(f"{LARGEST}{arm}", 0)  # who falls into a small arm by chance
        if found - due > max(chance, TOLERATED * total.get(f"pages_{arm}", 0)):
            yield (
                f"{found:,} pages without an arm are of users whom the hash gives {arm}, where "
                f"{due:,.0f} of the {every:,} would be by its share: pages of {arm} lost their arm."
            )
