from datetime import date

import numpy as np
import pytest

from evaluation import metrics, night_plots, nights, watch
from evaluation.names import HEADS
from evaluation.results import Figure
from evaluation.sampled import draw
from evaluation.settings import EvaluateConfig, WatchConfig
from evaluation.watch import Night
from infra.store import Store
from tests.evaluation import synthetic

CONFIG = WatchConfig()
EVALUATE = watch.settings(WatchConfig(replicates=40), EvaluateConfig())
DAY = date(2026, 3, 12)
HASHES = np.repeat(np.arange(1, 41, dtype=np.uint64), 5)


def age_figure(age, value):
    low, high = value - 0.005, value + 0.005
    return Figure(
        name=f"watch_{age}_ctr_auc", value=value, low=low, high=high, unit="AUC", protocol=""
    )


def night(day, ctr, *, low=None, high=None, alerts=()):
    low, high = ctr - 0.005 if low is None else low, ctr + 0.005 if high is None else high
    figure = Figure(
        name="watch_progressive_ctr_auc", value=ctr, low=low, high=high, unit="AUC", protocol=""
    )
    moments = Figure(name="watch_moments", value=100.0, unit="rows", protocol="")
    aged = [age_figure(f"age_{age}", ctr - age / 100) for age in (1, 4)]
    changed = Figure(name="watch_change_1_ctr_auc", value=0.01, unit="AUC", protocol="")
    seconds = Figure(name="watch_samples_s", value=3.0, unit="s", protocol="")
    return Night(
        day=day,
        run=f"dupn-{day}",
        parent="dupn-before",
        figures=(figure, moments, *aged, changed, seconds),
        alerts=tuple(alerts),
    )


def days(*values):
    return [night(f"2026-03-{i + 1:02d}", value) for i, value in enumerate(values)]


def dropped(tonight, *before):
    return list(watch.drops(tonight.figures, days(*before), CONFIG))


@pytest.fixture(scope="module")
def asked():
    return synthetic.questions(users=40)


def test_the_champion_is_measured_as_anybody_else(asked):
    answered = synthetic.predictions(*asked)
    figures = {f.name: f for f in watch.progressive(answered, EVALUATE, "")}
    candidates = answered.questions.candidates
    plain = metrics.auc(answered.answers.ctr, candidates.clicked > 0)
    found = figures["watch_progressive_ctr_auc"]
    assert found.value == pytest.approx(plain)
    assert found.low < found.value < found.high
    assert set(figures) == {f"watch_progressive_{name}" for name in HEADS}


def test_a_night_takes_its_draws_from_watch_and_all_else_from_evaluate(asked):
    """The level of intervals, and what is too little to say."""
    answered, config = synthetic.predictions(*asked), WatchConfig(replicates=60, seed=5)

    def progressive(**changed):
        settings = watch.settings(config, EvaluateConfig(replicates=20, seed=1, **changed))
        assert (settings.replicates, settings.seed) == (60, 5)
        return next(iter(watch.progressive(answered, settings, "")))

    usual, narrow = progressive(), progressive(level=0.6)
    assert usual.low < narrow.low < narrow.value < narrow.high < usual.high
    assert progressive(min_users=1000).low is None


def test_a_change_is_tonights_model_less_that_of_then(asked):
    good, bad = (synthetic.predictions(*asked, noise=noise) for noise in (0.2, 3.0))
    figures = {f.name: f for f in watch.forgetting(3, good, bad, EVALUATE, "")}
    ages = {f.name: f for f in watch.staleness({1: good, 7: bad}, EVALUATE)}
    lost = ages["watch_age_1_ctr_auc"].value - ages["watch_age_7_ctr_auc"].value
    assert figures["watch_change_3_ctr_auc"].value == pytest.approx(lost)
    assert figures["watch_change_3_ctr_auc"].low > 0
    assert figures["watch_back_3_ctr_auc"].value == ages["watch_age_1_ctr_auc"].value


