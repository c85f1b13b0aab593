from collections import Counter, defaultdict
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from features import catalog, price
from features.buckets import hash_ids
from features.items import deciles, lr_ctr, statistics
from features.items.statistics import StatisticsConfig
from features.schemas import BEHAVIORS
from features.vocabulary import VocabularyConfig
from infra.errors import PartitionMissing
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import closing
from pipeline.jobs import statistics as statistics_job
from pipeline.jobs import vocabulary as vocabulary_job
from tests.pipeline.jobs import market_days
from tests.pipeline.jobs.market_days import Market, days, write

BEAM = BeamConfig(buckets=3)
CONFIG = StatisticsConfig(rows_per_range=40)
KINDS = {1: "clicks", 2: "bookmarks", 3: "carts", 4: "purchases"}


@pytest.fixture(scope="module")
def market() -> Market:
    return Market()


class Sampled(Market):
    """A third of the pages are logged; clicks come twice, late, or name items and pages of others.

    What is late is of the day before, and some of the one before that.
    """

    def day(self, day):
        tables = super().day(day)
        rows = tables["behaviors"].to_pylist()
        items = np.roll([row["item_id"] for row in rows], 1).tolist()
        users = np.roll([row["user_id"] for row in rows], 1).tolist()
        more = [dict(row) for row in rows]
        more += [row | {"item_id": item} for row, item in zip(rows, items, strict=True)]
        more += [row | {"user_id": user} for row, user in zip(rows, users, strict=True)]
        for back in (1, 2):
            if day - timedelta(days=back) >= market_days.FIRST:
                old = super().day(day - timedelta(days=back))["impressions"].to_pylist()
                name = ("user_id", "request_id")
                more += [
                    rows[0]
                    | {"type": 1, "item_id": page["item_ids"][-1], **{n: page[n] for n in name}}
                    for page in old[::2]
                ]
        every = pa.Table.from_pylist([*rows, *more], schema=BEHAVIORS)
        hashes = pa.array(hash_ids(every.column("user_id")))
        every = every.set_column(0, "user_hash", hashes)
        kept = np.arange(tables["impressions"].num_rows) % 3 == 0
        tables["behaviors"] = market_days._sorted(every, BEHAVIORS)
        tables["impressions"] = tables["impressions"].filter(pa.array(kept))
        return tables


def build(store: Store, market: Market, count: int = 3) -> Store:
    for day in days(count):
        write(store, day, market.day(day))
        vocabulary_job.run(store, day, config=VocabularyConfig(rows_per_range=40), beam=BEAM)
        statistics_job.run(store, day, config=CONFIG, beam=BEAM)
    return store


@pytest.fixture(scope="module")
def built(tmp_path_factory, market) -> Store:
    return build(Store(tmp_path_factory.mktemp("built")), market)


def recount(market: Market, count: int):
    totals, first, before = defaultdict(lambda: defaultdict(float)), {}, []
    for day in days(count):
        today = recount_day(market.day(day), before)
        before = market.day(day)["impressions"].to_pylist()
        for item in {*totals, *today}:
            first.setdefault(item, day)
            for name in (*KINDS.values(), "page_clicks", "sales", "impressions"):
                totals[item][name] = totals[item][name] * CONFIG.decay + today[item][name]
    return totals, first


def recount_day(tables, before):
    today, buyers = defaultdict(Counter), set()
    for row in tables["behaviors"].to_pylist():
        today[row["item_id"]][KINDS[row["type"]]] += 1
        if row["type"] == 4:
            buyers.add((row["user_id"], row["item_id"]))
    for _, item in buyers:
        today[item]["sales"] += 1
    for page in tables["impressions"].to_pylist():
        for item in set(page["item_ids"]):
            today[item]["impressions"] += 1
    for item in clicked_on_pages(tables, before):
        today[item]["page_clicks"] += 1
    return today


def clicked_on_pages(tables, before):
    """An item for each display of the day, or of the day before, that was clicked."""
    pages = [*before, *tables["impressions"].to_pylist()]
    names = ("user_id", "request_id", "item_id")
    rows = tables["behaviors"].to_pylist()
    for display in {tuple(row[name] for name in names) for row in rows if row["type"] == 1}:
        shown = [
            page["item_ids"]
            for page in pages
            if (page["user_id"], page["request_id"]) == display[:2]
        ]
        if any(display[2] in items for items in shown):
            yield display[2]


@pytest.mark.parametrize("pages", ["all", "sampled"])
def test_counts_are_those_of_a_plain_recount(built, market, tmp_path, pages):
    if pages == "sampled":
        market = Sampled()
        built = build(Store(tmp_path), market)
    totals, first = recount(market, 3)
    table = built.partition("statistics", days(3)[2], "item").table()
    assert set(table.column("item_id").to_pylist()) == set(totals)
    for row in table.to_pylist():
        item = row["item_id"]
        assert row["first_day"] == first[item]
        for name, value in totals[item].items():
            assert row[name] == pytest.approx(value, rel=1e-5), (item, name)


