"""What attention looks at: by query, by type of behaviour and by its age (Section 6.4).

Arrays in, figures out. A weight is told in multiples of the uniform one: weight times the length of
the history, so that long and short histories can be averaged. Within a world intervals come from a
bootstrap that draws users, the same ones for every figure; over three worlds or more they are
Student's. Beside each reading of the paper's heat map stands what the log itself says: how often a
behaviour of that type and age lies in a category that the user clicks now. Attention can be asked
to follow that, not Taobao's habits.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from evaluation.bootstrap import Interval, Resamples
from evaluation.metrics import Floats
from evaluation.results import Figure, Record
from evaluation.settings import EvaluateConfig
from evaluation.studies.attention_map import (
    BUCKETS,
    CONTRASTS,
    FEWEST,
    FEWEST_USERS,
    TYPES,
    Side,
    Sums,
)
from evaluation.studies.cells import LEVEL, Cell, figure, figure_over
from evaluation.studies.histories import Histories, heaviest, heaviest_category, held_among_others


class Verdict(StrEnum):
    """Whether a reading of the paper's holds here."""

    YES = "yes"
    """Every contrast's interval is above zero."""
    NO = "no"
    """One is below."""
    UNDECIDED = "undecided"


READINGS: Mapping[str, tuple[str, ...]] = {
    "Purchases are the heaviest of all types": (
        "purchase_over_click", "purchase_over_cart", "purchase_over_bookmark",
    ),
    "Bookmarks are the lightest of all types": (
        "click_over_bookmark", "cart_over_bookmark", "purchase_over_bookmark",
    ),
    "Recent clicks are heavier than older ones": ("click_recent_over_older",),
    "Recent bookmarks are heavier than older ones": ("bookmark_recent_over_older",),
    "Very recent purchases are lighter than older ones": ("purchase_older_over_recent",),
    "Carts of the last five minutes are heavier than earlier ones": ("cart_live_over_later",),
}  # fmt: skip
"""What the paper reads off Figure 9, and the contrasts that it rests on."""


class Example(Record):
    """One user's history under several queries (Figure 8)."""

    user: str
    """Hash."""
    queries: tuple[str, ...]
    categories: tuple[str, ...]
    """Of the queries, in order."""
    place: tuple[int, ...]
    """Of each behaviour, oldest first: which of the categories it is in; -1: another."""
    weights: tuple[tuple[float, ...], ...]
    """Of each query, one a behaviour."""


class Seen(Cell):
    """What one world shows."""

    seed: int
    judged: dict[str, float]
    """The network's figures on the judging days (`ctr_auc`, ...)."""
    moments: int
    users: int
    known: int
    """Moments whose query's category is known from learnt days."""
    matched: int
    """Of those, the moments at which the history holds it, and another."""
    figures: tuple[Figure, ...]
    behaviours: tuple[tuple[int, ...], ...]
    """Counts of the map: types by buckets."""
    example: Example | None


class Reading(Record):
    """A sentence of the paper's, and how it fares."""

    claim: str
    verdict: Verdict
    same_time: Verdict | None
    """The same with ages made equal; null where ages are what is compared."""
    log: Verdict
    """Whether it holds of the log itself."""
    figures: tuple[str, ...]


@dataclass(frozen=True)
class Weights:
    """Of each behaviour of `Histories`, under the moment's query and under another user's."""

    own: Floats
    shuffled: Floats


def figures(found: Histories, weights: Weights, config: EvaluateConfig) -> Iterator[Figure]:
    """Everything that is measured of one world."""
    draws = Resamples.draw(found.users, config.replicates, config.seed, LEVEL)
    yield from _matches(found, weights, draws, config)
    relative = weights.own * found.length[found.owner]
    yield from _map("attention", "x uniform", _WEIGHT, Sums(found, relative, draws))
    asked = found.clicks[found.owner]
    log = Sums(found, found.clicked, draws, asked)
    yield from _map("attention_log", "share", _LOG, log)


_WEIGHT = "mean attention weight times the length of the history (1: uniform)"
_LOG = "share of behaviours in a category that is clicked at the moment; moments with a click"
_WHERE = "asked days' moments with a query and a history"


def _map(prefix: str, unit: str, words: str, sums: Sums) -> Iterator[Figure]:
    """Every cell, then the contrasts."""
    least = f"at least {FEWEST} behaviours of {FEWEST_USERS} users"
    for kind in TYPES:
        for place, bucket in enumerate(BUCKETS):
            interval = sums.mean(Side(kind, range(place, place + 1)).cells)
            about = f"{words}: {kind.name.lower()}, {bucket.title} before; {_WHERE}; {least}"
            yield figure(f"{prefix}_heat_{kind.name.lower()}_{bucket.key}", interval, unit, about)
    for one in CONTRASTS:
        name, about = f"{prefix}_{one.name}", f"{words}: {one.words}; {_WHERE}"
        heavier, lighter = one.heavier.cells, one.lighter.cells
        yield figure(name, sums.contrast(heavier, lighter), unit, f"{about}; {least} each")
        if one.of_types:
            about = f"{about}; ages made equal (those with {least} of both types)"
            yield figure(f"{name}_same_time", sums.same_time(heavier, lighter), unit, about)


