import hashlib
import os
import tarfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from infra.config import build
from infra.errors import ConfigError
from infra.store import Store
from pipeline.nights.config import NightlyConfig
from pipeline.raw import arrival

DAY = date(2026, 3, 13)
BEFORE = DAY - timedelta(days=1)
NOW = datetime.now(UTC) + timedelta(hours=6)
"""Of a look. Files come now in truth, long before it, and are given times nearer to it."""
ROWS = pa.table({"user_id": ["a"], "item_id": ["1"]})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def put(store, name, day=DAY, rows=ROWS):
    """As `import` does: whole at once."""
    with store.partition("raw", day, name).publish() as out:
        out.record([out.write_table("part", rows)])


def drop(store, name, file="part.csv", *, age_s=0, content=b"a,1\n", day=DAY):
    """As a person does: a plain file, copied `age_s` seconds before NOW."""
    path = Path(store.partition("raw", day, name).path, file)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    when = NOW.timestamp() - age_s
    os.utime(path, (when, when))


def look(store, **settings):
    return arrival.look(store, DAY, NightlyConfig(**settings), NOW)


def test_nothing_is_there_yet(store):
    found = look(store)
    assert not found.ready
    assert found.missing == ("behaviors",)
    assert found.sentence == "raw/dt=2026-03-13: behaviors not there. So far: nothing."


def test_what_was_imported_is_whole_at_once(store):
    put(store, "behaviors")
    assert look(store).ready


def test_a_log_that_the_day_before_had_is_waited_for(store):
    put(store, "behaviors", BEFORE)
    put(store, "impressions", BEFORE)
    put(store, "items", BEFORE)  # a snapshot need not come every day
    put(store, "behaviors")
    found = look(store)
    assert found.missing == ("impressions",)
    assert "impressions not there. So far: behaviors (1 file, 0.0 MB)" in found.sentence
    put(store, "impressions")
    assert look(store).ready


def test_a_log_that_only_the_service_wrote_is_not_waited_for(store):
    put(store, "behaviors", BEFORE)
    drop(store, "impressions", "served-1.jsonl", day=BEFORE)
    put(store, "behaviors")
    assert look(store).ready
    drop(store, "impressions", "pages.jsonl", day=BEFORE)
    assert look(store).missing == ("impressions",)


@pytest.mark.parametrize("settings", [{}, {"tables": ("behaviors", "impressions")}])
def test_a_served_page_does_not_end_the_waiting_for_the_log_of_the_shop(store, settings):
    drop(store, "impressions", "pages.jsonl", day=BEFORE)
    drop(store, "impressions", "served-0.jsonl", day=BEFORE)
    put(store, "behaviors")
    drop(store, "impressions", "served-1.jsonl", age_s=5)
    found = look(store, **settings)
    assert (found.missing, found.moving) == (("impressions",), ())
    assert "impressions not there but for pages that `dupn serve` wrote. So" in found.sentence
    assert look(store, tables=("behaviors",)).moving == ("impressions",)
    drop(store, "impressions", "pages.jsonl", age_s=9000)
    assert look(store, settle_minutes=0, **settings).ready


def test_served_pages_are_the_log_where_somebody_says_that_nothing_else_comes(store):
    drop(store, "impressions", "pages.jsonl", day=BEFORE)
    put(store, "behaviors")
    drop(store, "impressions", "served-1.jsonl", age_s=5)
    drop(store, "impressions", "_SUCCESS")
    assert look(store).ready


def test_served_pages_are_the_log_where_the_day_before_had_no_other(store):
    drop(store, "impressions", "served-0.jsonl", day=BEFORE)
    put(store, "behaviors")
    drop(store, "impressions", "served-1.jsonl", age_s=9000)
    assert look(store, tables=("behaviors", "impressions")).ready


def test_the_tables_to_wait_for_can_be_set(store):
    put(store, "impressions", BEFORE)
    put(store, "behaviors")
    assert look(store, tables=("behaviors",)).ready
    assert look(store, tables=("behaviors", "items")).missing == ("items",)


def test_behaviours_are_waited_for_whatever_else_is_named(store):
    put(store, "items")
    assert look(store, tables=("items",)).missing == ("behaviors",)


