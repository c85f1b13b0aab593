"""Whether a day came to its end, and whether its samples are those of the days before."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from features.quality.figures import MANY, OFTEN, QualityConfig, merge, metrics
from features.quality.measured import measure, repeats
from features.schemas import BEHAVIORS, FOLLOWS, IMPRESSIONS, SAMPLES, SEQ_COLUMNS, conform
from pipeline.quality.checks import suite

DAY = date(2026, 3, 2)
MIDNIGHT_MS = 1_772_409_600_000  # 2026-03-02 00:00 UTC
HOUR_MS = 3_600_000
SCHEMAS = {"impressions": IMPRESSIONS, "follows": FOLLOWS, "samples": SAMPLES}


def until(hour, name, rows=OFTEN):
    """The tally of rows spread evenly over the hours of the day up to one."""
    step = hour * HOUR_MS // (rows - 1)
    ts = [MIDNIGHT_MS + step * (row + 1 - rows) + hour * HOUR_MS for row in range(rows)]
    return measure(name, conform(pa.table({"ts": ts}), SCHEMAS[name]))


def warned(of, figures):
    """Figures outside the limits of the suite, and which of them stop the day."""
    return {
        one.figure: one.critical
        for one in suite(of, figures, QualityConfig())
        if one.high is not None and figures.get(one.figure, 0) > one.high
    }


@pytest.mark.parametrize("name", ["impressions", "follows"])
def test_an_evening_without_pages_or_follows_is_a_warning(name):
    cut = metrics(until(18, name), {}, DAY, "UTC", [])
    assert cut[f"{name}.ts.stale_h"] == pytest.approx(6)
    assert warned("events", cut)[f"{name}.ts.stale_h"] is False
    whole = metrics(until(23, name), {}, DAY, "UTC", [])
    assert f"{name}.ts.stale_h" not in warned("events", whole)


@pytest.mark.parametrize("name", ["impressions", "follows"])
def test_nothing_is_said_of_the_evening_of_a_few_or_of_dates_alone(name):
    few = until(17, name, OFTEN - 1)
    dates = {key: MIDNIGHT_MS if ".ts." in key else n for key, n in until(17, name).items()}
    for tally in (few, dates):
        assert f"{name}.ts.stale_h" not in metrics(tally, {}, DAY, "UTC", [])


def test_samples_end_an_attribution_window_before_their_day():
    figures = metrics(until(17, "samples"), {}, DAY, "UTC", [], window_ms=2 * HOUR_MS)
    assert figures["samples.ts.stale_h"] == pytest.approx(5)


def labelled(levels, kinds=(1, 2)):
    """The tally of moments with price levels, each with a history of some types."""
    history = {name: [list(kinds)] * len(levels) for name in SEQ_COLUMNS}
    table = pa.table({"price_level": pa.array(levels, pa.int8()), **history})
    return measure("samples", conform(table, SAMPLES))


USUAL = labelled([None, *range(1, 8)] * MANY["samples.price_level"])
DEAR = [None, None, 7]


@pytest.mark.parametrize(
    ("column", "day"),
    [("price_level", labelled(DEAR * 300)), ("seq_type", labelled([1] * 300, kinds=(3, 4)))],
)
def test_samples_of_other_prices_or_histories_are_a_warning(column, day):
    figure = f"samples.{column}.drift"
    assert warned("samples", metrics(day, {}, DAY, "UTC", [USUAL] * 3))[figure] is False
    assert figure not in warned("samples", metrics(USUAL, {}, DAY, "UTC", [USUAL] * 3))


def test_moments_that_ask_for_no_price_are_no_part_of_its_mix():
    asked = labelled([*range(1, 8)] * 300)
    figures = metrics(asked, {}, DAY, "UTC", [USUAL] * 3)
    assert figures["samples.price_level.drift"] == pytest.approx(0, abs=1e-4)


def test_of_few_purchases_no_drift_is_told():
    for day, before in ((labelled(DEAR * 299), USUAL), (labelled(DEAR * 300), labelled(DEAR))):
        assert "samples.price_level.drift" not in metrics(day, {}, DAY, "UTC", [before] * 3)


def priced(count, rng):
    """The tally of behaviours with lognormal prices."""
    table = pa.table({"price": pa.array(rng.lognormal(3, 1, count), pa.float32())})
    return measure("behaviors", conform(table, BEHAVIORS))


def test_chance_alone_stops_no_day_for_its_prices():
    """Of ten prices a day every third would be stopped, of fifty two in a thousand."""
    rng, floor = np.random.default_rng(7), MANY["behaviors.price"]
    days = [priced(floor, rng) for _ in range(60)]
    found = [
        metrics(day, {}, DAY, "UTC", days[at : at + 7])["behaviors.price.drift"]
        for at, day in enumerate(days[7:])
    ]
    assert max(found) < QualityConfig().max_drift
    few = [priced(floor - 1, rng) for _ in range(8)]
    told = metrics(few[7], {}, DAY, "UTC", few[:7])
    assert "behaviors.price.drift" not in told
    other = {"sum:behaviors.rows": floor, "sum:behaviors.price.mix.20": floor}
    figures = metrics(other, {}, DAY, "UTC", days[:7])
    assert warned("events", figures)["behaviors.price.drift"] is True


def test_days_judged_before_the_mixes_of_samples_were_counted_say_nothing_of_them():
    """And do not thin out what those say that did."""
    old = {key: n for key, n in USUAL.items() if "price_level.mix" not in key}
    old = {key: n for key, n in old.items() if "seq_type.mix" not in key}
    figures = metrics(USUAL, {}, DAY, "UTC", [old] * 3)
    assert {key for key in figures if key.startswith("samples.") and key.endswith("drift")} == {
        "samples.scenario.drift"
    }
    figures = metrics(USUAL, {}, DAY, "UTC", [old, old, USUAL])
    for column in ("price_level", "seq_type"):
        assert figures[f"samples.{column}.drift"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_moment_that_stands_there_twice_is_counted_however_a_file_is_cut(size):
    """Its user's rows stand together, some time apart."""
    users, ids = [1, 2, 2, 2, 2, 2, 3], ["a", "b", "c", "b", "d", "b", "e"]
    table = conform(pa.table({"user_hash": users, "sample_id": ids}), SAMPLES)
    begun, tallies = None, []
    for start in range(0, len(table), size):
        again, begun = repeats(table.slice(start, size), begun)
        tallies += [again, {"sum:samples.rows": len(table.slice(start, size))}]
    figures = metrics(merge(tallies), {}, DAY, "UTC", [])
    assert figures["samples.sample_id.repeated_share"] == pytest.approx(2 / 7)
    assert warned("samples", figures) == {"samples.sample_id.repeated_share": False}
