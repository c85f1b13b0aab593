"""An empty text is no id and no arm, also in a log whose `nulls` does not name it."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from features.events import EventsConfig, Window, parse
from features.raw.checking import check
from features.raw.dataset import parse_description
from infra.errors import ConfigError

DAY = date(2026, 11, 1)
NOON = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp() * 1_000)
HIVE = """
name = "x"
[{table}]
nulls = ["\\\\N"]
"""
"""As dumps of Hive and MySQL write what is absent."""
ACTION = {"user_id": "u", "item_id": "i", "type": "click", "ts": NOON}
PAGE = {"user_id": "u", "request_id": "r", "item_ids": "a b", "ts": NOON}


def read(table, rows, also="", coded=False):
    dataset = parse_description(HIVE.format(table=table) + also, "x.toml")
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: pa.array([row.get(name, r"\N") for row in rows]) for name in names}
    if coded:
        texts = {name for name in names if pa.types.is_string(columns[name].type)}
        columns |= {name: columns[name].dictionary_encode() for name in texts}
    place = {"_source": ["a"] * len(rows), "_line": range(len(rows))}
    block = pa.table({**columns, **place, "_text": pa.nulls(len(rows), pa.string())})
    return parse(block, table, dataset, Window.of(DAY, dataset, EventsConfig()))


@pytest.mark.parametrize("coded", [False, True])
def test_an_empty_id_is_nothing_whatever_nulls_says(coded):
    """Else all who are not logged in are one user, and all their pages one request."""
    rows = [ACTION | one for one in ({"user_id": ""}, {"item_id": ""}, {"user_id": r"\N"}, {})]
    rows[3] |= {"request_id": "", "shop_id": ""}
    found = read("behaviors", rows, coded=coded)
    assert found.rejected["reason"].to_pylist() == ["missing_id"] * 3
    kept = found.accepted.to_pylist()
    assert [(row["user_id"], row["request_id"], row["shop_id"]) for row in kept] == [
        ("u", None, None)
    ]
    pages = [PAGE | {"request_id": ""}, PAGE | {"user_id": ""}, PAGE | {"variant": "", "query": ""}]
    found = read("impressions", pages, coded=coded)
    assert found.rejected["reason"].to_pylist() == ["missing_id"] * 2
    (page,) = found.accepted.to_pylist()
    assert (page["request_id"], page["variant"], page["query"]) == ("r", None, "")


def test_events_without_an_event_id_are_refused_and_are_not_one():
    rows = [ACTION | {"item_id": item, "event_id": ""} for item in "ab"]
    found = read("behaviors", [*rows, ACTION | {"event_id": "e"}], 'identity = "event_id"\n')
    assert found.rejected["reason"].to_pylist() == ["missing_id"] * 2
    assert found.accepted["item_id"].to_pylist() == ["i"]


def test_a_needed_id_that_is_empty_throughout_is_told_before_anything_is_written():
    said = HIVE.format(table="behaviors")
    with pytest.raises(ConfigError, match="needs a user_id, and this means nothing"):
        parse_description(f'{said}constants = {{ user_id = "" }}\n', "x.toml")
    rows = pa.table({name: [value] * 3 for name, value in (ACTION | {"user_id": ""}).items()})
    rows = rows.append_column("_text", pa.nulls(3, pa.string()))
    with pytest.raises(ConfigError, match="has no user_id in its first 3 rows"):
        check(parse_description(said, "x.toml"), "behaviors", "log.parquet", rows)