def test_a_drop_is_held_against_the_median_of_the_nights_before():
    sentence = dropped(night("2026-03-09", 0.67), 0.70, 0.71, 0.20)
    assert sentence == [
        "ctr_auc of the champion on the new day is 0.6700, 0.0300 under the median of 3 nights "
        "before (0.7000; allowed 0.02)."
    ]


def test_a_drop_is_told_of_the_model_that_was_asked():
    tonight, whose = night("2026-03-09", 0.67), "the challenger wide-2026-03-08 (line wide)"
    [sentence] = watch.drops(tonight.figures, days(0.70, 0.71, 0.70), CONFIG, (), whose)
    assert sentence.startswith(f"ctr_auc of {whose} on the new day is 0.6700, ")


def test_a_small_drop_is_no_alert():
    assert not dropped(night("2026-03-09", 0.685), 0.70, 0.70, 0.70)


def test_noise_wakes_nobody():
    assert not dropped(night("2026-03-09", 0.67, low=0.63, high=0.71), 0.70, 0.70, 0.70)


def test_a_fall_that_is_clear_but_for_how_far_is_an_alert():
    """The interval is held against the median itself."""
    assert dropped(night("2026-03-09", 0.67, low=0.65, high=0.69), 0.70, 0.70, 0.70)
    assert not dropped(night("2026-03-09", 0.67, low=0.64, high=0.70), 0.70, 0.70, 0.70)


def test_a_head_that_nobody_trained_falls_for_nobody():
    usual, fallen = days(0.70, 0.70, 0.70), night("2026-03-09", 0.50)
    assert list(watch.drops(fallen.figures, usual, CONFIG, {"fifp"}))
    assert not list(watch.drops(fallen.figures, usual, CONFIG, {"ctr"}))


def without_interval(one):
    figures = [figure.model_copy(update={"low": None, "high": None}) for figure in one.figures]
    return one.model_copy(update={"figures": tuple(figures)})


def test_a_day_that_holds_too_little_neither_wakes_anybody_nor_counts_as_usual():
    usual, fallen = days(0.70, 0.70, 0.70), night("2026-03-09", 0.50)
    assert list(watch.drops(fallen.figures, usual, CONFIG))
    assert not list(watch.drops(without_interval(fallen).figures, usual, CONFIG))
    assert not list(watch.drops(fallen.figures, [without_interval(one) for one in usual], CONFIG))


def test_an_unchanged_model_is_alerted_as_seldom_as_the_level_of_its_intervals_says():
    """Its nights differ by chance alone, and so does the median of three of them."""
    rng, error, alerts = np.random.default_rng(4), 0.02, 0
    for _ in range(2000):
        values = rng.normal(0.7, error, 4)
        *before, tonight = [
            night(f"2026-03-{i + 1:02d}", one, low=one - 1.96 * error, high=one + 1.96 * error)
            for i, one in enumerate(values)
        ]
        alerts += len(list(watch.drops(tonight.figures, before, CONFIG)))
    assert alerts <= 0.025 * 2000 + 3 * (0.025 * 0.975 * 2000) ** 0.5


def test_price_levels_wake_nobody():
    def asked_of_prices(one):
        figure = one.figures[0].model_copy(update={"name": "watch_progressive_ppp_precision"})
        return one.model_copy(update={"figures": (figure,)})

    before = [asked_of_prices(one) for one in days(0.70, 0.70, 0.70)]
    tonight = asked_of_prices(night("2026-03-09", 0.20))
    assert not list(watch.drops(tonight.figures, before, CONFIG))


def test_two_nights_are_no_habit():
    assert not dropped(night("2026-03-09", 0.50), 0.70, 0.70)


def test_only_the_newest_nights_make_the_median():
    old = [0.9] * 20
    assert not dropped(night("2026-03-30", 0.66), *old, *[0.67] * CONFIG.median_nights)
    backwards = days(*[0.67] * 20, *[0.9] * CONFIG.median_nights)[::-1]
    assert list(watch.drops(night("2026-03-30", 0.66).figures, backwards, CONFIG))


