"""What a day's behaviours find in the tables that they are joined with, as shares of their keys.

A table that was written with other keys (another kind of user id, requests that nobody names)
fails nowhere: its users have no profile, its items no category, its pages no clicks. So quality
asks for the share of keys that are found, of a sample of them: the smallest hashes of some users.
Of requests that are found it asks whether what was clicked stands on their pages: items may be
written otherwise there than in behaviours, and then every candidate is one that nobody clicked.
Memory grows with SAMPLE and with a column of the largest file.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import held
from features.buckets import hash_ids
from features.quality.page_log import SOME_SERVED, has_pages
from features.schemas import BehaviorType
from infra.store import Partition, Store

Keys = NDArray[np.uint64]

METRIC = "joined_share"
SAMPLE = 10_000
"""Keys of the behaviours that are looked for."""
ROWS = 200_000
"""Behaviours that they are chosen from, about: those of some users."""
ENOUGH = 1_000
"""Keys of which some are found where the tables have the same ones, though one be a sample of a
hundredth; of fewer, chance decides."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """How many of the day's keys another table has."""

    figure: str
    keys: int
    """How many were looked for; where behaviours name none at all, their rows."""
    found: int
    meaning: str
    """The share in words, and what to look at."""
    sampled: bool = False
    """The other table may be a small part by intent: shops log their bulky feeds in samples."""
    told: bool = False
    """It stops no day, of however many keys."""

    @property
    def share(self) -> float:
        """Found of those looked for."""
        return self.found / self.keys

    def limit(self, whole: float, sampled: float) -> tuple[float, bool]:
        """The least share, and whether to stop under it: of a few keys, none may be chance.

        A snapshot of other keys takes attributes away, and may be what there is; pages that nobody
        names take every click.

        Args:
            whole: the share that a whole table should have.
            sampled: the share that a sample must have.
        """
        return (sampled, self.keys >= ENOUGH and not self.told) if self.sampled else (whole, False)


def of_day(store: Store, day: date, moments: str) -> list[Joined]:
    """The shares of a day's users, items and requests, as far as there are tables of them.

    Args:
        store: with the events of the day.
        day: which.
        moments: the setting `sequences.moments`.
    """
    behaviors = store.partition("events", day, "behaviors")
    found = [_of_users(store, day, behaviors), _of_items(store, day, behaviors)]
    if moments != "derived" and has_pages(store, day):
        pages = store.partition("events", day, "impressions")
        found += [*_of_requests(pages, behaviors), _of_served(pages, behaviors)]
    return [one for one in found if one and one.keys]


def _of_users(store: Store, day: date, behaviors: Partition) -> Joined | None:
    newest = held.newest(store, day, "users")
    if newest is None or not newest.manifest().rows:
        return None
    wanted, every = _sample(behaviors, _users)
    return Joined(
        figure=f"behaviors.user_id.{METRIC}",
        keys=len(wanted),
        found=_count(wanted, _users(newest, every)),
        meaning=f"the share of the day's users that {newest.key} has. Compare user_id in both",
    )


def _of_items(store: Store, day: date, behaviors: Partition) -> Joined | None:
    """In the newest snapshot or the first: what comes later may be what is new alone."""
    newest = held.newest(store, day, "items")
    if newest is None:
        return None
    there = (store.partition("events", one, "items") for one in store.dates("events"))
    first = next(part for part in there if part.exists())
    parts = [first] if first.key == newest.key else [first, newest]
    if not any(part.manifest().rows for part in parts):
        return None
    wanted, _ = _sample(behaviors, _items)
    return Joined(
        figure=f"behaviors.item_id.{METRIC}",
        keys=len(wanted),
        found=_count(wanted, (keys for part in parts for keys in _items(part, 1))),
        meaning=f"the share of the day's items that {parts[-1].key} has. Compare item_id in both",
    )


def _of_requests(pages: Partition, behaviors: Partition) -> list[Joined]:
    wanted, every = _sample(behaviors, _requests)
    known = wanted[_found(wanted, _requests(pages, every))]
    requests = Joined(
        figure=f"behaviors.request_id.{METRIC}",
        keys=len(wanted) or behaviors.manifest().rows,
        found=len(known),
        meaning=_named(pages) if len(wanted) else _UNNAMED,
        sampled=True,
    )
    return [requests, _of_clicked(pages, behaviors, known, every)] if len(known) else [requests]


def _of_clicked(pages: Partition, behaviors: Partition, known: Keys, every: int) -> Joined:
    """Of the clicks that name requests which are known, those on an item that was shown there.

    A request may be a session, in which most of what is clicked was found elsewhere; so it is asked
    whether there is any, and a day is stopped only by as many as other requests.
    """
    clicked = np.unique(np.concatenate([*_clicked(behaviors, every, known)]))[:SAMPLE]
    return Joined(
        figure=f"impressions.item_ids.{METRIC}",
        keys=len(clicked),
        found=_count(clicked, _shown(pages, every, known)),
        meaning=(
            "the share of the clicks that name a page of the same user in "
            f"{pages.key} whose item is among the item_ids of that page; no other is a click on "
            "what was shown. Compare item_ids with item_id in behaviors: their ids are likely "
            "written in different forms, and then all that is shown is learnt as not clicked"
        ),
        sampled=True,
    )