def test_plain_files_are_whole_when_they_have_been_still_for_a_while(store):
    drop(store, "behaviors", age_s=599)
    found = look(store, settle_minutes=10)
    assert found.moving == ("behaviors",)
    assert "behaviors still changing. So far: behaviors (1 file, 0.0 MB, changed 599 s ago)" in (
        found.sentence
    )
    drop(store, "behaviors", age_s=600)
    assert look(store, settle_minutes=10).ready


def test_a_copy_that_keeps_the_time_of_its_source_is_as_new_as_it_is_here(store):
    drop(store, "behaviors", age_s=10**7)  # `cp -p`, `rsync -a`
    assert arrival.look(store, DAY, NightlyConfig(), datetime.now(UTC)).moving == ("behaviors",)
    assert look(store).ready


def test_a_file_that_is_dated_ahead_of_the_clock_is_told_as_such(store):
    drop(store, "behaviors", age_s=-86400)
    drop(store, "impressions", age_s=-5)  # of a clock that is a little fast
    found = look(store)
    assert found.moving == ("behaviors", "impressions")
    assert "impressions still changing; behaviors dated ahead of this machine's clock" in (
        found.sentence
    )
    assert "`touch` the files, or put `_SUCCESS` beside them" in found.sentence
    assert "behaviors (1 file, 0.0 MB, dated 24.0 h ahead)" in found.sentence
    assert "impressions (1 file, 0.0 MB, changed 0 s ago)" in found.sentence
    drop(store, "behaviors", "_SUCCESS", age_s=-86400)
    assert look(store).moving == ("impressions",)


def test_the_newest_piece_counts(store):
    drop(store, "behaviors", "1.csv", age_s=9000)
    drop(store, "behaviors", "2.csv", age_s=30)
    assert look(store).moving == ("behaviors",)


def test_a_copy_that_is_under_way_beside_whole_files_is_waited_for(store):
    drop(store, "behaviors", age_s=9000)
    drop(store, "behaviors", "more.csv.part", age_s=5)
    assert look(store).moving == ("behaviors",)


def test_pages_that_the_service_added_to_a_published_table_are_counted(store):
    put(store, "behaviors")
    put(store, "impressions")
    drop(store, "impressions", "served-1.jsonl", content=b"x" * 2_000_000)
    assert "impressions (2 files, 2.0 MB)" in look(store).sentence


@pytest.mark.parametrize("place", ["raw/dt=2026-03-13/behaviors", "raw/dt=2026-03-13"])
def test_a_success_marker_ends_the_waiting(store, place):
    drop(store, "behaviors", age_s=1)
    store.put(f"{place}/_SUCCESS", b"")
    assert look(store).ready


def test_hidden_and_unfinished_files_are_no_data(store):
    for name in (".behaviors.csv.swp", "_temporary", "upload.csv.part"):
        drop(store, "behaviors", name, age_s=9000)
    assert look(store).missing == ("behaviors",)


def test_files_that_are_not_read_for_their_suffix_are_named(store):
    drop(store, "behaviors", "log.txt", age_s=9000)
    drop(store, "behaviors", ".hidden.txt", age_s=9000)
    said = "behaviors not there (not read for their suffix: log.txt (read are .parquet .jsonl "
    assert said in look(store).sentence
    put(store, "behaviors")
    assert "suffix" not in look(store).sentence  # of another suffix it would be read nowhere


@pytest.mark.parametrize("also", ["behaviors", "items"])
def test_files_that_are_not_read_are_named_beside_others_that_are(store, also):
    drop(store, "behaviors", "part.csv", age_s=3_600)
    drop(store, also, "more.txt", age_s=3_600)
    found = look(store)
    assert found.ready
    assert f"(1 file, 0.0 MB). {also}: not read for their suffix: more.txt (" in found.sentence
    put(store, "impressions", BEFORE)
    found = look(store)
    assert not found.ready
    assert f". {also}: not read for their suffix: more.txt (" in found.sentence


def test_plain_files_beside_an_imported_table_are_named_and_not_counted(store):
    put(store, "behaviors")
    drop(store, "behaviors", "served-1.jsonl")
    drop(store, "behaviors", "notes.txt")
    assert "not read" not in look(store).sentence
    assert arrival.unread(store) == []
    drop(store, "behaviors", "late.csv")
    said = "behaviors: not read beside an imported table: late.csv (to add them, move them "
    found = look(store)
    assert found.ready
    assert f"complete: behaviors (2 files, 0.0 MB). {said}" in found.sentence
    assert said in look(store, tables=("behaviors", "items")).sentence  # while it waits, too
    [sentence] = arrival.unread(store)
    assert sentence.startswith(f"raw/dt={DAY}/{said}")


