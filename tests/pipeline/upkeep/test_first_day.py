"""The first day of events that are kept is not the first of the log.

Partitions of one row, no jobs. Of eight days, a sweep leaves state of three and events of four.
"""

import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features import carry, inputs
from infra.errors import PartitionMissing
from infra.store import Store
from pipeline import steps
from pipeline.settings import load
from pipeline.upkeep import backfill, rebuilding

DAYS = [date(2026, 3, 1) + timedelta(days=n) for n in range(8)]
SHORT = ("retention.state_days=3", "retention.tables_days=3", "retention.events_days=4")
HEAD = f"`dupn events --from {DAYS[0]} --to {DAYS[3]}`"
"""What brings the swept events back."""


def put(partition):
    with partition.publish() as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])


def live(store, day):
    """All that a night leaves of a day."""
    for key in ("raw", "events"):
        put(store.partition(key, day, "behaviors"))
    put(store.partition("quality", day, "events"))
    for stage in inputs.STAGES:
        for part in inputs.written(store, stage, day):
            put(part)


def lose(store, day, *stages):
    for stage in stages:
        shutil.rmtree(Path(store.root, stage, f"dt={day}"), ignore_errors=True)


@pytest.fixture(scope="module")
def lived(tmp_path_factory):
    home = tmp_path_factory.mktemp("lived")
    for day in DAYS:
        live(Store(home), day)
    return home


@pytest.fixture
def whole(lived, tmp_path):
    """Nothing is swept."""
    return load("smoke", str(shutil.copytree(lived, tmp_path / "home")), list(SHORT))


@pytest.fixture
def swept(whole):
    steps.sweep(whole, DAYS[-1])
    assert whole.store.days("events", "behaviors") == DAYS[4:]
    assert whole.store.days("sequences", "history") == DAYS[5:]
    return whole


def files(settings):
    root = Path(settings.store.root)
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def refused(settings, work, match):
    before = files(settings)
    with pytest.raises(PartitionMissing, match=match):
        work()
    assert files(settings) == before


def test_state_whose_past_is_swept_is_not_built_from_what_is_left(swept):
    refused(swept, lambda: steps.rebuild(swept, DAYS[4]), HEAD)


@pytest.mark.parametrize("day", DAYS[3:7])
def test_no_day_is_read_again_whose_past_is_swept(swept, day):
    """Of the seventh day, statistics of the fifth are gone, which its samples read."""
    refused(swept, lambda: steps.backfill(swept, day), f"forget all that was: .* {HEAD}")


@pytest.mark.parametrize(("day", "asked"), [(1, "--day 2026-03-01"), (2, "--day 2026-03-01")])
def test_nor_one_of_the_first_days_before_theirs_are_back(swept, day, asked):
    refused(swept, lambda: steps.backfill(swept, DAYS[day]), f"`dupn events {asked}`")


def test_nor_the_first_before_those_after_it_are_back(swept):
    asked = f"`dupn events --from {DAYS[1]} --to {DAYS[3]}`"
    refused(swept, lambda: steps.backfill(swept, DAYS[0]), asked)
    for day in DAYS[1:4]:
        put(swept.store.partition("events", day, "behaviors"))
    assert backfill.plan(swept, DAYS[0])[0].day == DAYS[0]


def test_the_newest_day_is_read_again_as_long_as_what_it_reads_is_there(swept):
    assert {redo.day for redo in backfill.plan(swept, DAYS[-1])} == {DAYS[-1]}


@pytest.mark.parametrize("stage", ["sequences", "statistics", "catalog"])
def test_nor_does_a_step_by_hand_begin_anew_on_a_day_that_came_back_alone(swept, stage):
    put(swept.store.partition("events", DAYS[2], "behaviors"))
    leaf = {"sequences": ["history"], "statistics": ["item"], "catalog": []}[stage]
    lose(swept.store, DAYS[2], stage)
    with pytest.raises(PartitionMissing, match=f"--from {DAYS[0]} --to {DAYS[1]}`"):
        carry.yesterday(swept.store, stage, DAYS[2], *leaf)


def test_with_the_events_back_the_walk_is_that_of_the_nights(swept):
    for day in DAYS[:4]:
        put(swept.store.partition("events", day, "behaviors"))
    assert set(map(tuple, rebuilding.walks(swept.store, DAYS[4]).values())) == {tuple(DAYS[:5])}


def test_half_of_them_do_not_do(swept):
    for day in DAYS[2:4]:
        put(swept.store.partition("events", day, "behaviors"))
    refused(swept, lambda: steps.rebuild(swept, DAYS[4]), f"--from {DAYS[0]} --to {DAYS[1]}`")


def test_samples_that_are_swept_too_leave_the_tallies_to_tell(swept):
    for day in DAYS[:5]:
        lose(swept.store, day, "samples")
    trace = carry.oldest(swept.store, DAYS[4])
    assert trace == swept.store.partition("quality", DAYS[0], "events")


def test_one_chain_that_cannot_be_walked_keeps_the_other_from_being_built(whole):
    """The tables of the fourth day are whole, its sequences are not."""
    for day in DAYS[:4]:
        lose(whole.store, day, "events", "sequences")
    lose(whole.store, DAYS[4], "statistics", "sequences")
    refused(whole, lambda: steps.rebuild(whole, DAYS[4]), HEAD)


def test_a_whole_day_before_the_first_events_is_begun_from(whole):
    for day in DAYS[:4]:
        lose(whole.store, day, "events")
    lose(whole.store, DAYS[4], "statistics", "sequences")
    found = rebuilding.walks(whole.store, DAYS[4])
    assert list(found.values()) == [[DAYS[4]], [DAYS[4]]]


def test_where_the_nights_began_later_than_raw_they_may_begin_there_again(whole, caplog):
    for day in DAYS[:2]:
        lose(whole.store, day, *inputs.STAGES, "catalog", "events", "quality")
    first = DAYS[2]
    assert carry.yesterday(whole.store, "sequences", first, "history") is None
    for day in DAYS[2:4]:
        assert backfill.plan(whole, day)[0].day == day
    lose(whole.store, first, "sequences")
    assert rebuilding.walks(whole.store, first)["sequences",] == [first]
    rebuilding._warn(whole, ("sequences",), [first])
    assert f"run `dupn events --from {DAYS[0]} --to {DAYS[1]}` first" in caplog.text
