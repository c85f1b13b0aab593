"""Parquet's timestamps without a time zone, as Spark writes them, are read as they are said."""

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw.dataset import parse_description
from infra.errors import ConfigError, InputError
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events
from pipeline.raw.importing import import_files

DAY = date(2026, 3, 2)
NOON_US = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()) * 1_000_000
AT = ("at", pa.timestamp("us"))
BEAM = BeamConfig(buckets=2)


def described(zone=None):
    said = f'time = {{ zone = "{zone}" }}\n' if zone else ""
    text = f'name = "mine"\ntime_zone = "Asia/Shanghai"\n[behaviors]\n{said}[behaviors.map]\n'
    return parse_description(text + 'ts = "at"\n', "mine.toml")


def as_spark(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {"user_id": ["u"], "item_id": ["i"], "type": ["click"], "at": [NOON_US]}
    table = pa.table(rows, pa.schema([*[(n, pa.string()) for n in list(rows)[:3]], AT]))
    pq.write_table(table, path, use_deprecated_int96_timestamps=True)
    return path


def test_an_import_writes_nothing_before_it_is_said(tmp_path):
    file, store = as_spark(tmp_path / "log.parquet"), Store(tmp_path / "home")
    with pytest.raises(ConfigError, match=r"mine\.toml line 3: .*'at' of log\.parquet"):
        import_files(store, described(), [f"behaviors={file}"])
    assert store.dates("raw") == []
    found = import_files(store, described("UTC"), [f"behaviors={file}"])
    assert found["first_day"] == str(DAY)


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 12), ("Asia/Shanghai", 4)])
def test_files_that_were_put_in_place_are_refused_before_it_is_said(tmp_path, zone, hour):
    as_spark(tmp_path / f"raw/dt={DAY}/behaviors/log.parquet")
    store = Store(tmp_path)
    said = rf"column 'at' of raw/dt={DAY}/behaviors/log\.parquet is of .*time = .*\[behaviors\]"
    with pytest.raises(InputError, match=said):
        events.run(store, DAY, described(), beam=BEAM)
    assert store.days("events", "behaviors") == []
    events.run(store, DAY, described(zone), beam=BEAM)
    (row,) = store.partition("events", DAY, "behaviors").table().to_pylist()
    assert row["ts"].hour == hour


def test_a_day_that_was_imported_before_anybody_asked_is_to_be_imported_again(tmp_path):
    store = Store(tmp_path)
    rows = pq.read_table(as_spark(tmp_path / "log.parquet"))
    with store.partition("raw", DAY, "behaviors").publish(dataset="mine") as out:
        out.record([out.write_table("part-0", rows)])
    with pytest.raises(InputError, match=r"Then import its files again\.$"):
        events.run(store, DAY, described(), beam=BEAM)
