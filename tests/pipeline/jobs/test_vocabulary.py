from collections import Counter
from datetime import date

import numpy as np
import pytest

from features import catalog, inputs, vocabulary
from features.items.statistics import StatisticsConfig
from features.query import words
from features.vocabulary import VocabularyConfig
from infra.errors import PartitionMissing
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import catalog as catalog_job
from pipeline.jobs import statistics as statistics_job
from pipeline.jobs import vocabulary as vocabulary_job
from tests.pipeline.jobs.market_days import Market, days, write

BEAM = BeamConfig(buckets=3)
TABLES = ("item", "shop", "brand", "category", "price", "overall", "lr_ctr", "lr_sample")


def build(store: Store, market: Market, count: int, beam: BeamConfig = BEAM, per_range: int = 40):
    for day in days(count):
        grow(store, market, day, beam, per_range)


def grow(store: Store, market: Market, day: date, beam: BeamConfig, per_range: int = 40):
    size = {"rows_per_range": per_range, "rows_per_batch": per_range}
    write(store, day, market.day(day), min(beam.buckets, 5))
    vocabulary_job.run(store, day, config=VocabularyConfig(**size), beam=beam)
    statistics_job.run(store, day, config=StatisticsConfig(**size), beam=beam)


def digests(store: Store, day: date) -> dict[str, str]:
    found = {
        name: store.partition("vocabulary", day, name).digest()
        for name in vocabulary.published(store, day)
    }
    found |= {name: store.partition("statistics", day, name).digest() for name in TABLES}
    found["catalog"] = store.partition("catalog", day).digest()
    found["items"] = store.partition("catalog", day, "items").digest()
    return found


def counts(store: Store, day: date) -> dict[str, dict[str, int]]:
    names = vocabulary.published(store, day)
    found = {name: store.partition("vocabulary", day, name) for name in names}
    found["items"] = store.partition("catalog", day, "items")
    return {name: dict(partition.manifest().counts) for name, partition in found.items()}


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


@pytest.fixture(scope="module")
def built(tmp_path_factory, market) -> Store:
    store = Store(tmp_path_factory.mktemp("built"))
    build(store, market, 3)
    return store


@pytest.mark.parametrize("buckets", [1, pytest.param(64, marks=pytest.mark.drill)])
def test_buckets_do_not_matter(tmp_path, market, built, buckets):
    store = Store(tmp_path)
    build(store, market, 2, BeamConfig(buckets=buckets), per_range=10 if buckets == 64 else 40)
    assert digests(store, days(2)[1]) == digests(built, days(2)[1])


def test_a_catalog_listed_a_few_chunks_at_a_time_is_the_same(tmp_path, market, built, monkeypatch):
    day = days(1)[0]
    whole = built.partition("catalog", day).table()
    monkeypatch.setattr(catalog_job, "CHUNK", 16)
    monkeypatch.setattr(catalog_job, "AT_A_TIME", 2)
    assert len(catalog_job._passes(2 + whole.num_rows)) == 3
    store = Store(tmp_path)
    build(store, market, 1)
    listed = store.partition("catalog", day)
    assert [entry.rows for entry in listed.manifest().files[:2]] == [14, 16]
    assert listed.table().equals(whole)


@pytest.mark.drill
def test_worker_processes_do_not_matter(tmp_path, market, built):
    store = Store(tmp_path)
    build(store, market, 1)
    first, second = days(2)
    assert digests(store, first) == digests(built, first)
    grow(store, market, second, BeamConfig(runner="multiprocess", workers=2, buckets=7))
    assert digests(store, days(2)[1]) == digests(built, days(2)[1])


def test_a_log_without_pages_or_snapshots_does_not_depend_on_buckets_either(tmp_path):
    market = Market(has_pages=False, inline=True, snapshot_every=0)
    one, two = Store(tmp_path / "one"), Store(tmp_path / "two")
    build(one, market, 2, BeamConfig(buckets=1))
    build(two, market, 2, BeamConfig(buckets=7), per_range=10)
    assert digests(one, days(2)[1]) == digests(two, days(2)[1])


@pytest.mark.parametrize("number", [2, 0])
def test_a_rerun_of_a_day_gives_the_same_bytes(built, number):
    """Also of one after which later days were built, and tables of the size that they had."""
    day = days(3)[number]
    sizes = {name: vocabulary.size(built, day, name) for name in vocabulary.published(built, day)}
    before, counted = digests(built, day), counts(built, day)
    assert counted["item"]["new"] > 0
    vocabulary_job.run(built, day, config=VocabularyConfig(rows_per_range=40), beam=BEAM)
    assert counts(built, day) == counted
    statistics_job.run(built, day, config=StatisticsConfig(rows_per_range=40), beam=BEAM)
    assert digests(built, day) == before
    assert sizes == {name: vocabulary.size(built, day, name) for name in sizes}


