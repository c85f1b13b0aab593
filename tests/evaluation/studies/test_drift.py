import numpy as np
import pytest
from scipy import stats

from evaluation.bootstrap import Interval
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.settings import EvaluateConfig
from evaluation.studies import drift, drift_report
from evaluation.studies.cells import figure_over
from evaluation.studies.drift import Arm, Cell, Cost, People, Score, Shape
from evaluation.studies.protocol import Setup
from infra.store import Store
from tests.evaluation import synthetic

SHAPE = Shape(trained=2, nights=4, every=2)
SETUP = Setup(network="as is", market=MarketplaceConfig(users=1200, items=3000))
DRAWS = (0.0, 0.01, 0.02, 0.03)


def cell(seed, nightly=0.02, retrain=0.01):
    """Frozen 0.6; the others better by so much, with draws around it."""
    gains = {Arm.FROZEN: 0.0, Arm.NIGHTLY: nightly, Arm.RETRAIN: retrain}
    scores = [
        Score(
            arm=arm,
            day=day,
            measure=measure,
            value=0.6 + gain,
            replicates=tuple(0.6 + gain + draw for draw in DRAWS),
            age=1 + day % 2 if arm is Arm.RETRAIN else 1,
        )
        for arm, gain in gains.items()
        for day in SHAPE.asked
        if arm is not Arm.RETRAIN or SHAPE.retrained(day)
        for measure in drift.MEASURES
    ]
    costs = [
        Cost(arm=arm, day=4, moments=10, wall_s=wall, cpu_s=cpu)
        for arm, wall, cpu in ((Arm.NIGHTLY, 2.0, 1.0), (Arm.RETRAIN, 24.0, 20.0))
    ]
    return Cell(seed=seed, settings="x", scores=tuple(scores), costs=tuple(costs))


def test_a_retrain_is_used_until_the_next():
    assert [Shape().retrained(day) for day in (14, 15, 19, 20, 25)] == [None, 15, 15, 20, 25]
    assert list(Shape().asked) == list(range(11, 26))


def test_a_contrast_is_paired_by_people():
    days = list(SHAPE.asked)
    found = drift.contrast(cell(1), Arm.NIGHTLY, Arm.FROZEN, "ctr_auc", days)
    assert (found.value, found.low, found.high) == pytest.approx((0.02, 0.02, 0.02))


def test_over_worlds_it_is_students_interval():
    means = np.array([0.01, 0.02, 0.06])
    found = drift.over_cells([Interval(value) for value in means])
    known = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert (found.low, found.high) == pytest.approx(known)


def test_two_worlds_are_too_few_for_an_interval_over_worlds():
    found = drift.over_cells([Interval(0.01, 0.0, 0.02), Interval(0.03, 0.02, 0.04)])
    assert found.value == pytest.approx(0.02)
    assert np.isnan(found.low)
    (first, *_) = drift.headline([cell(1), cell(2)])
    assert first.low is None
    assert first.protocol.endswith("; 2 worlds; no interval")
    (one_day, *_) = drift.daily([cell(1), cell(2)])
    assert one_day.protocol == "day 3; 2 worlds; no interval"


def test_a_protocol_counts_the_worlds_that_are_known():
    values = [Interval(0.01, 0.0, 0.02), Interval(np.nan), Interval(0.03), Interval(0.02)]
    said = [figure_over("drift", values[:count], "AUC", "paired").protocol for count in range(1, 5)]
    assert said == [
        "paired; 1 world; interval over people",
        "paired; 1 of 2 worlds; interval over people",
        "paired; 2 of 3 worlds; no interval",
        "paired; 3 of 4 worlds; Student's interval over worlds",
    ]


def test_one_world_keeps_the_interval_of_its_people():
    alone = Interval(0.02, 0.01, 0.03)
    assert drift.over_cells([alone]) is alone


def test_the_retrain_is_compared_where_it_is_fresh_and_where_it_ages():
    found = {f.name: f for f in drift.headline([cell(1), cell(2)])}
    assert drift.fresh(cell(1), "ctr_auc") == [4, 6]
    assert found["drift_nightly_over_retrain_ctr_auc"].value == pytest.approx(0.01)
    assert found["drift_retrain_over_nightly_wall"].value == pytest.approx(12)
    assert found["drift_retrain_wall_s"].high == 24.0


