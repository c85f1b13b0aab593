"""Plain files whose header says a column more than once."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw.dataset import parse_description
from infra.errors import InputError, QualityFailed
from pipeline import settings
from pipeline.jobs import events
from pipeline.quality import checks
from tests.pipeline.jobs.test_spoilt_files import DAY, START, day_of, refused, run

HEAD = b"user_id,item_id,type,ts,"
ROW = f"u1,i1,click,{START},".encode()
GOOD = HEAD[:-1] + b"\n" + ROW[:-1] + b"\n"
TWICE = HEAD + b"user_id\n" + ROW + b"u2\n"
SAID = "it has the column 'user_id' 2 times: give each a name of its own"


def parquet_of(names):
    sink = pa.BufferOutputStream()
    columns = [pa.array([v]) for v in ("u1", "i1", "click", START, "x", None)]
    pq.write_table(pa.Table.from_arrays(columns, names), sink)
    return sink.getvalue().to_pybytes()


PARQUET = ("user_id", "item_id", "type", "ts")


@pytest.mark.parametrize("name", ["b__csv", "b__parquet"])
def test_a_column_that_is_read_and_stands_twice_loses_its_file_alone(tmp_path, name):
    spoilt = TWICE if name == "b__csv" else parquet_of([*PARQUET, "user_id", "more"])
    store = day_of(tmp_path, a__csv=GOOD, **{name: spoilt})
    counts = run(store)
    assert (counts["behaviors_kept"], counts["behaviors_rejected_bad_file"]) == (1, 1)
    assert refused(store) == [(name.replace("__", "."), 1, "bad_file", SAID)]
    said = r"behaviors has lost parts 1.*: b\.\w+ \(it has the column 'user_id' 2 times: give"
    with pytest.raises(QualityFailed, match=said):
        checks.run(settings.load("smoke", str(tmp_path)), DAY, "events")


def test_a_day_of_such_files_alone_fails_and_names_file_and_column(tmp_path):
    with pytest.raises(InputError, match=rf"behaviors: none of its 1 .*; b\.csv \({SAID}\)\. Send"):
        run(day_of(tmp_path, b__csv=TWICE))


def test_a_column_that_nobody_reads_may_stand_twice(tmp_path):
    rows = HEAD + b"note,note\n" + ROW + b"a,b\n" + ROW + b"b,a\n" + ROW + b"a,b\n"
    refused_row = parquet_of(["user_id", "more", "type", "ts", "note", "note"])
    counts = run(day_of(tmp_path, a__csv=rows, b__parquet=refused_row))
    assert (counts["behaviors_kept"], counts["behaviors_duplicate"]) == (2, 1)
    assert counts["behaviors_rejected"] == counts["behaviors_rejected_missing_id"] == 1


@pytest.mark.parametrize(
    ("described", "lost"), [("", 1), ('map = { town = "city" }', 0), ('map = { at = "shop" }', 1)]
)
def test_of_profiles_the_columns_that_are_kept_must_not_stand_twice(tmp_path, described, lost):
    store = day_of(tmp_path, a__csv=GOOD)
    day_of(tmp_path, "users", a__csv=b"user_id,city\nu1,x\n", b__csv=b"user_id,shop,shop\nu2,a,b\n")
    text = f'name = "mine"\n[behaviors]\nformat = "csv"\n[users]\nformat = "csv"\n{described}\n'
    counts = events.run(store, DAY, parse_description(text, "mine.toml"))
    assert counts.get("users_rejected_bad_file", 0) == lost
    assert counts["users_kept"] == 2 - lost