def test_late_clicks_on_pages_that_were_not_counted_do_not_count(tmp_path):
    """The day before had derived moments: what its pages showed is in no figure."""
    store, market, (first, second) = Store(tmp_path), Sampled(), days(2)
    for day, moments in ((first, "derived"), (second, "auto")):
        write(store, day, market.day(day))
        vocabulary_job.run(store, day, config=VocabularyConfig(), beam=BEAM)
        statistics_job.run(store, day, config=CONFIG, beam=BEAM, moments=moments)
    counted = store.partition("statistics", second, "item").table(["page_clicks"])
    expected = len([*clicked_on_pages(market.day(second), [])])
    assert sum(counted["page_clicks"].to_pylist()) == expected
    before = market.day(first)["impressions"].to_pylist()
    assert len([*clicked_on_pages(market.day(second), before)]) > expected


def test_after_its_half_life_an_event_counts_half():
    assert StatisticsConfig(half_life_days=14).decay ** 14 == pytest.approx(0.5)
    assert StatisticsConfig(half_life_days=0.5).decay == pytest.approx(0.25)


def test_groups_are_sums_of_their_items_and_arrays_stand_by_catalog_row(built, market):
    day = days(3)[2]
    arrays = catalog.load(built, day)
    loaded = statistics.load(built, day, arrays)
    totals, first = recount(market, 3)
    rows = arrays.rows_of(built.partition("catalog", day).table().column("item_id"))
    ids = built.partition("catalog", day).table().column("item_id").to_pylist()
    clicks = dict(zip(ids, loaded.item.clicks[rows], strict=True))
    assert clicks == pytest.approx({i: totals[i]["clicks"] for i in ids}, rel=1e-5)
    for name in ("shop", "brand", "category"):
        of = getattr(arrays, name)
        for row in range(2, of.max() + 1):
            expected = loaded.item.carts[of == row].sum()
            assert getattr(loaded, name).carts[of == row] == pytest.approx(expected, rel=1e-5)
        assert (getattr(loaded, name).carts[of == 1] == 0).all()
    age = dict(zip(ids, loaded.age_days[rows], strict=True))
    assert age == {i: (day - first[i]).days if i in first else -1 for i in ids}


def test_rates_are_smoothed_towards_the_market(built):
    day = days(3)[2]
    arrays = catalog.load(built, day)
    loaded = statistics.load(built, day, arrays)
    item = loaded.item
    market = item.page_clicks.sum() / item.impressions.sum()
    assert loaded.ctr == pytest.approx(
        np.minimum(1, (item.page_clicks + 20 * market) / (item.impressions + 20)), rel=1e-4
    )
    assert loaded.ctr[1] == pytest.approx(market, rel=1e-5)
    bought = item.purchases.sum() / item.clicks.sum()
    expected = np.minimum(1, (item.purchases + 20 * bought) / (item.clicks + 20))
    assert loaded.cvr == pytest.approx(expected, rel=1e-4)


def test_yesterdays_statistics_fit_todays_catalog(built):
    first, second, _ = days(3)
    old = statistics.load(built, first, catalog.load(built, first))
    new = statistics.load(built, first, catalog.load(built, second))
    size = len(old.first_day)
    assert len(new.first_day) > size
    assert (new.item.clicks[:size] == old.item.clicks).all()
    assert (new.item.clicks[size:] == 0).all()
    assert (new.age_days[size:] == -1).all()


def test_before_the_first_day_all_is_zero(built):
    arrays = catalog.load(built, days(1)[0])
    none = statistics.load(built, None, arrays)
    assert not none.lr_ctr.any()
    assert not none.item.clicks.any()
    assert none.ctr.tolist() == [0] * arrays.num_rows


def test_a_display_is_positive_when_its_page_and_item_were_clicked(built, market):
    day = days(3)[2]
    tables = market.day(day)
    clicks = {
        (row["request_id"], row["item_id"])
        for row in tables["behaviors"].to_pylist()
        if row["type"] == 1 and row["request_id"]
    }
    shown = [
        ((page["request_id"], item) in clicks)
        for page in tables["impressions"].to_pylist()
        for item in dict.fromkeys(page["item_ids"])
    ]
    sample = built.partition("statistics", day, "lr_sample").table()
    assert sample.column("clicked").to_pylist() == [int(hit) for hit in shown]


def test_the_sample_is_bounded_and_keeps_whole_pages(tmp_path, market):
    store, day = Store(tmp_path), days(1)[0]
    tables = market.day(day)
    pages = tables["impressions"]
    shown = pa.array([[f"i{n}" for n in range(market.page_size)]] * pages.num_rows)
    at = pages.column_names.index("item_ids")
    write(store, day, {**tables, "impressions": pages.set_column(at, "item_ids", shown)})
    vocabulary_job.run(store, day, config=VocabularyConfig(), beam=BEAM)
    counts = statistics_job.run(store, day, config=StatisticsConfig(lr_samples=200), beam=BEAM)
    assert 100 < counts["displays"] < 300
    assert counts["displays"] % market.page_size == 0