def test_a_row_is_for_ever(built):
    first, second, third = days(3)
    for earlier, later in ((first, second), (second, third)):
        for name in vocabulary.published(built, earlier):
            old, new = (rows_of(built, day, name) for day in (earlier, later))
            assert {key: row for key, row in old.items() if row != -1}.items() <= new.items()
        old, new = (catalog_row(built, day) for day in (earlier, later))
        assert old.items() <= new.items()
        assert len(new) > len(old)


def test_rows_are_dense_from_two(built):
    day = days(3)[2]
    for name in vocabulary.published(built, day):
        admitted = sorted(row for row in rows_of(built, day, name).values() if row != -1)
        assert admitted == list(range(2, 2 + len(admitted)))
        assert vocabulary.size(built, day, name) == 2 + len(admitted)
    rows = built.partition("catalog", day).table().column("row").to_pylist()
    assert rows == list(range(2, 2 + len(rows)))


def test_ids_are_counted_and_admitted_as_a_plain_recount_says(built, market):
    items, tokens, icons = Counter(), Counter(), Counter()
    for day in days(3):
        tables = market.day(day)
        touched = Counter(tables["behaviors"].column("item_id").to_pylist())
        shown = Counter(
            i for page in tables["impressions"].column("item_ids").to_pylist() for i in {*page}
        )
        items.update({**touched, **shown})  # of an item that was on pages, pages alone
        items.update(dict.fromkeys(tables["items"].column("item_id").to_pylist(), 0))
        for query in tables["impressions"].column("query").to_pylist():
            tokens.update(words(query or ""))
        for title in tables["items"].column("title").to_pylist():
            tokens.update(words(title))
        icons.update(tables["follows"].column("icon_id").to_pylist())
        icons.update(tables["icons"].column("icon_id").to_pylist())
    for name, expected in (("item", items), ("token", tokens), ("icon", icons)):
        table = built.partition("vocabulary", days(3)[2], name).table()
        found = dict(zip(*(table.column(c).to_pylist() for c in ("id", "count")), strict=True))
        assert found == dict(expected)
        needed = VocabularyConfig().needed(name)
        rows = rows_of(built, days(3)[2], name)
        assert {key for key, row in rows.items() if row >= 2} == {
            key for key, count in expected.items() if count >= needed
        }


def test_the_catalog_says_what_the_snapshot_says(built, market):
    day = days(3)[2]
    arrays = catalog.load(built, day)
    snapshot = market.day(day)["items"]
    rows = arrays.rows_of(snapshot.column("item_id"))
    assert (rows >= 2).all()
    for feature, column in (
        ("shop", "shop_id"),
        ("brand", "brand_id"),
        ("category", "category_id"),
    ):
        known = rows_of(built, day, feature)
        expected = [known[value] for value in snapshot.column(column).to_pylist()]
        assert getattr(arrays, feature)[rows].tolist() == expected
    tags = rows_of(built, day, "tag")
    for row, own in zip(rows, snapshot.column("tags").to_pylist(), strict=True):
        assert arrays.tags[row, : len(own)].tolist() == [tags[tag] for tag in own]
    assert np.allclose(arrays.price[rows], snapshot.column("price").to_numpy())


def test_an_item_outside_every_snapshot_is_known_by_its_id_alone(built, market):
    day = days(3)[2]
    arrays = catalog.load(built, day)
    listed = set(market.day(day)["items"].column("item_id").to_pylist())
    row = catalog_row(built, day)
    strangers = [row[name] for name in row if name not in listed]
    assert strangers
    assert (arrays.shop[strangers] == 1).all()
    assert (arrays.tags[strangers, :5] == 0).all()


def test_the_first_day_has_price_levels_but_no_statistics(built):
    arrays = catalog.load(built, days(1)[0])
    assert (arrays.tags[:, 5:8] == 0).all()
    priced = ~np.isnan(arrays.price) & (arrays.category > 1)
    assert set(arrays.price_level[priced]) == {1, 2, 3, 4, 5, 6, 7}
    later = catalog.load(built, days(2)[1])
    assert (later.tags[2:, 5:8] >= 2).all()
    assert (later.tags[:, 5:8] < 2 + len(vocabulary.STATISTIC_TAGS)).all()


def test_the_price_level_is_a_tag(built):
    arrays = catalog.load(built, days(2)[1])
    tag = rows_of(built, days(2)[1], "tag")
    expected = [tag[f"price:{level}"] if level else 0 for level in arrays.price_level[2:]]
    assert arrays.tags[2:, 8].tolist() == expected


def test_inline_attributes_are_the_latest_that_were_said(tmp_path):
    market = Market(has_pages=False, inline=True, snapshot_every=0)
    store = Store(tmp_path)
    build(store, market, 2)
    said: dict[str, dict[str, str]] = {}
    for day in days(2):
        rows = market.day(day)["behaviors"].to_pylist()
        rows.sort(
            key=lambda r: (r["ts"], *((r[c] or "") for c in ("shop_id", "brand_id", "category_id")))
        )
        for row in rows:
            for name in ("shop_id", "brand_id", "category_id"):
                if row[name] is not None:
                    said.setdefault(row["item_id"], {})[name] = row[name]
    table = store.partition("catalog", days(2)[1], "items").table()
    for row in table.to_pylist():
        for name in ("shop_id", "brand_id", "category_id"):
            assert row[name] == said[row["item_id"]].get(name), row["item_id"]


