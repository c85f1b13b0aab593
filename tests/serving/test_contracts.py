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
from serving.pyfunc import signature

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


@pytest.mark.parametrize("frame", [from_parquet, lambda: pd.DataFrame(ROWS)])
def test_a_null_within_a_struct_is_an_absent_value_as_the_signature_says(frame):
    enforced = _enforce_schema(frame(), signature().inputs)
    first, second = (question(row) for row in enforced.to_dict(orient="records"))
    assert [first.profile, second.profile] == [{"city": "x"}, {"age": "30"}]
    assert [(b.type, b.scenario) for b in first.history] == [("cart", "unknown"), ("click", "ad")]


@pytest.mark.parametrize("wrong", [{"item_id": None}, {"type": "look"}, {"typ": "cart"}])
def test_what_a_behavior_must_have_is_asked_for_though_it_is_null(wrong):
    behavior = {"item_id": "a", "ts": NOON.isoformat()} | wrong
    with pytest.raises(InputError, match=rf"history\.0\.{next(iter(wrong))} is refused"):
        question({"ts": NOON.isoformat(), "history": [behavior]})
