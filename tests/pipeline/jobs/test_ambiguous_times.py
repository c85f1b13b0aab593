"""Times on a clock that was put back are counted and told; those that it left out are refused."""

import gzip
from datetime import date

import pytest

from features.raw.dataset import parse_description
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events

TOML = """\
name = "mine"
time_zone = "Europe/Berlin"
[behaviors]
format = "csv"
time = { format = "%Y-%m-%d %H:%M" }
"""
HEAD = "user_id,item_id,type,ts\n"


def read(home, day, times, buckets=2, passes=1):
    rows = "".join(f"u{n},i,{kind},{day} {at}\n" for n, (at, kind) in enumerate(times))
    folder = home / f"raw/dt={day}/behaviors"
    folder.mkdir(parents=True)
    (folder / "a.csv.gz").write_bytes(gzip.compress((HEAD + rows).encode()))
    beam = BeamConfig(buckets=buckets, passes=passes)
    store = Store(home)
    return store, events.run(store, day, parse_description(TOML, "mine.toml"), beam=beam)


@pytest.mark.parametrize("passes", [1, 2])
def test_rows_of_the_hour_that_comes_twice_are_counted_and_told(tmp_path, caplog, passes):
    day = date(2026, 10, 25)
    times = [("01:59", "click"), ("02:00", "click"), ("02:59", "cart"), ("02:30", "?")]
    store, counts = read(tmp_path, day, times, passes=passes)
    assert (counts["behaviors_kept"], counts["behaviors_ambiguous"]) == (3, 2)
    assert store.partition("events", day, "behaviors").manifest().counts["behaviors_ambiguous"] == 2
    assert "behaviors: 2 rows have a time that the clock of its zone showed twice" in caplog.text


def test_of_other_days_nobody_is_told(tmp_path, caplog):
    _, counts = read(tmp_path, date(2026, 10, 24), [("02:30", "click")])
    assert (counts["behaviors_kept"], counts["behaviors_ambiguous"]) == (1, 0)
    assert "twice" not in caplog.text


def test_a_time_that_the_clock_left_out_is_refused_and_the_sentence_may_mean_it(tmp_path):
    day = date(2026, 3, 29)
    store, counts = read(tmp_path, day, [("01:59", "click"), ("02:00", "click")])
    assert counts["behaviors_rejected_bad_time"] == 1
    (row,) = store.partition("rejects", day).table().to_pylist()
    assert row["sentence"].endswith("or left out by the clock of its zone")