def test_a_gap_is_an_error_that_names_the_day(tmp_path, market):
    store = Store(tmp_path)
    _, second, third = days(3)
    build(store, market, 1)
    write(store, third, market.day(third))
    with pytest.raises(PartitionMissing, match=f"dupn rebuild --day {second}"):
        vocabulary_job.run(store, third, config=VocabularyConfig(), beam=BEAM)


@pytest.fixture
def mended(tmp_path, market) -> Store:
    """Two days built from users with a column too many, which the first day's no longer have."""
    store = Store(tmp_path)
    first, second = days(2)
    for day in (first, second):
        tables = market.day(day)
        users = tables.pop("users")
        if day == first:
            users = users.append_column("uid", users["user_id"])
            write(store, day, {"users": users})
        write(store, day, tables)
        vocabulary_job.run(store, day, config=VocabularyConfig(rows_per_range=40), beam=BEAM)
        statistics_job.run(store, day, config=StatisticsConfig(rows_per_range=40), beam=BEAM)
        assert "profile_uid" in vocabulary.published(store, day)
    write(store, first, {"users": market.day(first)["users"]})
    return store


def test_a_column_that_is_no_more_leaves_the_day_and_those_after_it(mended, market, tmp_path):
    for day in days(2):
        assert inputs.changed(mended, "vocabulary", day), day
        vocabulary_job.run(mended, day, config=VocabularyConfig(rows_per_range=40), beam=BEAM)
        assert "profile_uid" not in vocabulary.published(mended, day)
        assert not inputs.changed(mended, "vocabulary", day)
    fresh = Store(tmp_path / "fresh")
    write(fresh, days(1)[0], market.day(days(1)[0]))
    vocabulary_job.run(fresh, days(1)[0], config=VocabularyConfig(rows_per_range=40), beam=BEAM)
    assert vocabulary.published(mended, days(1)[0]) == vocabulary.published(fresh, days(1)[0])


def test_a_column_that_is_no_more_is_gone_before_the_day_is_closed(mended, monkeypatch):
    day = days(1)[0]
    seen = []

    def killed(store, *_, **__):
        seen.append(vocabulary.there(store, day))
        raise RuntimeError("killed")

    monkeypatch.setattr(vocabulary_job.catalog, "run", killed)
    with pytest.raises(RuntimeError, match="killed"):
        vocabulary_job.run(mended, day, config=VocabularyConfig(), beam=BEAM)
    assert "profile_age" in seen[0]
    assert "profile_uid" not in seen[0]
    assert inputs.changed(mended, "vocabulary", day)  # it is not closed: whoever asks builds it


def test_a_day_that_cannot_be_built_keeps_the_columns_that_it_has(mended, monkeypatch):
    def killed(*_, **__):
        raise RuntimeError("killed")

    monkeypatch.setattr(vocabulary_job, "_record", killed)
    with pytest.raises(RuntimeError, match="killed"):
        vocabulary_job.run(mended, days(1)[0], config=VocabularyConfig(), beam=BEAM)
    assert "profile_uid" in vocabulary.published(mended, days(1)[0])


def test_state_that_was_swept_is_no_change(mended):
    first, second = days(2)
    for name in vocabulary.published(mended, first):  # in the order of a sweep
        mended.partition("vocabulary", first, name).remove()
        assert not inputs.changed(mended, "vocabulary", second)


def test_late_rows_count_on_the_day_they_arrive(tmp_path, market, built):
    store = Store(tmp_path)
    first, second = days(2)
    tables = {first: market.day(first), second: market.day(second)}
    shifted = tables[second]["behaviors"]
    early = shifted.set_column(2, "ts", tables[first]["behaviors"].column("ts"))
    tables[second]["behaviors"] = early
    for day in (first, second):
        write(store, day, tables[day])
        vocabulary_job.run(store, day, config=VocabularyConfig(rows_per_range=40), beam=BEAM)
        statistics_job.run(store, day, config=StatisticsConfig(rows_per_range=40), beam=BEAM)
    ours, theirs = digests(store, second), digests(built, second)
    assert ours["item"] == theirs["item"]
    assert ours["catalog"] == theirs["catalog"]


def test_a_feature_that_is_not_named_admits_at_once():
    config = VocabularyConfig(min_count={"item": 5})
    assert config.needed("item") == 5
    assert config.needed("token") == 1
    assert VocabularyConfig().needed("item") == 2


def rows_of(store: Store, day: date, name: str) -> dict[str, int]:
    table = store.partition("vocabulary", day, name).table()
    return dict(zip(*(table.column(c).to_pylist() for c in ("id", "row")), strict=True))


def catalog_row(store: Store, day: date) -> dict[str, int]:
    table = store.partition("catalog", day).table()
    return dict(zip(*(table.column(c).to_pylist() for c in ("item_id", "row")), strict=True))
