"""Users are counted some at a time: few enough for memory, and however few, to the same bytes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features import hash_range
from features.items.statistics import StatisticsConfig
from features.schemas import FOLLOWS
from features.vocabulary import VocabularyConfig
from infra.errors import PartitionCorrupt
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import growth, statistics, vocabulary
from tests.pipeline.jobs.market_days import Market, days, write

FIRST, SECOND = days(2)
BEAM = BeamConfig(buckets=64)
OUTPUTS = ("item", "shop", "brand", "category", "price", "overall", "lr_ctr", "lr_sample")


@pytest.fixture
def store(tmp_path) -> Store:
    """A day, counted, and the events of the next."""
    store, market = Store(tmp_path), Market()
    for day in (FIRST, SECOND):
        write(store, day, market.day(day))
    vocabulary.run(store, FIRST, config=VocabularyConfig(), beam=BEAM)
    statistics.run(store, FIRST, config=StatisticsConfig(), beam=BEAM)
    return store


def displays(pages: pa.Table) -> int:
    return len(pages["item_ids"].combine_chunks().flatten())


def batches(rows: int, at_a_time: int) -> int:
    return 2 ** int(np.ceil(np.log2(rows / at_a_time)))


def test_batches_are_sized_by_what_was_shown_as_well_as_by_what_was_done(store):
    done, pages, icons = (
        store.partition("events", SECOND, name) for name in ("behaviors", "impressions", "follows")
    )
    rows, shown = done.manifest().rows, displays(pages.table())
    assert shown > rows
    counts = statistics.plan(store, SECOND, StatisticsConfig(rows_per_batch=rows), BEAM)
    assert len(counts.batches) == batches(rows + shown, rows) > 1
    grown = growth.plan(store, SECOND, VocabularyConfig(rows_per_batch=rows), BEAM)
    assert len(grown.batches) == batches(rows + shown + icons.manifest().rows, rows)


@pytest.mark.parametrize("day", [FIRST, SECOND])
def test_a_cut_file_of_pages_is_named_with_its_remedy_when_a_day_is_planned(store, day):
    pages = store.partition("events", day, "impressions")
    path = Path(store.root, pages.key, pages.manifest().files[0].name)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(PartitionCorrupt, match=f"cannot be read: .* Run `dupn events --day {day}`"):
        statistics.plan(store, SECOND, StatisticsConfig(), BEAM)
    if day == SECOND:
        with pytest.raises(PartitionCorrupt, match=f"Run `dupn events --day {day}`"):
            growth.plan(store, SECOND, VocabularyConfig(), BEAM)


def test_a_day_that_showed_little_but_icons_is_counted_a_few_of_them_at_a_time(store):
    icons = Market(pages=3_000).day(SECOND)["follows"]
    write(store, SECOND, {"follows": icons, "behaviors": Market().day(SECOND)["behaviors"]})
    store.partition("events", SECOND, "impressions").remove()
    work = growth.plan(store, SECOND, VocabularyConfig(rows_per_batch=200), BEAM)
    read = [
        hash_range.read(work.events["follows"], bucket, FOLLOWS, "user_hash").num_rows
        for bucket in work.batches
    ]
    assert sum(read) == icons.num_rows == 1_000
    assert max(read) < 300


@pytest.mark.parametrize("pages", [0, 20])
def test_a_day_after_one_of_more_pages_reads_a_few_of_them_at_a_time(store, pages):
    """Also one that lost its own."""
    tables = dict(Market(pages=max(pages, 1), behaviors=50).day(SECOND))
    if not pages:
        del tables["impressions"]
    store.partition("events", SECOND, "impressions").remove()
    write(store, SECOND, tables)
    work = statistics.plan(store, SECOND, StatisticsConfig(rows_per_batch=100), BEAM)
    read = [displays(statistics._pages(work.pages_before, bucket)) for bucket in work.batches]
    assert sum(read) == displays(Market().day(FIRST)["impressions"]) == 750
    assert max(read) < 200


@pytest.mark.parametrize("lost", [False, True])
def test_however_few_are_counted_at_a_time_it_comes_to_the_same(store, lost):
    if lost:
        store.partition("events", SECOND, "impressions").remove()
    found = []
    for rows in (1, 10**9):
        vocabulary.run(store, SECOND, config=VocabularyConfig(rows_per_batch=rows), beam=BEAM)
        config = StatisticsConfig(rows_per_batch=rows)
        assert len(statistics.plan(store, SECOND, config, BEAM).batches) == (64 if rows == 1 else 1)
        statistics.run(store, SECOND, config=config, beam=BEAM)
        parts = [store.partition("statistics", SECOND, name) for name in OUTPUTS]
        parts += [store.partition("vocabulary", SECOND, name) for name in ("item", "icon", "token")]
        found.append({part.key: part.digest() for part in parts})
    assert found[0] == found[1]