def _matches(
    found: Histories, weights: Weights, draws: Resamples, config: EvaluateConfig
) -> Iterator[Figure]:
    """How often what is looked at most is what was asked for."""
    known, keep = found.wanted > 0, held_among_others(found)
    one, user = np.ones(found.moments), found.person
    share = draws.interval(float(known.mean()), draws.ratio(known, one, user))
    yield figure("attention_query_known", share, "share", f"the query's {_KNOWN}; {_WHERE}")
    even, newest = np.ones(len(found.owner)), np.arange(len(found.owner), dtype=np.float64)
    hits = {
        "": heaviest_category(found, weights.own),
        "_shuffled": heaviest_category(found, weights.shuffled),
        "_uniform": heaviest_category(found, even),
        "_recency": heaviest(found, newest),
        "_top_behaviour": heaviest(found, weights.own),
        "_top_behaviour_shuffled": heaviest(found, weights.shuffled),
    }
    enough = len(np.unique(user[keep])) >= config.min_users and keep.sum() >= config.min_positives
    kept = {
        name: (float(hit[keep].mean()), draws.ratio(hit[keep], one[keep], user[keep]))
        for name, hit in hits.items()
        if enough
    }
    about = f"{_WHERE}, whose query's {_KNOWN} and stands in the history beside others"
    for name, words in _SEEN.items():
        found_one = draws.interval(*kept[name]) if enough else Interval(np.nan)
        yield figure(f"attention_match{name}", found_one, "share", f"{words}; {about}")
    for name, (mine, theirs) in _OVER.items():
        gap = Interval(np.nan)
        if enough:
            (a, drawn_a), (b, drawn_b) = kept[mine], kept[theirs]
            gap = draws.interval(a - b, drawn_a - drawn_b)
        words = f"paired difference of attention_match{mine} and attention_match{theirs}"
        yield figure(f"attention_match{name}", gap, "share", f"{words}; {about}")


_KNOWN = "category (the one of most clicks after the same words on learnt days) is known"
_SEEN = {
    "": "share of moments at which the category with the most attention is the query's",
    "_shuffled": "the same with the query of another user's moment put in",
    "_uniform": "the same with uniform attention: the most frequent category",
    "_recency": "the same of the category of the last behaviour",
    "_top_behaviour": "the same of the category of the one heaviest behaviour",
    "_top_behaviour_shuffled": "the same with the query of another user's moment put in",
}
_OVER = {
    "_over_shuffled": ("", "_shuffled"),
    "_over_uniform": ("", "_uniform"),
    "_over_recency": ("", "_recency"),
    "_top_behaviour_over_shuffled": ("_top_behaviour", "_top_behaviour_shuffled"),
}


def together(worlds: Sequence[Seen]) -> list[Figure]:
    """Every figure over worlds; of one world its own."""
    found: dict[str, list[Figure]] = {}
    for world in worlds:
        for one in world.figures:
            found.setdefault(one.name, []).append(one)
    return [_over(figures) for figures in found.values()]


def _over(figures: Sequence[Figure]) -> Figure:
    first = figures[0]
    return figure_over(first.name, [_interval(one) for one in figures], first.unit, first.protocol)


def readings(figures: Mapping[str, Figure]) -> list[Reading]:
    """The paper's sentences, judged by figures of `together`."""
    kinds = {contrast.name: contrast.of_types for contrast in CONTRASTS}

    def judged(prefix: str, names: Sequence[str], suffix: str = "") -> Verdict:
        return verdict([figures[f"{prefix}_{name}{suffix}"] for name in names])

    return [
        Reading(
            claim=claim,
            verdict=judged("attention", names),
            same_time=judged("attention", names, "_same_time") if kinds[names[0]] else None,
            log=judged("attention_log", names),
            figures=tuple(f"attention_{name}" for name in names),
        )
        for claim, names in READINGS.items()
    ]


def verdict(contrasts: Sequence[Figure]) -> Verdict:
    """Yes if all are surely above zero, no if one is surely below."""
    if any(one.high is not None and one.high < 0 for one in contrasts):
        return Verdict.NO
    if all(one.low is not None and one.low > 0 for one in contrasts):
        return Verdict.YES
    return Verdict.UNDECIDED


def _interval(one: Figure) -> Interval:
    ends = (one.value, one.low, one.high)
    return Interval(*(np.nan if end is None else end for end in ends))
