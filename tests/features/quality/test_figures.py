"""Tallies merge in any order, and the figures made of them are those counted by hand."""

from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from features.quality.figures import COMPARED, merge, metrics, stability_index
from features.quality.measured import measure
from features.schemas import (
    BEHAVIORS,
    CATALOG,
    ITEMS,
    SAMPLES,
    SEQ_COLUMNS,
    TAGS_PER_ITEM,
    conform,
)

DAY = date(2026, 3, 2)
MIDNIGHT_MS = 1_772_409_600_000  # 2026-03-02 00:00 UTC


def behaviors(types: list[int], users: list[str | None], prices: list[float | None]) -> pa.Table:
    count = len(types)
    return conform(
        pa.table(
            {
                "user_id": pa.array(users, pa.string()),
                "item_id": ["i"] * count,
                "ts": pa.array([MIDNIGHT_MS + 3_600_000 * i for i in range(count)]),
                "type": types,
                "scenario": [1] * count,
                "price": pa.array(prices, pa.float32()),
            }
        ),
        BEHAVIORS,
    )


TABLE = behaviors([1, 1, 1, 4, 9], ["a", "b", None, "a", "a"], [1.0, 0.0, 4.0, None, 5.0])


def test_shares_are_those_counted_by_hand():
    counts = {"behaviors_read": 10, "behaviors_rejected": 1, "behaviors_duplicate": 4}
    figures = metrics(measure("behaviors", TABLE), counts, DAY, "UTC", [])
    assert figures["behaviors.rows"] == 5
    assert figures["behaviors.user_id.null_share"] == pytest.approx(0.2)
    assert figures["behaviors.type.bad_share"] == pytest.approx(0.2)
    assert figures["behaviors.price.bad_share"] == pytest.approx(0.2)
    assert figures["behaviors.reject_share"] == pytest.approx(0.1)
    assert figures["behaviors.duplicate_share"] == pytest.approx(0.4)
    assert figures["behaviors.ts.stale_h"] == pytest.approx(20.0)


def test_times_that_a_clock_showed_twice_are_a_share_of_the_rows_read_where_there_are_any():
    counts = {"behaviors_read": 10, "behaviors_ambiguous": 2}
    figures = metrics(measure("behaviors", TABLE), counts, DAY, "UTC", [])
    assert figures["behaviors.ambiguous_share"] == pytest.approx(0.2)
    counts["behaviors_ambiguous"] = 0
    without = metrics(measure("behaviors", TABLE), counts, DAY, "UTC", [])
    assert figures.keys() - without.keys() == {"behaviors.ambiguous_share"}


def test_of_snapshots_that_are_not_measured_the_counts_of_events_tell():
    counts = {"users_read": 8, "users_rejected": 2, "users_duplicate": 1, "users_kept": 5}
    figures = metrics(measure("behaviors", TABLE), counts | {"items_kept": 0}, DAY, "UTC", [])
    found = {name: value for name, value in figures.items() if not name.startswith("behaviors")}
    assert found == {
        "users.rows": 5,
        "users.reject_share": 0.25,
        "users.duplicate_share": 0.125,
        "items.rows": 0,
    }


def test_a_snapshot_is_held_against_those_of_the_days_that_had_one():
    tally = measure("behaviors", TABLE)
    before = [{"sum:users.rows": 100.0}, {}, {"sum:users.rows": 110.0}, {"sum:users.rows": 90.0}]
    figures = metrics(tally, {"users_kept": 30}, DAY, "UTC", before)
    assert figures["users.volume_ratio"] == pytest.approx(0.3)
    assert "users.volume_ratio" not in metrics(tally, {"users_kept": 30}, DAY, "UTC", before[1:])
    assert "users.volume_ratio" not in metrics(tally, {}, DAY, "UTC", before)


def test_a_day_of_25_hours_is_not_staler_than_another():
    """Where times are dates alone, all of them are the day's first moment."""
    day, zone = date(2026, 10, 25), "Europe/Berlin"
    start = int(datetime.combine(day, time(), ZoneInfo(zone)).timestamp() * 1000)
    table = TABLE.set_column(
        TABLE.schema.get_field_index("ts"), TABLE.schema.field("ts"),
        pa.array([start] * TABLE.num_rows, pa.int64()).cast(TABLE.schema.field("ts").type),
    )  # fmt: skip
    figures = metrics(measure("behaviors", table), {}, day, zone, [])
    assert figures["behaviors.ts.stale_h"] == pytest.approx(24.0)


