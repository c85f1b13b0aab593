"""What the marketplace never writes over: raw data that somebody else has sent."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evaluation.marketplace import own
from evaluation.marketplace.play import Marketplace
from evaluation.marketplace.run import Writer, simulate
from evaluation.marketplace.spoil import spoil_day
from features.raw.dataset import load
from infra.errors import InputError
from infra.store import Store
from pipeline.raw.importing import import_files
from tests.evaluation.marketplace.conftest import FIRST
from tests.evaluation.marketplace.test_run import TINY

NEXT = FIRST + timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "home")


def import_day(store: Store, day, scratch: Path) -> None:
    """A real day of one behaviour, in canonical names."""
    ms = int((day - date(1970, 1, 1)).total_seconds() * 1000) + 36_000_000
    rows = {"user_id": ["a"], "item_id": ["i"], "type": ["click"], "ts": [ms]}
    pq.write_table(pa.table(rows), scratch / f"mine-{day}.parquet")
    import_files(store, load("marketplace"), [f"behaviors={scratch / f'mine-{day}.parquet'}"])


def all_files(store: Store) -> dict[str, bytes]:
    found = (path for path in Path(store.root).rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in found}


def test_an_imported_day_is_not_simulated_over_and_nothing_is_written(store, tmp_path):
    import_day(store, NEXT, tmp_path)
    before = all_files(store)
    said = rf"raw/dt={NEXT}/behaviors holds 1 rows of mine-{NEXT}\.parquet, .* has not made them.*"
    with pytest.raises(InputError, match=said + r"other days \(--first\), or into another --home"):
        simulate(store, FIRST, 2, TINY, 1)  # the first of the two would have been free
    assert all_files(store) == before


def test_plain_files_are_not_hidden_by_a_simulated_day(store):
    for number in range(4):
        store.put(f"raw/dt={FIRST}/items/{number}.csv", "item_id\n1\n")
    before = all_files(store)
    said = r"put there: 0\.csv, 1\.csv, 2\.csv and 1 more, .* Simulate into another --home"
    with pytest.raises(InputError, match=said):
        simulate(store, FIRST, 1, TINY, 1)
    assert all_files(store) == before


def test_a_day_that_is_played_elsewhere_is_not_written_over_another(store, tmp_path):
    import_day(store, FIRST, tmp_path)
    with pytest.raises(InputError, match="has not made them"):
        Writer(store, FIRST, Marketplace.build(TINY, 1)).write(None)  # refused unread


def test_the_pages_of_the_service_and_days_of_its_own_are_no_hindrance(store):
    store.put(f"raw/dt={FIRST}/impressions/served-1.jsonl", "{}\n")
    store.put(f"raw/dt={FIRST}/behaviors/_part-001-gone.parquet", "of a killed import")
    simulate(store, FIRST, 1, TINY, 1)
    spoil_day(store, FIRST, 0.4, 1)
    assert own.strangers(store, FIRST) == []
    simulate(store, FIRST, 1, TINY, 1)
