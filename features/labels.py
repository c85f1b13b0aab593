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
    """All pairs with equal keys; negative keys match nothing."""
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
    pairs: Pairs, timeline: Timeline, candidates: int, moment_ts: Ints, window_ms: int
) -> Outcome:
    """What the actions within the window add up to, per candidate.

    Args:
        pairs: candidates and rows of the timeline.
        timeline: where the actions are.
        candidates: how many there are.
        moment_ts: time of the moment of each candidate.
        window_ms: W; an action exactly W after the moment still counts.
    """
    start = moment_ts[pairs.candidate]
    ts = timeline.ts[pairs.action]
    within = (ts >= start) & (ts <= start + window_ms)
    who, kind = pairs.candidate[within], timeline.type[pairs.action[within]]
    strongest = np.zeros(candidates, np.int8)
    np.maximum.at(strongest, who, kind)
    clicked, purchased = np.zeros(candidates, np.int8), np.zeros(candidates, np.int8)
    clicked[who[kind == BehaviorType.CLICK]] = 1
    purchased[who[kind == BehaviorType.PURCHASE]] = 1
    return Outcome(clicked, strongest, purchased)


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