def test_scenarios_outside_their_set_and_prices_by_powers_of_two_are_counted():
    table = behaviors([1] * 4, list("abcd"), [0.9, 1.0, 1.9, 4.0])
    odd = table.set_column(table.schema.get_field_index("scenario"), "scenario", [[0, 1, 4, 5]])
    tally = measure("behaviors", odd.cast(BEHAVIORS))
    assert tally["sum:behaviors.scenario.bad"] == 2
    mix = {key[24:]: n for key, n in tally.items() if key.startswith("sum:behaviors.price.mix.")}
    assert mix == {"-1": 1, "0": 2, "2": 1}


def test_parts_in_any_order_give_the_tally_of_the_whole():
    parts = [measure("behaviors", TABLE.slice(i, 1)) for i in (3, 0, 4, 1, 2)]
    assert merge(parts) == measure("behaviors", TABLE)


def test_volume_is_held_against_the_median_of_the_days_before():
    day = measure("behaviors", TABLE)
    before = [{**day, "sum:behaviors.rows": rows} for rows in (100, 1000, 4000)]
    day["sum:behaviors.rows"] = 500
    assert metrics(day, {}, DAY, "UTC", before)["behaviors.volume_ratio"] == pytest.approx(0.5)
    assert "behaviors.volume_ratio" not in metrics(day, {}, DAY, "UTC", before[:2])


def test_of_an_even_number_of_days_the_median_lies_between_the_two_in_the_middle():
    day = measure("behaviors", TABLE)
    before = [{**day, "sum:behaviors.rows": rows} for rows in (400, 10, 100, 60)]
    day["sum:behaviors.rows"] = 120
    ratio = metrics(day, {}, DAY, "UTC", before)["behaviors.volume_ratio"]
    assert ratio == pytest.approx(120 / 80)


@pytest.mark.parametrize(
    ("before", "rows", "ratio"),
    [
        ([0, 0, 0, 0], 0, None),
        ([0, 0, 0, 0], 1, None),
        ([1, 1, 1, 1], 0, None),
        ([3, 5, 2], COMPARED - 1, None),
        ([0, 0, 0], 5_000, 5_000),
        ([0, 0, 1, 1], COMPARED, COMPARED),
        ([5_000, 5_000, 4_000], 0, 1 / 5_000),
    ],
)
def test_of_a_few_rows_a_day_none_are_too_many_or_too_few(before, rows, ratio):
    """And of many each is told in a number, for which a limit can be set."""
    days = [{"sum:follows.rows": float(one)} for one in before]
    figures = metrics({"sum:follows.rows": float(rows)}, {}, DAY, "UTC", days)
    assert figures.get("follows.volume_ratio") == (ratio and pytest.approx(ratio))


def test_the_same_mix_has_not_drifted_and_another_has():
    assert stability_index({"a": 50, "b": 50}, [{"a": 500, "b": 500}]) == pytest.approx(0, abs=1e-4)
    assert stability_index({"a": 90, "b": 10}, [{"a": 500, "b": 500}]) > 0.5
    assert stability_index({"a": 100, "new": 100}, [{"a": 100}]) > 0.5


def test_price_levels_that_nobody_knows_yet_are_no_other_mix():
    """A log that tells its prices by itself has edges from its second day on."""
    level = "sum:catalog.price_level.mix."
    rows = {"sum:catalog.rows": 301, "max:catalog.row.last": 302}
    priced = {**rows, **{f"{level}{n}": 43 for n in range(1, 8)}}
    first = {**rows, f"{level}0": 301}
    figures = metrics(priced, {}, DAY, "UTC", [first, priced, priced])
    assert figures["catalog.price_level.drift"] == pytest.approx(0, abs=1e-3)
    assert "catalog.price_level.drift" not in metrics(first, {}, DAY, "UTC", [first] * 3)


