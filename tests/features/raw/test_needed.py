"""Ids, lists of ids and flags of a file's head that `events` would refuse row by row."""

import io
import json

import pyarrow as pa
import pytest

from features.raw.checking import check
from features.raw.dataset import parse_description
from features.raw.parse import text_blocks
from infra.errors import ConfigError

TIME = 1_793_500_000_000
PAGE = {"request_id": "r", "user_id": "u", "ts": TIME}
FOLLOW = {"user_id": "u", "icon_id": "k", "ts": TIME}
ACTION = {"user_id": "u", "item_id": "i", "type": "click", "ts": TIME}
HEAD = 'name = "mine"\n[{table}]\nformat = "{form}"\n[{table}.map]\n{needed} = "own"\n'


def hold(table, needed, rows, also=""):
    """Rows of JSON lines with the needed column called `own`."""
    description = HEAD.format(table=table, form="jsonl", needed=needed)
    description = description.replace('"jsonl"\n', f'"jsonl"\n{also}')
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    dataset = parse_description(description, "mine.toml")
    blocks = text_blocks(io.BytesIO(data), "log.jsonl", dataset.table(table), 1_000)
    check(dataset, table, "log.jsonl", next(blocks))


def hold_parquet(table, needed, row, values):
    sample = pa.table({name: [value] * len(values) for name, value in row.items()})
    sample = sample.append_column("_text", pa.nulls(len(values), pa.string()))
    dataset = parse_description(
        HEAD.format(table=table, form="parquet", needed=needed), "mine.toml"
    )
    check(dataset, table, "log.parquet", sample.append_column("own", values))


ODD = [
    ("impressions", "item_ids", PAGE, [{"id": 1, "pos": 0}], r"""'\[{"id": 1, "pos": 0}\]'\. """),
    ("impressions", "item_ids", PAGE, {"id": 1}, r"""'{"id": 1}'\. It takes lists of ids"""),
    ("impressions", "item_ids", PAGE, [True], r"'\[true\]'"),
    ("follows", "followed", FOLLOW, "shown", r"'shown'\. It takes true or false, yes or no, 1 or"),
    ("behaviors", "item_id", ACTION, {"$oid": "7"}, r"""'{"\$oid": "7"}'\. It takes texts or"""),
    ("items", "item_id", {}, [7], r"'\[7\]'"),
]


@pytest.mark.parametrize(("table", "needed", "row", "value", "said"), ODD)
def test_a_needed_column_of_something_else_is_refused(table, needed, row, value, said):
    told = rf"^mine\.toml line 5: {table}\.map\.{needed}: column 'own' of log\.jsonl is no {needed}"
    good = {"item_ids": ["a"], "followed": True}.get(needed, "a")
    rows = [row | {"own": value}] * 12 + [row | {"own": good}] * 11 + [row | {"own": None}]
    with pytest.raises(ConfigError, match=f"{told}: {said}.*name another column"):
        hold(table, needed, rows)
    hold(table, needed, rows[1:])  # half of those that have one: `events` refuses these alone


@pytest.mark.parametrize(
    ("table", "needed", "row"),
    [
        ("impressions", "item_ids", PAGE),
        ("follows", "followed", FOLLOW),
        ("behaviors", "item_id", ACTION),
    ],
)
def test_a_needed_column_in_which_nothing_stands_is_refused(table, needed, row):
    with pytest.raises(ConfigError, match=rf"line 5: .*'own' of log\.jsonl has no {needed} in its"):
        hold(table, needed, [row | {"own": None}] * 11)


def test_a_few_rows_of_a_quiet_hour_say_nothing_about_their_columns():
    """Pages on which nothing was found, a flag that nobody could read."""
    for nothing in (None, "", [], {"id": 1}):
        hold("impressions", "item_ids", [PAGE | {"own": nothing}] * 10)
    hold("follows", "followed", [FOLLOW | {"own": "shown"}] * 10)
    with pytest.raises(
        ConfigError, match=r"'own' of log\.jsonl has no item_id in its first 1 rows"
    ):
        hold("behaviors", "item_id", [ACTION | {"own": None}])


def test_what_parquet_holds_is_read_as_events_reads_it():
    for values in ([[7.0, 8.0]], ["a b"], [["a"], [], None]):
        hold_parquet("impressions", "item_ids", PAGE, pa.array(values))
    hold_parquet("follows", "followed", FOLLOW, pa.array([1.0, 0.0]))
    with pytest.raises(ConfigError, match=r"'own' of log\.parquet is no item_ids: \[7\.5\]"):
        hold_parquet("impressions", "item_ids", PAGE, pa.array([[7.5]] * 11))
    with pytest.raises(ConfigError, match=r"is no user_id: 7\.5\. It takes texts or whole numbers"):
        hold_parquet("users", "user_id", {"city": "x"}, pa.array([7.5] * 11 + [9.0]))


def test_a_long_list_is_quoted_in_part():
    shown = pa.array([[{"id": n} for n in range(999)]] * 11)
    with pytest.raises(ConfigError, match=r"no item_ids: \[\{'id': 0\}, .{60,80}\. It takes") as it:
        hold_parquet("impressions", "item_ids", PAGE, shown)
    assert len(str(it.value)) < 400


def test_ids_of_ignored_rows_are_not_looked_at():
    rows = [ACTION | {"own": {"id": 1}, "type": "view"}] * 9 + [ACTION | {"own": "i"}]
    hold("behaviors", "item_id", rows, 'ignore_types = ["view"]\n')


def test_a_constant_that_is_no_flag_is_refused():
    text = 'name = "mine"\n[follows]\nformat = "jsonl"\n[follows.constants]\nfollowed = "shown"\n'
    rows = pa.table({name: [str(value)] for name, value in FOLLOW.items()} | {"_text": [None]})
    with pytest.raises(ConfigError, match=r"line 5: follows\.constants\.followed: .*'shown'"):
        check(parse_description(text, "mine.toml"), "follows", "log.jsonl", rows)
    check(parse_description(text.replace("shown", "yes"), "mine.toml"), "follows", "l.jsonl", rows)
