"""Where negatives come from, in words: the samples of a day say by which protocol they were drawn.

A figure means nothing without it: against items drawn evenly from the catalog, popularity alone
scores high, and against what others clicked that day it scores one half.
"""

from collections.abc import Sequence
from datetime import date
from itertools import groupby

from evaluation.measures import is_derived
from evaluation.questions import Candidates
from features.schemas import CandidateOrigin
from infra.store import Store

HOW = {
    "same-day": "drawn from what other users clicked that day",
    "uniform": "drawn from the catalog, each item as likely as any",
    "popularity": "drawn from the catalog, as likely as clicked on the days before",
    "mimn": "one for each click, drawn from the catalog, each item as likely as any",
}
"""By `samples.negatives`."""
BY_CATEGORY = "same-day"
"""The protocol that knows two kinds: of any category, and of the positive's."""


def protocol(store: Store, day: date) -> str:
    """By which protocol the negatives of `samples/dt=day` came about; "" where nobody wrote it."""
    return str(store.partition("samples", day).manifest().lineage.get("negatives", ""))


def others(store: Store, days: Sequence[date], asked: str) -> str:
    """Which of some days have negatives of another protocol than `asked`; "" if none has."""
    known = ((one, protocol(store, one)) for one in days)
    runs = [(name, [day for day, _ in run]) for name, run in groupby(known, lambda one: one[1])]
    told = [
        f"{name} on {run[0]}" + (f" to {run[-1]}" if len(run) > 1 else "")
        for name, run in runs
        if name not in ("", asked)
    ]
    return ", ".join(told)


def figure(candidates: Candidates, negatives: str) -> str:
    """Moments and negatives of a headline figure, for its protocol."""
    if not is_derived(candidates):
        return "impressions as shown"
    words = f"{negatives} any" if negatives == BY_CATEGORY else negatives
    return f"derived moments, {words}" if words else "derived moments"


def harder(negatives: str) -> str:
    """The same of a figure against negatives of the positive's category."""
    return f"derived moments, {negatives} same-category".replace("  ", " ")


def sentence(candidates: Candidates, negatives: str) -> str:
    """What a report says of the negatives that its figures rest on."""
    if not is_derived(candidates):
        return "shown and not clicked"
    if not negatives:
        return "drawn; the samples do not say how"
    how = f"{negatives}: {HOW.get(negatives, 'drawn')}"
    return f"{how} ({'; beside it '.join(_kinds(candidates))})" if negatives == BY_CATEGORY else how


def _kinds(candidates: Candidates) -> list[str]:
    origin = candidates.origin
    kinds = {
        "any category": CandidateOrigin.SAME_DAY,
        "the same category": CandidateOrigin.SAME_CATEGORY,
    }
    return [name for name, kind in kinds.items() if (origin == kind).any()] or ["none"]
