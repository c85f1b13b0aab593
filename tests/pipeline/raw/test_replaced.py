"""What an import leaves as it was is told: days, logs, and events of former files."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.raw.clock import day_of_number
from features.raw.dataset import load
from infra.store import Store
from pipeline.raw import arrival
from pipeline.raw.importing import import_files
from pipeline.upkeep import afterwards

DAY_MS = 86_400_000
FIRST = 20_514
DAYS = [day_of_number(FIRST + number) for number in range(45)]
FURTHER = {
    "behaviors": {"item_id": "i1", "type": "click"},
    "follows": {"icon_id": "c1", "followed": True},
}


@pytest.fixture
def take_in(tmp_path):
    """Import a log of one row a day (told by numbers); what the answer notes."""

    def run(numbers, table="behaviors", *, name="log", replace=True):
        rows = {"user_id": ["anna"] * len(numbers)}
        rows |= {"ts": [(FIRST + number) * DAY_MS + len(name) for number in numbers]}
        rows |= {column: [value] * len(numbers) for column, value in FURTHER[table].items()}
        file = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table(rows), file)
        store, dataset = Store(tmp_path / "home"), load("marketplace")
        found = import_files(store, dataset, [f"{table}={file}"], replace=replace)
        return found.get("note", [])

    return run


@pytest.fixture
def events_of(tmp_path):
    """Publish events of days as if they were made of what is in raw now."""

    def run(days):
        store = Store(tmp_path / "home")
        for day in days:
            part = store.partition("events", day, "behaviors")
            with part.publish(raw=dict(arrival.marks(store, day))) as out:
                out.record([])
        return store

    return run


def test_a_day_between_the_first_and_last_of_which_the_new_files_have_no_row_is_named(
    take_in, caplog
):
    assert take_in([0, 1, 2, 3, 9], name="all") == []
    (said,) = take_in([0, 3], name="without")
    assert said in caplog.messages
    assert said == (
        f"raw of {DAYS[1]} to {DAYS[2]} keeps its behaviors (all.parquet): the new files have no "
        f"row of them. Remove raw/dt={DAYS[1]}/behaviors and so on where it is withdrawn."
    )


def test_a_day_after_the_last_of_which_a_file_that_was_cut_has_no_row_any_more_is_named(take_in):
    assert take_in([0, 1], name="all") == []
    (said,) = take_in([0], name="all")
    assert said.startswith(f"raw of {DAYS[1]} keeps its behaviors (all.parquet): the new files")


def test_days_of_other_files_are_not_named_whatever_those_are_called(take_in):
    """A shop that exports each day under one name, and a day that is mended alone."""
    for number in (0, 1, 2):
        assert take_in([number], name="daily") == []
    assert take_in([1], name="daily") == []
    take_in([4, 5, 6], name="week")
    assert take_in([4], name="mended") == []
    assert take_in([5, 6, 7], name="week") == []  # a window that moves


def test_a_day_of_several_files_that_is_mended_alone_names_no_other(take_in, tmp_path):
    for number in (0, 1, 2):
        take_in([number], name=f"day{number}")  # writes the files
    files = [f"behaviors={tmp_path / f'day{number}'}.parquet" for number in (0, 1, 2)]
    store, dataset = Store(tmp_path / "home"), load("marketplace")
    import_files(store, dataset, files, replace=True)
    assert "note" not in import_files(store, dataset, files[1:2], replace=True)


def test_a_log_of_a_replaced_day_that_was_not_given_is_named(take_in):
    take_in([0, 1], name="all")
    take_in([1, 2], "follows", name="icons")
    (said,) = take_in([0, 1], name="without")
    assert said == (
        f"raw of {DAYS[1]} keeps its follows (icons.parquet): no file of follows was given for "
        f"it. Remove raw/dt={DAYS[1]}/follows where it is withdrawn."
    )


def test_files_that_replace_nothing_leave_nothing_behind(take_in):
    take_in([0, 2], replace=False)
    assert take_in([1], "follows", name="icons", replace=False) == []


def test_events_of_former_files_are_named_however_old_the_day(take_in, events_of):
    take_in(range(45), name="all")
    store = events_of(DAYS)
    (said,) = take_in([0, 1, 2], name="corrected")
    assert said == (
        f"events of {DAYS[0]} to {DAYS[2]} were made of former files: `dupn backfill --from "
        f"{DAYS[0]} --to {DAYS[2]}` makes them again, and what follows from them."
    )
    assert afterwards.arrived_again(store) == []  # which looks at the newest 40 days


def test_events_of_what_was_imported_are_of_no_former_files(take_in, events_of):
    take_in([0, 1], name="all")
    events_of(DAYS[:1])
    assert take_in([0, 1], name="all") == []
    (said,) = take_in([0], "follows", name="icons", replace=False)
    assert f"`dupn backfill --day {DAYS[0]}`" in said
