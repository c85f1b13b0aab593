"""Labels: what the user did about a moment within its attribution window [ts, ts + W].

Pages join actions by request and item. CTR asks whether the item was clicked; L2R counts any
action, weighted by the strongest (equation 9); PPP asks at the query that led to a purchase for
its price level, never at the purchase itself, where the item already stands in the history.
Derived moments, for logs without impressions, join by item, and PPP is asked at the first touch
of the item in its session. SPP is asked once a user and day, at the user's first moment.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.schemas import BehaviorType
from features.timeline import Codes, Ints, Timeline

SESSION_GAP_MS = 30 * 60_000
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Pairs:
    """Candidates and the actions about them, one entry a pair."""

    candidate: Ints
    action: Ints


@dataclass(frozen=True)
class Outcome:
    """Per candidate, what happened within the window."""

    clicked: NDArray[np.int8]
    strongest: NDArray[np.int8]
    """A BehaviorType, 0 where nothing happened."""
    purchased: NDArray[np.int8]


def match(candidate_key: Ints, action_key: Ints) -> Pairs:
    """All pairs with equal keys; negative keys match nothing.

    Where a key has many candidates and many actions, their product is a lot: see `outcome`.
    """
    real = np.flatnonzero(action_key >= 0)
    order = real[np.argsort(action_key[real], kind="stable")]
    keys = action_key[order]
    left = np.searchsorted(keys, candidate_key, side="left")
    found = (candidate_key >= 0) & (left < len(keys))
    found[found] = keys[left[found]] == candidate_key[found]
    hit = np.flatnonzero(found)
    left = left[hit]
    count = np.searchsorted(keys, candidate_key[hit], side="right") - left
    offsets = np.cumsum(count) - count
    rows = np.arange(int(count.sum())) + np.repeat(left - offsets, count)
    return Pairs(np.repeat(hit, count), order[rows])


def outcome(
    candidate_key: Ints, moment_ts: Ints, action_key: Ints, timeline: Timeline, window_ms: int
) -> Outcome:
    """What the actions with a candidate's key add up to within its window, per candidate.

    Pairs are never made: a bot that clicks one item all day is as many candidates as actions.

    Args:
        candidate_key: negative ones match nothing.
        moment_ts: time of the moment of each candidate.
        action_key: of each row of the timeline; equal ones are of one user.
        timeline: where the actions are.
        window_ms: W; an action exactly W after the moment still counts.
    """
    spans = _within(candidate_key, moment_ts, action_key, timeline, window_ms)
    values = np.zeros((3, len(candidate_key)), np.int8)
    clicked, strongest, purchased = values
    kinds = timeline.type[spans.action]
    for kind in BehaviorType:  # weakest first
        before = np.append(0, np.cumsum(kinds == kind))
        some = spans.candidate[before[spans.stop] > before[spans.start]]
        strongest[some] = kind
        if kind == BehaviorType.CLICK:
            clicked[some] = 1
        elif kind == BehaviorType.PURCHASE:
            purchased[some] = 1
    return Outcome(clicked, strongest, purchased)


@dataclass(frozen=True)
class _Within:
    """Candidates that have actions, and of each the range [start, stop) of `action`."""

    candidate: Ints
    start: Ints
    stop: Ints
    action: Ints
    """Rows of the timeline."""


def _within(
    candidate_key: Ints, moment_ts: Ints, action_key: Ints, timeline: Timeline, window_ms: int
) -> _Within:
    none = np.empty(0, np.int64)
    asked = np.flatnonzero(candidate_key >= 0)
    if not len(asked):
        return _Within(none, none, none, none)
    first, last = moment_ts[asked].min(), moment_ts[asked].max() + window_ms
    ts = timeline.ts
    real = np.flatnonzero((action_key >= 0) & (ts >= first) & (ts <= last))
    # Stable: those of one key stay in time order, for they are of one user.
    action = real[np.argsort(action_key[real], kind="stable")]
    keys = action_key[action]
    new = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    distinct = keys[new]
    place = np.searchsorted(distinct, candidate_key[asked])
    found = place < len(distinct)
    found[found] = distinct[place[found]] == candidate_key[asked[found]]
    asked, place = asked[found], place[found]
    # Key and time as one integer that sorts like the pair: moments are of two days, so the number
    # of keys times the span does not come near 63 bits.
    width = last - first + 1
    packed = (np.cumsum(new) - 1) * width + (ts[action] - first)
    begin = place * width + (moment_ts[asked] - first)
    return _Within(
        candidate=asked,
        start=np.searchsorted(packed, begin, side="left"),
        stop=np.searchsorted(packed, begin + window_ms, side="right"),
        action=action,
    )


def first_touches(timeline: Timeline) -> Bools:
    """Rows at which a user touches an item for the first time in a session (30 minutes' pause)."""
    group = _visits(timeline)
    order = np.argsort(group, kind="stable")
    first = np.zeros(len(group), bool)
    ordered = group[order]
    new = np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]
    first[order[new]] = True
    return first


def led_to_purchase(timeline: Timeline, window_ms: int) -> Bools:
    """First touches, not purchases, that a purchase follows within W and in the same session."""
    group = _visits(timeline)
    first = first_touches(timeline)
    bought = np.flatnonzero(timeline.type == BehaviorType.PURCHASE)
    touch = np.flatnonzero(first & (timeline.type != BehaviorType.PURCHASE))
    pairs = match(group[touch], _only(group, bought))
    since = timeline.ts[pairs.action] - timeline.ts[touch[pairs.candidate]]
    answer = np.zeros(len(group), bool)
    answer[touch[pairs.candidate[(since > 0) & (since <= window_ms)]]] = True
    return answer


def preferred_shops(shop: Codes, kind: NDArray[np.int8], user: Codes) -> tuple[Codes, Codes]:
    """(user, shop) pairs that were bought from, bookmarked or clicked twice; sorted.

    Args:
        shop: vocabulary row of the shop of each behaviour; below 2 is nobody's.
        kind: its BehaviorType.
        user: its user.
    """
    known = shop >= 2
    pair = (user[known].astype(np.int64) << 32) | shop[known]
    distinct, inverse = np.unique(pair, return_inverse=True)
    strong = np.isin(kind[known], (BehaviorType.PURCHASE, BehaviorType.BOOKMARK))
    clicks = np.bincount(inverse[kind[known] == BehaviorType.CLICK], minlength=len(distinct))
    bought = np.bincount(inverse[strong], minlength=len(distinct))
    chosen = distinct[(bought > 0) | (clicks >= 2)]
    return (chosen >> 32).astype(np.int32), (chosen & 0xFFFFFFFF).astype(np.int32)


def _visits(timeline: Timeline) -> Ints:
    """One number per (user, session, item)."""
    if not len(timeline.ts):
        return np.empty(0, np.int64)
    pause = np.diff(timeline.ts, prepend=timeline.ts[0]) > SESSION_GAP_MS
    change = np.diff(timeline.user, prepend=timeline.user[0]) != 0
    session = np.cumsum(pause | change)
    return session * np.int64(len(timeline.items) + 1) + timeline.item


def _only(group: Ints, rows: Ints) -> Ints:
    keys = np.full(len(group), -1, np.int64)
    keys[rows] = group[rows]
    return keys
