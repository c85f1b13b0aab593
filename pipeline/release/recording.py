"""Recorded questions: moments of an evaluated day as a caller would ask them, with their scores.

The question is put together from raw ids (yesterday's sequences, the day's events and snapshots),
not from the samples, so the canary holds the whole path from raw ids to scores against evaluation.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from evaluation.predictions import Predictions
from features import held
from features.carry import ONE_DAY
from features.profiles import Hashes
from features.property import LocalClock
from features.questions.moments import page_ids
from features.schemas import MS, BehaviorType, Scenario
from infra.errors import PartitionMissing
from infra.store import Partition, Store

HISTORY = ["user_id", "ts", "item_id", "type", "scenario", "key"]


def record(
    store: Store, day: date, zone: str, answered: Predictions, count: int
) -> list[dict[str, Any]]:
    """Up to `count` moments of the day with candidates, evenly spread over the users.

    Reads the histories of the chosen users only.
    """
    candidates = answered.questions.candidates
    clock = LocalClock(zone)
    ts = answered.questions.moments.ts
    own_day = (ts >= clock.midnight_ms(day)) & (ts < clock.end_ms(day))
    asked = np.unique(candidates.moment)
    asked = asked[own_day[asked]]
    if not len(asked):
        return []
    chosen = asked[np.unique(np.linspace(0, len(asked) - 1, min(count, len(asked))).astype(int))]
    rows = _sample_rows(store, day, answered.questions.moments.sample_id[chosen])
    users = pc.unique(rows["user_id"])
    past = _past(store, day, users)
    profiles = _profiles(store, day, users)
    pages = _pages(store, day, users)
    names = _item_ids(store, day, np.unique(candidates.item[np.isin(candidates.moment, chosen)]))
    out = []
    for moment, row in zip(chosen, rows.to_pylist(), strict=True):  # a few dozen
        here = candidates.moment == moment
        question = {
            "user_id": row["user_id"],
            "ts": _iso(int(ts[moment])),
            "scenario": Scenario(row["scenario"]).name.lower(),
            "query": pages.get(row["sample_id"]),
            "profile": profiles.get(row["user_id"], {}),
            "history": _before(past, row["user_id"], int(ts[moment])),
            "candidates": [names[int(item)] for item in candidates.item[here]],
        }
        out.append(
            {
                "sample_id": row["sample_id"],
                "question": question,
                "ctr": answered.answers.ctr[here].astype(float).tolist(),
                "l2r": answered.answers.l2r[here].astype(float).tolist(),
            }
        )
    return out


def askers(store: Store, day: date, zone: str) -> Iterator[Hashes]:
    """Hashes of users with a moment of the day that has candidates, file by file of its samples.

    Candidates of the evening before, which the day's samples have too, are not recorded.
    """
    after = pa.scalar(LocalClock(zone).midnight_ms(day), pa.int64()).cast(MS)
    asked = (pc.field("ts") >= after) & pc.field("cand_item").is_valid()
    samples = store.partition("samples", day)
    for entry in samples.manifest().files:
        if entry.rows:
            users = samples.table(["user_hash"], [entry], filters=asked)["user_hash"]
            yield np.unique(users.to_numpy())


def missing(day: date) -> PartitionMissing:
    """What is said where there is no moment to record."""
    return PartitionMissing(
        f"samples/dt={day} has no moment with candidates of a held-out user to record. "
        f"Evaluate on a day that has one; `dupn run nightly --day {day} --leave-out` ends a "
        "night, leaves its day unlearnt and promotes nobody."
    )


def _sample_rows(store: Store, day: date, chosen: Sequence[str]) -> pa.Table:
    """The rows with these ids, in their order: what was asked may be some of the day's users."""
    ids = pa.array(chosen, pa.string())
    columns = ["sample_id", "user_id", "scenario"]
    table = store.partition("samples", day).table(columns, filters=pc.field("sample_id").isin(ids))
    return table.take(pc.index_in(ids, value_set=table["sample_id"].combine_chunks()))


def _past(store: Store, day: date, users: pa.Array) -> pa.Table:
    """Everything known of the users by the end of the day, each behaviour once."""
    parts = []
    for partition in (
        store.partition("sequences", day - ONE_DAY, "history"),
        store.partition("events", day, "behaviors"),
    ):
        if partition.exists():
            table = _of_users(partition, HISTORY, users)
            ts = table["ts"].cast(pa.int64())
            parts.append(table.set_column(HISTORY.index("ts"), "ts", ts))
    whole = pa.concat_tables(parts, promote_options="permissive")
    first = pc.index_in(whole["key"], pc.unique(whole["key"])).to_numpy()
    _, keep = np.unique(first, return_index=True)
    return whole.take(pa.array(np.sort(keep)))


def _before(past: pa.Table, user: str, ts: int) -> list[dict[str, str]]:
    mine = past.filter(pc.and_(pc.equal(past["user_id"], user), pc.less(past["ts"], ts)))
    in_time = mine.take(pc.sort_indices(mine["ts"]))  # stable: of equal times, as they arrived
    newest = in_time.slice(max(0, mine.num_rows - 100)).to_pylist()
    return [
        {
            "item_id": one["item_id"],
            "type": BehaviorType(one["type"]).name.lower(),
            "scenario": Scenario(one["scenario"]).name.lower(),
            "ts": _iso(one["ts"]),
        }
        for one in newest
    ]


def _profiles(store: Store, day: date, users: pa.Array) -> Mapping[str, dict[str, str]]:
    snapshot = held.newest(store, day, "users")
    if snapshot is None:
        return {}
    rows = _of_users(snapshot, None, users).to_pylist()
    return {
        row["user_id"]: {
            name: value
            for name, value in row.items()
            if name not in ("user_id", "user_hash") and value is not None
        }
        for row in rows
    }


def _pages(store: Store, day: date, users: pa.Array) -> Mapping[str, str]:
    """Query by sample id: that of the page's first row, as samples have it."""
    pages = store.partition("events", day, "impressions")
    if not pages.exists():
        return {}
    table = _of_users(pages, ["user_hash", "request_id", "query"], users)
    ids = page_ids(table["user_hash"].to_numpy(), table["request_id"].cast(pa.string()))
    first: dict[str, str | None] = {}
    for name, query in zip(ids.to_pylist(), table["query"].to_pylist(), strict=True):
        first.setdefault(name, query)
    return {name: query for name, query in first.items() if query is not None}


def _item_ids(store: Store, day: date, rows: Any) -> dict[int, str]:
    table = store.partition("catalog", day).table(["row", "item_id"])
    mine = table.filter(pc.is_in(table["row"], pa.array(rows, pa.int32())))
    known = dict(zip(mine["row"].to_pylist(), mine["item_id"].to_pylist(), strict=True))
    return {int(row): known.get(int(row), "") for row in rows}


def _of_users(partition: Partition, columns: list[str] | None, users: pa.Array) -> pa.Table:
    keep = pc.field("user_id").isin(users)
    return partition.table(columns, filters=keep)


def _iso(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds")