def test_a_snapshot_that_is_still_being_copied_is_waited_for(store):
    put(store, "behaviors")
    drop(store, "items", age_s=5)
    assert look(store).moving == ("items",)


def made_of(store, raw):
    with store.partition("events", DAY, "behaviors").publish(raw=raw) as out:
        out.record([out.write_table("part", ROWS)])


def test_a_second_arrival_is_noticed(store):
    put(store, "behaviors")
    made_of(store, dict(arrival.marks(store, DAY)))
    assert arrival.arrived_again(store, [DAY]) == []
    put(store, "behaviors")  # the same rows once more: nothing new
    assert arrival.arrived_again(store, [DAY]) == []
    put(store, "impressions")
    assert arrival.arrived_again(store, [DAY]) == [DAY]
    store.partition("raw", DAY, "behaviors").remove()  # pages alone are read by nothing
    assert arrival.arrived_again(store, [DAY]) == []


def test_a_further_plain_file_is_a_second_arrival(store):
    drop(store, "behaviors", "1.csv", age_s=9000)
    made_of(store, dict(arrival.marks(store, DAY)))
    drop(store, "behaviors", "2.csv", age_s=9000)
    assert arrival.arrived_again(store, [DAY]) == [DAY]


def test_pages_that_the_service_added_are_a_second_arrival(store):
    put(store, "behaviors")
    put(store, "impressions")
    made_of(store, dict(arrival.marks(store, DAY)))
    drop(store, "impressions", "rows.csv")  # beside a manifest this is no data
    assert arrival.arrived_again(store, [DAY]) == []
    drop(store, "impressions", "served-1.jsonl")
    assert arrival.arrived_again(store, [DAY]) == [DAY]


def test_a_file_that_came_anew_with_as_many_bytes_is_a_second_arrival(store):
    drop(store, "behaviors", age_s=9000)
    made_of(store, dict(arrival.marks(store, DAY)))
    drop(store, "behaviors", age_s=8000, content=b"b,1\n")
    assert arrival.arrived_again(store, [DAY]) == [DAY]


def dated(store, nanoseconds):
    drop(store, "behaviors")
    path = store.partition("raw", DAY, "behaviors").path
    os.utime(f"{path}/part.csv", ns=(nanoseconds, nanoseconds))


def test_a_copy_that_keeps_whole_seconds_is_no_second_arrival(store, tmp_path):
    dated(store, 1_772_409_600_750_000_000)
    drop(store, "impressions", "served-1.jsonl")
    made_of(store, dict(arrival.marks(store, DAY)))
    with tarfile.open(tmp_path / "home.tar", "w", format=tarfile.GNU_FORMAT) as packed:
        for folder in ("raw", "events"):
            packed.add(tmp_path / folder, folder)
    with tarfile.open(tmp_path / "home.tar") as packed:
        packed.extractall(tmp_path / "copy", filter="data")
    copy = Store(tmp_path / "copy")
    assert arrival.arrived_again(copy, [DAY]) == []
    dated(copy, 1_772_409_601_000_000_000)
    assert arrival.arrived_again(copy, [DAY]) == [DAY]


def test_marks_with_fractions_of_seconds_go_on_agreeing(store):
    dated(store, 1_772_409_600_750_000_000)
    told = b"part.csv 4 2026-03-02T00:00:00.750000+00:00"
    made_of(store, {"behaviors": hashlib.sha256(told).hexdigest()[:16]})
    assert arrival.arrived_again(store, [DAY]) == []
    dated(store, 1_772_409_600_800_000_000)
    assert arrival.arrived_again(store, [DAY]) == [DAY]


def test_raw_data_that_was_removed_after_its_night_is_no_arrival(store):
    made_of(store, {"behaviors": "0123"})
    assert arrival.arrived_again(store, [DAY, BEFORE]) == []


def test_a_night_waits_for_no_table_that_there_is_not():
    with pytest.raises(ConfigError, match=r"behaviours is not a raw table; did you mean behaviors"):
        build(NightlyConfig, {"tables": ["items", "behaviours"]})
    assert build(NightlyConfig, {"tables": ["items", "behaviors"]}).tables == ("items", "behaviors")
