"""Which ids a batch of events or a file of a snapshot mentions, feature by feature.

One place says which column feeds which vocabulary; the counts themselves are partial and small.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from features import hash_range, vocabulary
from features.buckets import Bucket
from features.items import state
from features.pages import united, users_of
from features.query import word_counts
from features.raw import canonical
from features.schemas import BEHAVIORS, FOLLOWS, IMPRESSIONS
from features.vocabulary import counted
from infra.errors import InputError
from infra.store import Partition

Sighting = tuple[str, pa.Table]
"""A feature and a partial count: the hash in the first column."""

ATTRIBUTES = {"shop": "shop_id", "brand": "brand_id", "category": "category_id"}

_EVENTS = {
    "behaviors": (BEHAVIORS, ("item_id", "ts", "price", *ATTRIBUTES.values())),
    "impressions": (IMPRESSIONS, ("user_hash", "request_id", "item_ids", "query")),
    "follows": (FOLLOWS, ("icon_id",)),
}
_CODED = ("item_id", "item_ids.list.element", "query", "icon_id", *ATTRIBUTES.values())
_COLUMNS_OF = {"users": "profile", "icons": "icon", "shops": "shop"}


def read(table: str, partition: Partition, bucket: Bucket) -> pa.Table:
    """The rows of a table of events that the counts need, ids as dictionaries."""
    schema, columns = _EVENTS[table]
    return hash_range.read(partition, bucket, schema, "user_hash", columns, _CODED)


def of_events(table: str, rows: pa.Table) -> Iterator[Sighting]:
    """What one batch of a table of events mentions.

    A behaviour counts for its item (`features.items.state` says when) and for the shop, brand and
    category that it names; a page for each item on it and each word of its query.
    """
    if not rows.num_rows:
        return
    if table == "behaviors":
        yield "item", state.seen(rows)
        yield from _attributes(rows)
    elif table == "impressions":
        pages = united(rows, users_of(rows)).pages
        yield "item", state.displayed(_flat(pages.column("item_ids")))
        yield "token", counted(word_counts(pages.column("query")))
    else:
        yield "icon", counted(rows.column("icon_id"))


def of_snapshot(table: str, rows: pa.Table) -> Iterator[Sighting]:
    """What one file of a snapshot mentions; each row counts once."""
    if table == "items":
        yield "item", state.listed(rows)
        yield from _attributes(rows)
        yield "tag", counted(_flat(rows.column("tags")))
        yield "token", counted(word_counts(rows.column("title")))
        return
    if table in ("icons", "shops"):
        feature = _COLUMNS_OF[table]
        yield feature, counted(rows.column(f"{feature}_id"))
    for name in _attributes_of(table, rows.column_names):
        yield f"{_COLUMNS_OF[table]}_{name}", counted(rows.column(name).cast(pa.string()))


def together(parts: Sequence[pa.Table]) -> list[pa.Table]:
    """Partial counts of one feature -> at most two tables: of sightings, and of snapshots."""
    if len(parts) < 2:
        return list(parts)
    listed = [part for part in parts if "listed" in part.column_names]
    seen = [part for part in parts if "at" in part.column_names]
    counts = [part for part in parts if "hash" in part.column_names]
    found = [pa.concat_tables(listed)] if listed else []
    found += [state.together(seen)] if seen else []
    return found + ([vocabulary.together(counts)] if counts else [])


def column_features(table: str, names: Sequence[str]) -> list[str]:
    """Vocabularies that the columns of a snapshot have for themselves (`profile_age`, ...)."""
    if table == "items":
        return []
    return [f"{_COLUMNS_OF[table]}_{name}" for name in _attributes_of(table, names)]


def _attributes_of(table: str, names: Sequence[str]) -> list[str]:
    """The columns that have a vocabulary of their own: a user may well have a `shop_id`.

    Raises:
        InputError: events were published when such a header was not written out yet.
    """
    odd = [name for name in names if canonical.column_of(canonical.header_of(name)) != name]
    if odd:
        raise InputError(
            f"{table} were published with the column {odd[0]!r}, which cannot be the name of a "
            "vocabulary. Run `dupn events` of their day again: it writes such names out."
        )
    return [name for name in names if name not in canonical.keys_of(table)]


def _attributes(rows: pa.Table) -> Iterator[Sighting]:
    for feature, name in ATTRIBUTES.items():
        if rows.column(name).null_count < rows.num_rows:
            yield feature, counted(rows.column(name))


def _flat(lists: pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    flat = [chunk.flatten() for chunk in lists.chunks]
    return pa.chunked_array(flat, lists.type.value_type)