def test_people_are_drawn_alike_on_every_day_and_whoever_is_absent_counts_nothing():
    asked = synthetic.questions(users=40)
    answered = synthetic.predictions(*asked)
    hashes = asked[0].moments.user_hash
    config = EvaluateConfig(replicates=30)
    alone, more = People(hashes, config), People(np.r_[hashes, [7, 9]].astype(np.uint64), config)
    bench = more.bench(answered)
    assert bench.resamples.users == 40
    assert np.array_equal(bench.resamples.counts, more.drawn.counts[[0, *range(3, 42)]])
    one = {s.measure: s for s in alone.scores(answered, Arm.FROZEN, 4, 1)}
    two = {s.measure: s for s in alone.scores(answered, Arm.NIGHTLY, 5, 1)}
    assert one["ctr_auc"].replicates == two["ctr_auc"].replicates
    assert set(one) == set(drift.MEASURES)


def test_the_report_has_every_day_and_stands_alone(tmp_path):
    store = Store(tmp_path)
    said = drift_report.write(store, "drift", SHAPE, [cell(1), cell(2, nightly=0.03)], SETUP)
    assert said["seeds"] == 2
    page = store.get("reports/study/drift/report.html").decode()
    assert page.count("<img") == 3
    assert "drift_nightly_over_frozen_late_ctr_auc" in page
    assert b"drift_retrain_ctr_auc_day_6" in store.get("reports/study/drift/report.json")


def test_a_day_without_an_auc_is_a_gap_in_the_picture_and_in_no_mean(monkeypatch):
    made = cell(1)
    unknown = {Arm.NIGHTLY: 4, Arm.FROZEN: 5}  # nobody clicked, or everybody did
    scores = tuple(
        one.model_copy(update={"value": None, "replicates": ()})
        if unknown.get(one.arm) == one.day
        else one
        for one in made.scores
    )
    holed = made.model_copy(update={"scores": scores})
    found = drift_report._over_frozen(holed, Arm.NIGHTLY)
    assert found == pytest.approx({3: 0.02, 4: np.nan, 5: np.nan, 6: 0.02}, nan_ok=True)
    assert [drift_report._mean(values) for values in ([0.01, np.nan, 0.03], [np.nan])] == [
        pytest.approx(0.02),
        pytest.approx(np.nan, nan_ok=True),
    ]
    drawn = []
    monkeypatch.setattr(drift_report, "png", lambda figure: drawn.append(figure) or b"")
    assert len(dict(drift_report.drawings([holed]))) == 3
    for picture in drawn[:2]:
        (line,) = (one for one in picture.axes[0].lines if one.get_label() == Arm.NIGHTLY)
        assert line.get_xdata().tolist() == list(SHAPE.asked)
        assert np.isnan(line.get_ydata()[1])


def test_the_headline_is_the_processors_and_no_figure_has_more_digits_than_it_deserves(tmp_path):
    store = Store(tmp_path)
    said = drift_report.write(store, "drift", SHAPE, [cell(1), cell(2, nightly=0.03)], SETUP)[
        "said"
    ]
    assert said[-1] == "a retrain's processor time over a night's: 20.0 (20.0 to 20.0)."
    assert said[0].startswith("nightly over frozen, CTR AUC: +0.0250")
    page = store.get("reports/study/drift/report.html").decode()
    assert '<td class="n">24.0</td><td class="n"><span class="range">24.0 to 24.0</span>' in page
    assert "interval, or range of a cost" in page


def test_the_protocol_says_how_large_a_world_is_and_what_a_night_learns(tmp_path):
    store = Store(tmp_path)
    drift_report.write(store, "drift", SHAPE, [cell(1)], SETUP)
    text = store.get("reports/study/drift/report.md").decode()
    assert "1,200 users and, on its first day, 3,000 items; a night learns 10 moments" in text


def test_days_in_use_are_said_to_have_the_fresh_ones_among_them(tmp_path):
    """Of the retrain's days 4 to 6 two are fresh: the mean over all is not that of its ageing."""
    made = cell(1)
    aged = {5: 0.05}
    scores = tuple(
        one.model_copy(update={"value": one.value + aged.get(one.day, 0.0)})
        if one.arm is Arm.NIGHTLY else one
        for one in made.scores
    )  # fmt: skip
    found = {f.name: f for f in drift.headline([made.model_copy(update={"scores": scores})])}
    in_use = found["drift_nightly_over_retrain_in_use_ctr_auc"].value
    assert in_use == pytest.approx(0.01 + 0.05 / 3)
    assert "fresh days among them" in drift_report.CONTRASTS["nightly_over_retrain_in_use"]
