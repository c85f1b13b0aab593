"""Times and absent values as callers write them."""

import io
import time
from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.models.utils import _enforce_schema

from infra.errors import InputError
from serving.contracts import milliseconds, question
from serving.pyfunc import questions_of, signature

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine in another zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "written",
    [NOON.replace(tzinfo=None), NOON.astimezone(timezone(timedelta(hours=3)))],
    ids=["without a zone", "in another zone"],
)
def test_a_time_is_utc_unless_it_says_otherwise_wherever_the_machine_stands(written):
    assert milliseconds(written) == NOON.timestamp() * 1000


TEXT = pa.string()
ROWS = [
    {
        "ts": NOON.isoformat(),
        "profile": {"age": None, "city": "x"},
        "history": [
            {"item_id": "a", "type": "cart", "scenario": None, "ts": NOON.isoformat()},
            {"item_id": "b", "type": None, "scenario": "ad", "ts": NOON.isoformat()},
        ],
    },
    {"ts": NOON.isoformat(), "profile": {"age": "30", "city": None}, "history": []},
]
COLUMNS = pa.schema(
    [
        ("ts", TEXT),
        ("profile", pa.struct([("age", TEXT), ("city", TEXT)])),
        ("history", pa.list_(pa.struct([(name, TEXT) for name in ROWS[0]["history"][0]]))),
    ]
)


def from_parquet():
    """Questions as a table has them: every struct has all of its fields."""
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(ROWS, COLUMNS), file)
    return pd.read_parquet(file)


def asked(frame):
    """Through MLflow, as `predict` gets it."""
    return list(questions_of(_enforce_schema(frame, signature().inputs)))


@pytest.mark.parametrize(
    "frame",
    [
        from_parquet,
        lambda: from_parquet().convert_dtypes(dtype_backend="pyarrow"),
        lambda: pd.DataFrame(ROWS),
    ],
    ids=["parquet", "arrow", "pandas"],
)
def test_a_null_within_a_struct_is_an_absent_value_as_the_signature_says(frame):
    first, second = asked(frame())
    assert [first.profile, second.profile] == [{"city": "x"}, {"age": "30"}]
    assert [(b.type, b.scenario) for b in first.history] == [("cart", "unknown"), ("click", "ad")]


@pytest.mark.parametrize("wrong", [{"item_id": None}, {"type": "look"}, {"typ": "cart"}])
def test_what_a_behavior_must_have_is_asked_for_though_it_is_null(wrong):
    behavior = {"item_id": "a", "ts": NOON.isoformat()} | wrong
    with pytest.raises(InputError, match=rf"history\.0\.{next(iter(wrong))} is refused"):
        question({"ts": NOON.isoformat(), "history": [behavior]})


def test_every_kind_of_null_is_an_absent_value_in_every_column():
    """As after a left join: a user of whom one table knows nothing."""
    names = ("user_id", "scenario", "query", "profile", "history", "candidates")
    nulls = [None, float("nan"), pd.NA, pd.NaT]
    frame = pd.DataFrame([{"ts": NOON.isoformat()} | dict.fromkeys(names, one) for one in nulls])
    bare = question({"ts": NOON.isoformat()})
    assert asked(frame) == [bare] * 4
    assert asked(frame.astype({"query": float, "history": float}, errors="ignore")) == [bare] * 4


def test_times_may_be_texts_or_pandas_own_wherever_they_stand():
    stamp = pd.Timestamp(NOON)
    rows = [
        {"ts": when, "history": [{"item_id": "a", "ts": when}]}
        for when in (NOON.isoformat(), stamp, stamp.tz_convert("Asia/Shanghai"), NOON)
    ]
    frames = [pd.DataFrame([row], index=[77]) for row in rows]
    frames.append(frames[1].astype({"ts": "datetime64[ns, UTC]"}))
    for frame in frames:
        (one,) = asked(frame)
        assert milliseconds(one.ts) == milliseconds(one.history[0].ts) == NOON.timestamp() * 1000


@pytest.mark.parametrize("ids", [["item-1", None], ["item-1", float("nan")], [17]])
def test_an_id_that_is_none_is_named_and_never_another_items(ids):
    """MLflow's own check of such a list leaves `i` of `item-1`."""
    frame = pd.DataFrame([{"ts": NOON.isoformat(), "candidates": c} for c in (["item-1"], ids)])
    with pytest.raises(
        InputError, match=rf"^row 1: candidates\.{len(ids) - 1} is refused: .*string"
    ):
        asked(frame)
    assert asked(frame.head(1))[0].candidates == ["item-1"]


def test_a_row_that_is_wrong_is_named_with_its_field_and_what_to_write():
    rows = [{"ts": NOON.isoformat()}] * 3 + [{"ts": "yesterday"}, {"ts": "tomorrow"}]
    with pytest.raises(InputError, match=r"^row 3: ts is refused: .*\. Write 2026-03-05T12:00:00Z"):
        asked(pd.DataFrame(rows))