def test_clicks_are_drawn_so_that_with_their_negatives_they_are_as_many_as_asked(tmp_path):
    store, day = Store(tmp_path), days(1)[0]
    tables = Market(has_pages=False).day(day)
    write(store, day, tables)
    config = StatisticsConfig(lr_samples=100, lr_negatives=4)
    rate = statistics_job.plan(store, day, config, BEAM).rate
    assert rate * tables["behaviors"].num_rows * (1 + 4) == pytest.approx(100)


def test_without_pages_negatives_are_items_of_the_day_before(tmp_path):
    market = Market(has_pages=False, snapshot_every=0)
    store = Store(tmp_path)
    for day in days(2):
        write(store, day, market.day(day))
        vocabulary_job.run(store, day, config=VocabularyConfig(), beam=BEAM)
        counts = statistics_job.run(store, day, config=CONFIG, beam=BEAM)
    first, second = days(2)
    known = set(market.day(first)["behaviors"].column("item_id").to_pylist())
    rows = market.day(second)["behaviors"].to_pylist()
    clicks = sum(1 for row in rows if row["type"] == 1 and row["item_id"] in known)
    assert counts["clicked"] == clicks
    assert counts["displays"] == clicks * (1 + CONFIG.lr_negatives)
    arrays = catalog.load(store, second)
    loaded = statistics.load(store, second, arrays)
    seen = loaded.item.clicks[2:] > 0
    assert np.corrcoef(loaded.lr_ctr[2:][seen], loaded.item.clicks[2:][seen])[0, 1] > 0.5


def test_where_moments_are_derived_pages_are_as_good_as_absent(tmp_path):
    """`sequences.moments = "derived"`, for a log whose pages no behaviour names."""
    learnt, days_of = [], days(2)
    for name, kept in (("with", True), ("without", False)):
        store = Store(tmp_path / name)
        for day in days_of:
            tables = dict(Market(snapshot_every=0).day(day))
            if not kept:
                del tables["impressions"]
            write(store, day, tables)
            vocabulary_job.run(store, day, config=VocabularyConfig(), beam=BEAM)
            counts = statistics_job.run(store, day, config=CONFIG, beam=BEAM, moments="derived")
        assert counts["clicked"] > 0
        parts = store.partition("statistics", days_of[1])
        learnt.append(
            {one: store.partition("statistics", days_of[1], one).digest() for one in parts.names()}
        )
    assert learnt[0] == learnt[1]


def test_a_day_without_its_pages_shows_nothing_and_leaves_the_weights(tmp_path, market):
    store, (first, second) = Store(tmp_path), days(2)
    for day in (first, second):
        tables = dict(market.day(day))
        if day == second:
            del tables["impressions"]
        write(store, day, tables)
        vocabulary_job.run(store, day, config=VocabularyConfig(), beam=BEAM)
        counts = statistics_job.run(store, day, config=CONFIG, beam=BEAM)
    assert (counts["displays"], counts["clicked"]) == (0, 0)
    before, after = (store.partition("statistics", day, "lr_ctr") for day in (first, second))
    assert before.digest() == after.digest()


def test_tags_are_deciles_of_the_day_before(built):
    first, second, _ = days(3)
    arrays = catalog.load(built, second)
    before = statistics.load(built, first, arrays)
    assert (arrays.tags[2:, 5:8] == deciles.tag_rows(before.item, before.overall)[2:]).all()


def test_price_levels_follow_the_edges_of_the_day_before(built):
    first, second, _ = days(3)
    arrays = catalog.load(built, second)
    edges = price.of_table(built.partition("statistics", first, "price").table())
    assert (arrays.price_level == edges.levels(arrays.price, arrays.category)).all()


def test_the_weights_of_the_day_before_are_what_lr_ctr_is_pulled_towards(built):
    first, second, _ = days(3)
    arrays = catalog.load(built, second)
    before = lr_ctr.of_table(built.partition("statistics", first, "lr_ctr").table())
    strong = StatisticsConfig(lr_l2=1e9)
    _, weights = closing._learn(built, second, arrays, strong, paged=True)
    assert np.abs(before).max() > 0.1
    assert weights == pytest.approx(before, abs=1e-4)


def test_statistics_need_the_vocabulary_of_the_day(tmp_path, market):
    store, day = Store(tmp_path), days(1)[0]
    write(store, day, market.day(day))
    with pytest.raises(PartitionMissing, match="catalog"):
        statistics_job.run(store, day, config=CONFIG, beam=BEAM)
