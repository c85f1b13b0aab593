"""A moment's items are looked up in the catalog of its own day, not in that in which it closed."""

import shutil

import numpy as np
import pytest

from evaluation import sampled
from tests.training.growing import correct_catalog
from training import checkpoint
from training.data import Position, Reader, Samples

MIDNIGHT = 5 * 10**8
"""Of the second day; times of the moments are between 0 and twice that."""


@pytest.fixture
def corrected(tmp_path, make_store, days):
    """Each item has another brand on the second day, whose samples say when it began."""
    return republished(make_store(tmp_path), days[1], begins_ms=MIDNIGHT)


def republished(store, day, **lineage):
    correct_catalog(store, day)
    place = store.partition("samples", day)
    table = place.table()
    with place.publish(price_offers=True, **lineage) as out:
        out.record([out.write_table("part", table)])
    return store


def brands(store, day):
    """Of the moments that have candidates, as `of_first` tells them."""
    samples = Samples(store, [day])
    for loaded in Reader(samples, batch_size=64, buffer=1000).epoch(Position()):
        yield from of_first(store, day, loaded.info, loaded.batch)


def of_first(store, day, info, batch):
    """Time, catalog row of the first candidate, and its brand row, of each moment that has one."""
    table = store.partition("samples", day).table(["sample_id", "cand_item"])
    items = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    moments, first = np.unique(batch.cand_moment_C.numpy(), return_index=True)
    brand = batch.items.brand_U.numpy()[batch.cand_C.numpy()[first]]
    rows = [items[info.sample_id[moment].as_py()][0] for moment in moments]
    return zip(info.ts[moments].tolist(), rows, brand.tolist(), strict=True)


def brand_of(store, day, row):
    table = store.partition("catalog", day).table(["row", "brand"])
    return dict(zip(*(table[name].to_pylist() for name in ("row", "brand")), strict=True))[row]


def test_a_moment_that_was_open_at_midnight_has_the_catalog_of_the_evening(corrected, days):
    seen = list(brands(corrected, days[1]))
    evening = [one for one in seen if one[0] < MIDNIGHT]
    assert 50 < len(evening) < len(seen) - 50
    for ts, row, brand in seen:
        own = days[0] if ts < MIDNIGHT else days[1]
        assert brand == brand_of(corrected, own, row)
    assert any(brand_of(corrected, days[0], r) != brand_of(corrected, days[1], r)
               for _, r, _ in evening)  # fmt: skip


def test_samples_that_do_not_tell_when_their_day_began_have_its_catalog(tmp_path, make_store, days):
    store = republished(make_store(tmp_path), days[1])
    assert all(brand == brand_of(store, days[1], row) for _, row, brand in brands(store, days[1]))


def test_where_retention_took_the_catalog_of_the_evening_the_days_own_is_there(corrected, days):
    shutil.rmtree(f"{corrected.root}/catalog/dt={days[0]}")
    assert all(
        brand == brand_of(corrected, days[1], row) for _, row, brand in brands(corrected, days[1])
    )


def test_the_catalog_of_the_evening_is_a_part_of_what_a_run_has_read(corrected, days):
    before = checkpoint.catalogs(Samples(corrected, days[1:]))
    assert list(before) == [day.isoformat() for day in days]
    assert list(checkpoint.catalogs(Samples(corrected, days[:1]))) == [days[0].isoformat()]


def test_moments_that_are_drawn_for_watching_have_the_catalog_of_their_own_day(corrected, days):
    day = sampled.read(corrected, days[1], 10_000, seed=0)
    seen = set()
    for rows, batch in day.batches(Samples(corrected, days).sizes):
        for ts, row, found in of_first(corrected, days[1], day.info(rows), batch):
            own = days[0] if ts < MIDNIGHT else days[1]
            assert found == brand_of(corrected, own, row)
            seen.add(own)
    assert seen == set(days)
