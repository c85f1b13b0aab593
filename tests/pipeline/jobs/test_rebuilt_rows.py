"""Rows of a vocabulary that is built again after a later day was."""

import pytest

from features import vocabulary
from features.items.statistics import StatisticsConfig
from features.vocabulary import VocabularyConfig
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import statistics as statistics_job
from pipeline.jobs import vocabulary as vocabulary_job
from tests.pipeline.jobs.market_days import Market, days, write

BEAM = BeamConfig(buckets=2)
FIRST, SECOND = days(2)


def grow(store, day):
    return vocabulary_job.run(store, day, config=VocabularyConfig(), beam=BEAM)


def rows_of(store, day, name):
    table = store.partition("vocabulary", day, name).table()
    found = zip(table["id"].to_pylist(), table["row"].to_pylist(), strict=True)
    return {one: row for one, row in found if row >= 2}


@pytest.fixture
def store(tmp_path) -> Store:
    """Two days, of which the first has a page less since."""
    store, market = Store(tmp_path), Market(users=10, items=30, pages=20, behaviors=60)
    for day in (FIRST, SECOND):
        write(store, day, market.day(day))
        grow(store, day)
        statistics_job.run(store, day, config=StatisticsConfig(), beam=BEAM)
    write(store, FIRST, {"impressions": market.day(FIRST)["impressions"].slice(1)})
    return store


def test_rows_of_ids_that_only_a_later_day_has_are_given_to_nobody_on_the_day(store):
    names = vocabulary.published(store, FIRST)
    size = {name: vocabulary.size(store, FIRST, name) for name in names}
    for name in names:
        assert not vocabulary.not_given(store, FIRST, name, size[name]).size
        assert vocabulary.not_given(store, FIRST, name, size[name] + 2).size == 2
    grow(store, FIRST)
    before, later = rows_of(store, FIRST, "item"), rows_of(store, SECOND, "item")
    theirs = sorted(row for one, row in later.items() if one not in before)
    assert theirs
    grown = vocabulary.size(store, FIRST, "item")
    assert grown > size["item"]
    assert vocabulary.not_given(store, FIRST, "item", grown).tolist() == theirs
    fewer = vocabulary.not_given(store, FIRST, "item", size["item"])
    assert fewer.tolist() == [row for row in theirs if row < size["item"]]


def test_a_rebuilt_day_counts_the_ids_that_it_has_itself(store):
    said = grow(store, FIRST)
    names = vocabulary.published(store, FIRST)
    assert {name: said[name] for name in names} == {
        name: len(rows_of(store, FIRST, name)) for name in names
    }
