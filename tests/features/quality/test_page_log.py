from datetime import date

import pyarrow as pa
import pytest

from features.quality.page_log import ONLY_SERVED, has_pages, is_paged
from infra.store import Store

DAY = date(2026, 3, 13)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def put(store, name, requests, **lineage):
    rows = pa.table({"request_id": pa.array(requests, pa.string())})
    with store.partition("events", DAY, name).publish(**lineage) as out:
        out.record([out.write_table(f"part-{n}", rows.slice(n, 1)) for n in range(len(requests))])


def test_pages_of_the_log_itself_count_whoever_names_them(store):
    put(store, "behaviors", [None])
    assert not has_pages(store, DAY)
    put(store, "impressions", ["r1"])
    assert has_pages(store, DAY)


def test_an_impressions_table_without_rows_is_none(store):
    put(store, "behaviors", ["r1"])
    put(store, "impressions", [])
    assert not has_pages(store, DAY)


@pytest.mark.parametrize(
    ("named", "counts"), [([None, None], False), (["r3"], False), ([None, "r2"], True)]
)
def test_served_pages_count_if_a_behaviour_names_one(store, named, counts):
    put(store, "behaviors", named)
    put(store, "impressions", ["r1", "r2"], **{ONLY_SERVED: True})
    assert has_pages(store, DAY) is counts


def test_a_log_that_had_pages_has_them_for_good(store):
    put(store, "behaviors", [None])
    assert [is_paged(store, DAY, "auto", before=before) for before in (False, True)] == [
        False,
        True,
    ]
    put(store, "impressions", ["r1"])
    assert is_paged(store, DAY, "auto", before=False)


def test_settings_that_name_the_moments_are_not_looked_behind(store):
    put(store, "behaviors", [None])
    assert is_paged(store, DAY, "pages", before=False)
    put(store, "impressions", ["r1"])
    assert not is_paged(store, DAY, "derived", before=True)
