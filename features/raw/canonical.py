"""The columns of a canonical table, and what rows carry beside them until they are tidy."""

import re
from collections.abc import Sequence

import pyarrow as pa

from features.raw.raw_table import LOGS, OPTIONAL, PLACE, REQUIRED, Table
from features.schemas import BEHAVIORS, FOLLOWS, IMPRESSIONS, ITEMS, USER_KEY

REPEATED = (
    *("user_id", "item_id", "type", "scenario", "shop_id", "brand_id", "category_id"),
    *("icon_id", "variant", "model_version", "line"),
)
"""Columns of logs with few distinct values: worth a dictionary in memory, and texts in files."""

_ODD = re.compile(r"[\x00-\x1f\x7f/\\#?<>]|^\.|\.(?=folder$)|%(?=[0-9A-Fa-f]{2})|~(?=[0-9A-F]{2})")
_WRITTEN = re.compile(r"~([0-9A-F]{2})")
_LOG_SCHEMAS = {"behaviors": BEHAVIORS, "impressions": IMPRESSIONS, "follows": FOLLOWS}


def schema_of(table_name: str, extra: Sequence[str] = ()) -> pa.Schema:
    """The canonical schema; `extra` are the further columns of users, icons and shops."""
    if table_name in _LOG_SCHEMAS:
        return _LOG_SCHEMAS[table_name]
    if table_name == "items":
        return ITEMS
    keys = USER_KEY if table_name == "users" else [(REQUIRED[table_name][0], pa.string())]
    fields = [*keys, *[(name, pa.string()) for name in extra]]
    return pa.schema([pa.field(*pair) for pair in fields])


def keys_of(table_name: str) -> tuple[str, ...]:
    """The columns of users, icons or shops that say whose row it is; all others are attributes."""
    return tuple(schema_of(table_name).names)


def column_of(header: str) -> str:
    """The canonical name of a source's further column; `header_of` leads back.

    It names a folder of the store and a part of an artifact's address, so what could lead out of
    there is written as `~2F`, and so is what ends the path of an address or is a tag in a page.
    (URLs and MLflow would decode a `%2F`.)
    """
    return _ODD.sub(lambda found: f"~{ord(found[0]):02X}", header)


def header_of(column: str) -> str:
    """The source's name of a further column."""
    return _WRITTEN.sub(lambda found: chr(int(found[1], 16)), column)


def dictionary_columns(table_name: str, schema: pa.Schema) -> list[str]:
    """Parquet paths of the columns to write with a dictionary; trying it on others is slow."""
    if table_name not in LOGS:
        ids = REQUIRED[table_name]
        return [name for name in schema.names if name not in ids and name != "user_hash"]
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    chosen = [name for name in texts if name in REPEATED]
    return [*chosen, *(["item_ids.list.element"] if "item_ids" in schema.names else [])]


def with_identity(table_name: str, table: Table, schema: pa.Schema) -> pa.Schema:
    """`schema` and the columns by which `tidy` finds rows that came twice."""
    if table_name not in LOGS:
        return schema
    names = ["key"] if "key" not in schema.names else []
    names += ["_place"] if table.identity == "place" else []
    return pa.schema([*schema, *[pa.field(name, pa.uint64()) for name in names]])


def has_extra(table_name: str) -> bool:
    """Whether a table may have further columns."""
    return table_name not in LOGS and table_name != "items"


def extra_columns(table_name: str, table: Table, raw_columns: Sequence[str]) -> tuple[str, ...]:
    """Further columns of users, icons and shops: those mapped, else all that there are."""
    if not has_extra(table_name):
        return ()
    keys = keys_of(table_name)
    named = [*table.map, *table.constants]
    mapped = [name for name in named if name not in keys]
    if mapped:
        return tuple(map(column_of, mapped))
    taken = {*[table.map.get(name, name) for name in keys], *PLACE}
    return tuple(sorted(column_of(name) for name in raw_columns if name not in taken))


def doubled(
    table_name: str, table: Table, extra: Sequence[str], raw_columns: Sequence[str]
) -> list[str]:
    """Source columns that are read and stand more than once among those of a file.

    Args:
        table_name: the table that the file belongs to.
        table: how the file looks.
        extra: the further columns that are read, from `extra_columns`.
        raw_columns: those of the file.
    """
    names = [*REQUIRED[table_name], *OPTIONAL.get(table_name, ()), *map(header_of, extra)]
    read = {table.map.get(name, name) for name in names if name not in table.constants}
    return sorted(name for name in read if raw_columns.count(name) > 1)