def test_users_are_drawn_whole_until_there_are_enough_moments():
    chosen = draw(HASHES, 52, (1, DAY))
    assert len(chosen) == 11
    assert np.array_equal(chosen, draw(HASHES, 52, (1, DAY)))
    assert set(draw(HASHES, 10, (1, DAY))) <= set(chosen)
    assert set(chosen) != set(draw(HASHES, 52, (2, DAY)))


def test_only_users_among_the_named_are_drawn():
    among = np.array([3, 4, 99], np.uint64)
    assert set(draw(HASHES, 10**6, (1, DAY), among)) == {3, 4}


def test_nights_come_back_oldest_first_and_only_the_newest(tmp_path):
    store = Store(tmp_path)
    for one in reversed(days(0.6, 0.7, 0.8)):
        nights.put(store, "dupn", one)
    found = nights.read(store, "dupn", date(2026, 3, 2), 5)
    assert found == days(0.6, 0.7)
    assert nights.read(store, "dupn", date.max, 2) == days(0.6, 0.7, 0.8)[1:]
    assert nights.read(store, "other", date.max, 2) == []


def test_the_page_stands_alone_and_says_the_alerts():
    shown = [*days(0.70, 0.71), night("2026-03-03", 0.6, alerts=["it fell <far>"])]
    page = nights.html("dupn", shown)
    assert page.count("<img") == 5
    assert "it fell &lt;far&gt;" in page
    assert 'src="http' not in page
    assert page.index("dupn-2026-03-03") < page.index("dupn-2026-03-01")


def test_the_page_has_a_row_for_a_night_that_went_wrong():
    wrong = nights.Unwatched(words="stopped by quality of events")
    page = nights.html("dupn", days(0.70, 0.71), {"2026-03-03": wrong})
    assert page.index("stopped by quality of events") < page.index("dupn-2026-03-02")
    assert "AUC alerts" in page


def test_the_page_begins_with_the_nights_since_the_last_watched_one_and_what_to_do():
    shown = days(0.70, 0.71, 0.72)
    stopped = nights.Unwatched(words="stopped by quality of events; not ended", stopped=True)
    left_out = nights.Unwatched(words="ended, not watched: left out")
    page = nights.html("dupn", shown, {"2026-03-04": stopped, "2026-03-05": left_out})
    first = page.partition("<section>")[2].partition("</section>")[0]
    assert "Since 2026-03-03 no night was watched" in first
    assert "ended, not watched: left out" in first
    assert "dupn run nightly --day 2026-03-04" in first
    assert "--day 2026-03-05" not in first
    assert page.index("Since 2026-03-03") < page.index("<img")
    earlier = nights.html("dupn", [shown[0], shown[2]], {"2026-03-02": left_out})
    assert "no night was watched" not in earlier


def test_a_page_of_one_night_with_nothing_in_it_renders():
    bare = Night(day="2026-03-01", run="dupn-2026-03-01", parent="", figures=())
    assert "Night by night" in nights.html("dupn", [bare])


def aged(**values):
    """A night by CTR AUC of a model of each age."""
    figures = tuple(age_figure(age, value) for age, value in values.items())
    return Night(day="2026-03-01", run="r", parent="p", figures=figures)


def test_a_curve_of_ages_takes_two_of_them():
    assert "staleness" not in dict(night_plots.drawings([aged(age_2=0.7)]))
    two = [aged(age_2=0.7), aged(age_1=0.7, age_3=0.7)]
    assert "staleness" in dict(night_plots.drawings(two))


def test_a_night_after_a_missed_one_is_not_held_against_an_older_model():
    usual, missed = aged(age_1=0.70, age_2=0.69, age_4=0.68), aged(age_2=0.60, age_4=0.59)
    (curve,) = night_plots.losses([usual, missed])
    assert curve == pytest.approx({1: 0, 2: -0.01, 4: -0.02})


def test_a_fall_that_rounds_to_what_is_allowed_is_told_with_what_tells_it_apart():
    limit = CONFIG.max_auc_drop
    before = [0.7] * CONFIG.median_nights
    tonight = night("2026-03-30", 0.7 - limit - 0.00001, low=0.6, high=0.7 - limit)
    (said,) = dropped(tonight, *before)
    assert f", {limit + 0.00001:.5f} under the median" in said