def _of_served(pages: Partition, behaviors: Partition) -> Joined | None:
    """A shop that logs its pages has each of them twice while the service logs it as well.

    Nothing can be said of a day whose events were made before their lineage told of it.
    """
    if not pages.manifest().lineage.get(SOME_SERVED):
        return None
    wanted, every = _sample(pages, _served)
    return Joined(
        figure=f"impressions.request_id.{METRIC}",
        keys=len(wanted),
        found=_count(wanted, _requests(behaviors, every)),
        meaning=_TWICE,
        sampled=True,
        told=True,
    )


_TWICE = (
    "the share of the pages logged by `dupn serve`, beside those that the shop sent, that its "
    "behaviours name. Of the others each is a moment in which nothing was clicked: set "
    "serve.exposures=false where the shop logs its pages itself, or have its behaviours carry the "
    "request_id of the answer"
)
_ANSWERED = ("model_version", "line", "latency_ms")
"""Columns that every served page has."""
_REQUEST = "^[0-9a-f]{32}$"
"""How the service writes the ids of its requests."""


_UNNAMED = (
    "no behaviour names a request by request_id, so that none would be a click on a page. Where "
    "the log has no such column, set sequences.moments=derived"
)


def _named(pages: Partition) -> str:
    return (
        "the share of the requests named by behaviours that are pages of the same user in "
        f"{pages.key}; nothing else is a click on a page. Compare request_id in both, or set "
        "sequences.moments=derived"
    )


def _users(part: Partition, every: int) -> Iterator[Keys]:
    for table in _columns(part, every, "user_hash"):
        yield table.column("user_hash").to_numpy()


def _items(part: Partition, every: int) -> Iterator[Keys]:
    for table in _columns(part, every, "item_id"):
        yield hash_ids(pc.unique(table.column("item_id")).drop_null())


def _requests(part: Partition, every: int) -> Iterator[Keys]:
    """Of a request and its user: another user's is another one."""
    for table in _columns(part, every, "request_id", "user_hash"):
        yield _keys(table.filter(pc.is_valid(table.column("request_id"))))


def _keys(named: pa.Table) -> Keys:
    users = named.column("user_hash").to_numpy()
    return hash_ids(named.column("request_id")) * np.uint64(3) + users


def _clicked(part: Partition, every: int, known: Keys) -> Iterator[Keys]:
    """Of clicks on known pages, the page and the item."""
    yield np.empty(0, np.uint64)
    for table in _columns(part, every, "request_id", "user_hash", "type", "item_id"):
        valid = pc.is_valid(table.column("request_id"))
        clicks = table.filter(pc.and_(valid, pc.equal(table.column("type"), BehaviorType.CLICK)))
        page, rows = _pages(clicks, known)
        yield _on(page, hash_ids(rows.column("item_id")))


def _shown(part: Partition, every: int, known: Keys) -> Iterator[Keys]:
    """Of known pages, each with each of its items: of no others are items hashed."""
    for table in _columns(part, every, "request_id", "user_hash", "item_ids"):
        page, rows = _pages(table.filter(pc.is_valid(table.column("request_id"))), known)
        items = rows.column("item_ids").combine_chunks()
        length = pc.fill_null(pc.list_value_length(items), 0).to_numpy(zero_copy_only=False)
        ids = pc.list_flatten(items).cast(pa.string()).fill_null("")
        yield _on(np.repeat(page, length), hash_ids(ids))


def _pages(named: pa.Table, known: Keys) -> tuple[Keys, pa.Table]:
    """Of rows that name a request, those of known pages, and the page of each."""
    page = _keys(named)
    wanted = np.isin(page, known)
    return page[wanted], named.filter(pa.array(wanted))


def _on(page: Keys, item: Keys) -> Keys:
    return page * np.uint64(5) + item


def _served(part: Partition, every: int) -> Iterator[Keys]:
    """As `_requests`, of pages that look as the service writes them."""
    for table in _columns(part, every, "request_id", "user_hash", *_ANSWERED):
        ours = pc.match_substring_regex(table.column("request_id").cast(pa.string()), _REQUEST)
        for name in _ANSWERED:
            ours = pc.and_(ours, pc.is_valid(table.column(name)))
        yield _keys(table.filter(ours))


def _columns(part: Partition, every: int, *names: str) -> Iterator[pa.Table]:
    """Columns of each file, of one user in `every`: to hash an id is dear, to read a number not."""
    wanted = [*names] if every == 1 else list({"user_hash": 0, **dict.fromkeys(names, 0)})
    for entry in part.manifest().files:
        if entry.name.endswith(".parquet"):
            table = part.table(wanted, [entry])
            if every > 1:
                chosen = table.column("user_hash").to_numpy() % np.uint64(every) == 0
                table = table.filter(pa.array(chosen))
            yield table


def _sample(
    behaviors: Partition, keys_of: Callable[[Partition, int], Iterator[Keys]]
) -> tuple[Keys, int]:
    """The smallest distinct keys, sorted, of one user in how many; of all if those have none."""
    kept, every = np.empty(0, np.uint64), 1
    for every in sorted({max(1, behaviors.manifest().rows // ROWS), 1}, reverse=True):
        for keys in keys_of(behaviors, every):
            kept = np.unique(np.concatenate([kept, keys]))[:SAMPLE]
        if len(kept):
            break
    return kept, every


def _found(wanted: Keys, held: Iterable[Keys]) -> NDArray[np.bool_]:
    found = np.zeros(len(wanted), np.bool_)
    for keys in held:
        found |= np.isin(wanted, keys)
    return found


def _count(wanted: Keys, held: Iterable[Keys]) -> int:
    return int(_found(wanted, held).sum())