@pytest.mark.parametrize("lost", ["impressions", "follows", "behaviors.price"])
def test_what_all_days_before_had_and_this_one_lacks_is_told(lost):
    day = measure("behaviors", TABLE) | {"sum:impressions.rows": 3, "sum:follows.rows": 2}
    bare = {key: value for key, value in day.items() if not key.startswith(f"sum:{lost}.")}
    told = f"{lost}.absent_share"
    assert metrics(bare, {}, DAY, "UTC", [day, day])[told] == 1
    for before in ([], [day, bare]):
        assert told not in metrics(bare, {}, DAY, "UTC", before)
    assert not [key for key in metrics(day, {}, DAY, "UTC", [day]) if key.endswith("absent_share")]


def test_optional_attributes_of_items_are_counted():
    items = conform(pa.table({"item_id": ["a", "b"], "price": [1.0, None]}), ITEMS)
    figures = metrics(measure("items", items), {}, DAY, "UTC", [])
    assert figures["items.price.null_share"] == pytest.approx(0.5)
    assert figures["items.brand_id.null_share"] == pytest.approx(1.0)


def catalog(**columns) -> pa.Table:
    count = 4
    tags = pa.FixedSizeListArray.from_arrays(pa.array([2] * count * TAGS_PER_ITEM), TAGS_PER_ITEM)
    given = {
        "item_id": ["a", "b", "c", "d"],
        "row": [2, 3, 4, 5],
        **{key: [1, 2, 3, 4] for key in ("item", "brand", "shop", "category")},
        "tags": tags,
        "price": [1.0, None, 2.0, 3.0],
        "price_level": [1, 0, 7, 7],
        **columns,
    }
    return conform(pa.table(given), CATALOG)


def test_a_catalog_is_counted_as_by_hand():
    figures = metrics(measure("catalog", catalog()), {}, DAY, "UTC", [])
    assert figures["catalog.rows"] == 4
    assert figures["catalog.row.bad_share"] == 0
    assert figures["catalog.brand.null_share"] == pytest.approx(0.25)
    assert figures["catalog.price.null_share"] == pytest.approx(0.25)
    assert figures["catalog.price_level.null_share"] == pytest.approx(0.25)
    assert all(v == 0 for name, v in figures.items() if name.endswith("bad_share"))


@pytest.mark.parametrize(
    ("column", "values", "figure"),
    [
        ("row", [2, 3, 4, 6], "row"),
        ("item", [0, 2, 3, 4], "item"),
        ("price_level", [1, 0, 7, 8], "price_level"),
        ("price", [0.0, None, 2.0, 3.0], "price"),
        ("item_id", ["a", None, "c", "d"], "item_id"),
        ("tags", [[-1] + [2] * 8, *[[2] * 9] * 3], "tags"),
    ],
)
def test_what_a_catalog_must_not_hold_is_counted(column, values, figure):
    figures = metrics(measure("catalog", catalog(**{column: values})), {}, DAY, "UTC", [])
    rows = 36 if figure == "tags" else 4  # of which tags there are nine each
    assert figures[f"catalog.{figure}.bad_share"] == pytest.approx(1 / rows)


def test_a_catalog_row_that_nobody_has_taken_yet_needs_no_item():
    unknown = {key: [1, 1, 3, 4] for key in ("item", "brand", "shop", "category")}
    table = catalog(item_id=[None, "b", "c", "d"], **unknown)
    assert metrics(measure("catalog", table), {}, DAY, "UTC", [])["catalog.item_id.bad_share"] == 0


NONE = [None, None, None]


def moments(**columns) -> pa.Table:
    """Four of them; candidates are asked at two."""
    given = {
        "sample_id": list("wxyz"),
        "user_id": list("aabb"),
        "ts": [MIDNIGHT_MS] * 4,
        "scenario": [1, 1, 4, 4],
        **{name: [[1, 4], [3], [1], [2]] for name in SEQ_COLUMNS},
        "cand_item": [[2, 3], [4], None, None],
        "cand_clicked": [[1, 0], [0], None, None],
        "cand_label": [[1, -1], [-1], None, None],
        "cand_weight": [[5.0, 1.0], [1.0], None, None],
        "cand_features": [[[0.1], [0.2]], [[0.3]], None, None],
        "cand_purchased": [[1, 0], [0], None, None],
        "cand_origin": [[1, 1], [1], None, None],
        "price_level": [1, None, 7, None],
        "price_offer": [[1 / 7] * 7, None, [0.4, *[0.1] * 6], None],
        **columns,
    }
    return conform(pa.table(given), SAMPLES)


