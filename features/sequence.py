"""The behaviour sequence of every user as carried state (Section 4.1).

`sequences(D)` is `sequences(D-1)` and the events that arrived on D, cut back to what any later
moment may need. A moment is published on the day in which its attribution window W closes, so
one that arrives after midnight may still lie W before it: per user the last 100 behaviours
before the horizon (midnight - W) and all after it are kept. Whatever is cut stands behind 100
newer ones for every moment to come, so days built one by one equal all days built at once.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from features.distinct import within
from features.schemas import SEQUENCE_LENGTH, SEQUENCES
from features.timeline import Codes, Ints, Packing, Timeline, Users, codes_of, strings
from infra.config import Config

CODED = ["user_id", "item_id", "request_id"]
"""Columns to be read as dictionaries."""

MomentsMode = Literal["auto", "pages", "derived"]


class SequencesConfig(Config):
    """What is carried from day to day, and what makes a moment."""

    window_minutes: float = Field(60.0, gt=0, le=20 * 60)
    """Attribution window W: actions up to W after a moment are its labels. Changing it between
    two days is refused, because open moments carry the old one."""

    moments: MomentsMode = "auto"
    """`pages`: a moment is an impression. `derived`: a moment is a click, for logs without
    impressions. `auto`: derived as long as no day up to this one had pages: those that `dupn serve`
    wrote count only if a behaviour of their day names one by `request_id`."""

    click_share: float = Field(1.0, gt=0, le=1)
    """Derived moments: share of clicks that become moments, drawn by hash."""

    pool_size: int = Field(262_144, ge=1)
    """Clicks of the day (drawn by hash) from which `samples` draws negatives."""

    @property
    def window_ms(self) -> int:
        """W in milliseconds."""
        return round(self.window_minutes * 60_000)


@dataclass(frozen=True)
class Merged:
    """Yesterday's history and the day's behaviours as one timeline."""

    timeline: Timeline
    duplicates: int
    """Behaviours of the day that the user's history holds already (same `key`)."""


def merge(
    history: pa.Table, behaviors: pa.Table, history_user: Codes, behavior_user: Codes, users: Users
) -> Merged:
    """History and behaviours in user and time order; of equal times, what arrived first is first.

    Args:
        history: columns of SEQUENCES, sorted.
        behaviors: columns of SEQUENCES out of BEHAVIORS, sorted.
        history_user: the number in `users` of each row of `history`.
        behavior_user: the same for `behaviors`.
        users: all users of the bucket.
    """
    both = [history, behaviors]
    items, requests = (
        codes_of(*(table.column(name) for table in both)) for name in ("item_id", "request_id")
    )
    user = np.concatenate([history_user, behavior_user])
    ts = np.concatenate([_milliseconds(table) for table in both])
    key = np.concatenate([table.column("key").to_numpy() for table in both])
    today = np.arange(len(user)) >= history.num_rows
    repeated = _repeated(key, today, user)
    pack = Packing.of(len(users), ts)
    order = np.argsort(pack(user, ts), kind="stable")
    if repeated.any():
        order = order[~repeated[order]]
    plain = {
        name: np.concatenate([table.column(name).to_numpy() for table in both])[order]
        for name in ("type", "scenario")
    }
    timeline = Timeline(
        user=user[order],
        ts=ts[order],
        item=items.codes[order],
        **plain,
        key=key[order],
        request=requests.codes[order],
        today=today[order],
        offsets=np.searchsorted(user[order], np.arange(len(users) + 1)),
        items=items.values,
        requests=requests.values,
    )
    return Merged(timeline, int(repeated.sum()))


def carry(timeline: Timeline, users: Users, horizon_ms: int) -> pa.Table:
    """The part of the timeline that later days may need, as SEQUENCES."""
    rank = np.arange(len(timeline.ts)) - timeline.offsets[timeline.user]
    all_users = np.arange(len(users), dtype=np.int32)
    start = timeline.first_at(all_users, np.full(len(users), horizon_ms, np.int64))
    settled = start - timeline.offsets[:-1]
    kept = timeline.take(rank >= (settled - SEQUENCE_LENGTH)[timeline.user])
    request = np.where(kept.ts >= horizon_ms, kept.request, -1)
    return pa.table(
        [
            pa.array(users.hashes[kept.user]),
            users.ids.take(pa.array(kept.user)),
            pa.array(kept.ts),
            kept.items.take(pa.array(kept.item)),
            pa.array(kept.type),
            pa.array(kept.scenario),
            pa.array(kept.key),
            strings(kept.requests, request),
        ],
        schema=SEQUENCES,
    )


def _milliseconds(table: pa.Table) -> Ints:
    return table.column("ts").cast(pa.int64()).to_numpy()


def _repeated(key: np.ndarray, today: np.ndarray, user: Codes) -> np.ndarray:
    repeated = np.zeros(len(key), bool)
    ordered = np.sort(key)
    twice = ordered[1:] == ordered[:-1]
    if not twice.any():
        return repeated
    suspects = np.flatnonzero(today & within(key, ordered[1:][twice]))
    if len(suspects):
        old = ~today & np.isin(key, key[suspects])
        pairs = set(zip(user[old].tolist(), key[old].tolist(), strict=True))
        hits = [(u, k) in pairs for u, k in zip(user[suspects], key[suspects], strict=True)]
        repeated[suspects] = hits
    return repeated
