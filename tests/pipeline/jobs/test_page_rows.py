"""A log that writes a row for each item of a page gives what one with a row a page does.

Also where it names the item twice, as one that is shown as an advertisement and as a hit.
"""

from dataclasses import replace

import polars as pl
import pytest

from tests import samples_log
from tests.pipeline.jobs.test_samples import samples_of
from tests.samples_log import DAYS

DAY = DAYS[1]


@pytest.fixture(scope="module")
def by_item(tmp_path_factory):
    """The items of a page a millisecond apart, the first of them sent once more."""
    log, home = samples_log.make(), tmp_path_factory.mktemp("by-item")
    rows = log.impressions.explode("item_ids")
    nth = pl.int_range(pl.len()).over("user_id", "request_id")
    both = pl.concat_list("item_ids", "item_ids")
    rows = rows.with_columns(ts=pl.col("ts") + nth, item_ids=both)
    again = rows.unique(["user_id", "request_id"], keep="first", maintain_order=True)
    rows = pl.concat([rows, again.with_columns(ts=pl.col("ts") + 9)])
    samples_log.write(replace(log, impressions=rows), home)
    return samples_log.run(home, DAYS[:2])


def test_samples_are_the_same(by_item, pages):
    found, expected = (samples_of(store, DAY) for store in (by_item, pages))
    assert sum(len(one["cand_item"] or ()) for one in expected) > 200
    assert found == expected
    counts, usual = (
        store.partition("samples", DAY).manifest().counts for store in (by_item, pages)
    )
    assert counts["candidates"] == usual["candidates"]
    assert usual["united_rows"] == usual["repeated_pages"] == 0
    assert counts["united_rows"] == 5 * counts["repeated_pages"] > 100  # six items a page


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("statistics", "item"),
        ("statistics", "lr_sample"),
        ("catalog", "items"),
        ("vocabulary", "token"),
    ],
)
def test_items_and_words_are_counted_as_often(by_item, pages, stage, name):
    one, other = (store.partition(stage, DAY, name).table() for store in (by_item, pages))
    assert one.equals(other)