def test_samples_are_counted_as_by_hand():
    tally = measure("samples", moments())
    assert (tally["sum:samples.shown"], tally["sum:samples.clicked"]) == (3, 1)
    figures = metrics(tally, {}, DAY, "UTC", [])
    assert (figures["samples.rows"], figures["samples.seq_item.longest"]) == (4, 2)
    assert all(v == 0 for name, v in figures.items() if name.endswith(("bad_share", "null_share")))


def test_a_day_on_which_every_candidate_was_clicked_is_told():
    def told(*clicked):
        table = moments(cand_clicked=[*clicked, None, None])
        return metrics(measure("samples", table), {}, DAY, "UTC", []).get(
            "samples.only_clicks_share"
        )

    assert told([1, 1], [1]) == 1
    assert told([1, 0], [1]) is told([0, 0], [0]) is told(None, None) is None


def test_samples_of_before_there_were_offers_are_judged_all_the_same():
    older = moments().drop_columns("price_offer")
    assert measure("samples", older)["sum:samples.price_offer.bad"] == 0


@pytest.mark.parametrize(
    ("columns", "figure"),
    [
        ({name: [[1, 4], [], [1], [2]] for name in SEQ_COLUMNS}, "seq_item.empty"),
        *(({name: [[1], [3], [1], [2]]}, "seq_item.uneven") for name in SEQ_COLUMNS[1:]),
        *(
            ({f"cand_{name}": [[1], [1], None, None]}, "cand_item.uneven")
            for name in ("clicked", "label", "weight", "purchased", "origin")
        ),
        ({"cand_purchased": [[1, 0], None, None, None]}, "cand_item.uneven"),
        ({"cand_purchased": [[1, 0], [0], [1], None]}, "cand_item.uneven"),
        ({"icon": [[2, 3], None, None, None], "icon_followed": [[0], *NONE]}, "icon.uneven"),
        ({"shop": [[2], None, None, None], "shop_preferred": [[1, 0], *NONE]}, "shop.uneven"),
        ({"cand_features": [[[0.1]], [[0.3]], None, None]}, "cand_item.uneven"),
        ({"cand_features": [[[0.1], [float("nan")]], [[0.3]], None, None]}, "cand_features"),
        ({"cand_label": [[1, 0], [-1], None, None]}, "cand_label"),
        ({"seq_type": [[1, 5], [3], [1], [2]]}, "seq_type"),
        ({"seq_type": [[1, 0], [3], [1], [2]]}, "seq_type"),
        ({"price_level": [8, None, 7, None]}, "price_level"),
        ({"price_level": [0, None, 7, None]}, "price_level"),
        *(
            ({"price_offer": [[1 / 7] * 7, shares, None, None]}, "price_offer")
            for shares in (
                [1 / 6] * 6,
                [],
                [0.2] * 7,
                [0.0, *[1 / 6] * 6],
                [float("nan"), *[1 / 6] * 6],
            )
        ),
    ],
)
def test_what_samples_must_not_hold_is_counted(columns, figure):
    figures = metrics(measure("samples", moments(**columns)), {}, DAY, "UTC", [])
    bad = {name: value for name, value in figures.items() if name.endswith("bad_share") and value}
    of = {"cand_features": 3, "cand_label": 3, "seq_type": 5}  # values; of the others moments
    assert bad == {f"samples.{figure}.bad_share": pytest.approx(1 / of.get(figure, 4))}


def test_a_snapshot_that_comes_now_and_then_is_held_against_the_days_that_had_one():
    day = {"sum:items.rows": 60.0}
    before = [{}, {"sum:items.rows": 50.0}, {}, {}, {"sum:items.rows": 40.0}]
    assert "items.volume_ratio" not in metrics(day, {}, DAY, "UTC", before)
    figures = metrics(day, {}, DAY, "UTC", [*before, {"sum:items.rows": 30.0}])
    assert figures["items.volume_ratio"] == pytest.approx(1.5)
