from collections import Counter
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from evaluation import fitted, questions, yardsticks
from evaluation.history import History
from evaluation.settings import EvaluateConfig
from features import catalog
from features.ranking import NAMES
from infra.store import Store
from tests.training.conftest import FIRST, write_store

DAY = FIRST + timedelta(days=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_store(tmp_path_factory.mktemp("yardsticks"), days=2, moments=400)


@pytest.fixture(scope="module")
def rows(store):
    return store.partition("samples", DAY).table().to_pylist()


@pytest.fixture(scope="module")
def items(store):
    return catalog.load(store, DAY)


@pytest.fixture(scope="module")
def found(store, items):
    computed = yardsticks.compute(store, DAY, [FIRST], items, EvaluateConfig())
    return {one.name: one for one in computed}


def test_there_is_every_kind(found):
    assert list(found) == list(yardsticks.KINDS)


def test_seen_before_equals_a_look_into_each_history(found, rows):
    expected = [float(item in row["seq_item"]) for row in rows for item in row["cand_item"] or []]
    assert found["seen_before"].scores.tolist() == expected


def test_category_recency_equals_a_walk_back_through_each_history(found, rows, items):
    expected = []
    for row in rows:
        back = [items.category[item] for item in reversed(row["seq_item"])]
        for item in row["cand_item"] or []:
            mine = items.category[item]
            expected.append(1 / (1 + back.index(mine)) if mine in back else -1.0)
    assert found["category_recency"].scores == pytest.approx(expected)


def test_ranking_features_are_found_by_name(found, rows):
    expected = [r[NAMES.index("popularity")] for row in rows for r in row["cand_features"] or []]
    assert found["popularity"].scores == pytest.approx(expected)


def test_a_feature_that_there_is_not_is_no_fault_of_the_log(store, items, monkeypatch):
    monkeypatch.setitem(yardsticks.FEATURES, "popularity", "popularty")
    with pytest.raises(KeyError, match="popularty"):
        answered(store, items)


def test_the_regression_on_ranking_features_finds_the_one_that_decides(store, found):
    asked = questions.read(store, DAY)
    right = (found["logistic_regression"].scores > 0.5) == (asked.candidates.label > 0)
    assert right.mean() > 0.95


def test_clicks_have_every_rival_that_ranks_have_but_sales():
    """One score has the same AUC on both: a rival that one column hides would flatter it."""
    of_ranks = {name for name, kind in yardsticks.KINDS.items() if "l2r_auc" in kind.measures}
    of_clicks = {name for name, kind in yardsticks.KINDS.items() if "ctr_auc" in kind.measures}
    assert of_ranks - of_clicks == {"sales"}


def test_max_entropy_beats_the_commonest_level(store, found):
    level = questions.read(store, DAY).prices.level
    hit = {name: (found[name].scores == level).mean() for name in ("max_entropy", "last_level")}
    assert found["most_frequent_level"].scores.tolist() == [
        fitted.most_frequent_level(store, [FIRST])
    ] * len(level)
    assert hit["max_entropy"] >= (found["most_frequent_level"].scores == level).mean()


def test_icon_rates_lean_on_the_mean(store):
    table = store.partition("samples", FIRST).table().to_pylist()
    shown = [
        pair
        for row in table
        for pair in zip(row["icon"] or [], row["icon_followed"] or [], strict=True)
    ]
    mean = np.mean([followed for _, followed in shown])
    mine = [followed for icon, followed in shown if icon == 5]
    rates = fitted.icon_rates(store, [FIRST], smoothing=4)
    assert rates[5] == pytest.approx((sum(mine) + 4 * mean) / (len(mine) + 4))
    assert rates[-1] == pytest.approx(mean)


LEARNT = yardsticks.Learnt(
    ranking=None, max_entropy=None, level=5, icons=np.array([0, 0, 0.2, 0.3, 0.1])
)


def answered(store, items):
    table = store.partition("samples", DAY).table().combine_chunks()
    return dict(yardsticks.Answering(table, items, LEARNT).all())


def test_a_category_that_nobody_knows_is_never_met_again(store, rows, items):
    unknown = replace(items, category=np.where(items.category == 3, 1, items.category))
    asked = [item for row in rows for item in row["cand_item"] or []]
    found = answered(store, unknown)["category_recency"]
    of_it = unknown.category[asked] == 1
    assert 0 < of_it.sum() < len(of_it)
    assert (found[of_it] == -1).all()
    assert (found[~of_it] > 0).any()


def test_an_icon_that_was_never_shown_has_the_mean_rate(store, rows, items):
    icons = np.array([icon for row in rows for icon in row["icon"] or []])
    known = icons < len(LEARNT.icons) - 1
    assert 0 < known.sum() < len(known)
    expected = np.where(known, LEARNT.icons[np.where(known, icons, -1)], LEARNT.icons[-1])
    assert answered(store, items)["icon_popularity"].tolist() == expected.tolist()


def test_the_last_level_is_that_of_the_newest_behaviour_with_one(store, rows, items):
    """And the commonest where none has."""
    few = replace(items, price_level=np.where(items.price_level > 5, items.price_level, 0))
    expected = []
    for row in rows:
        if row["price_level"] is not None:
            levels = [int(few.price_level[item]) for item in reversed(row["seq_item"])]
            expected.append(next((level - 1 for level in levels if level), LEARNT.level))
    assert answered(store, few)["last_level"].tolist() == expected
    assert set(expected) == {5, 6}  # of i5 and i6; nothing known: 5


def test_fits_take_the_newest_days_first_and_no_more_than_they_may(store, items):
    days = [FIRST, DAY]
    labels = store.partition("samples", DAY).table()["cand_label"]
    asked = len(labels) - labels.null_count
    x = np.random.default_rng(0).normal(size=(50, len(NAMES)))

    def said(days, moments):
        return fitted.probability(fitted.ranking(store, days, moments), x)

    newest = said([DAY], 10**6)
    assert np.array_equal(said(days, asked), newest)
    assert not np.array_equal(said(days, asked + 1), newest)
    assert not np.array_equal(said(days, asked - 1), newest)


def test_the_regression_weighs_candidates_by_their_actions(store):
    table = store.partition("samples", DAY).table()
    rows = [row for row in table.to_pylist() if row["cand_item"]]
    x, y, weight = (
        np.concatenate([row[name] for row in rows])
        for name in ("cand_features", "cand_label", "cand_weight")
    )
    expected = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, tol=1e-8))
    expected.fit(x, y > 0, logisticregression__sample_weight=weight)
    fit = fitted.ranking(store, [DAY], 10**6)
    assert fitted.probability(fit, x) == pytest.approx(expected.predict_proba(x)[:, 1], abs=1e-3)
    unknown = np.where(np.arange(len(NAMES)) == 0, np.nan, x[:1])
    as_zero = fitted.probability(fit, np.nan_to_num(unknown))
    assert fitted.probability(fit, unknown) == pytest.approx(as_zero)


def test_where_nothing_that_happened_has_weight_no_regression_is_fitted(store, tmp_path):
    table = store.partition("samples", DAY).table()
    lists = table["cand_weight"].combine_chunks()
    zeros = pa.array(np.zeros(len(lists.values), np.float32))
    nothing = pa.ListArray.from_arrays(lists.offsets, zeros, type=lists.type)
    at = table.schema.get_field_index("cand_weight")
    light = Store(tmp_path)
    with light.partition("samples", DAY).publish() as out:
        out.record([out.write_table("part", table.set_column(at, "cand_weight", nothing))])
    assert fitted.ranking(light, [DAY], 10**6) is None


def test_max_entropy_is_held_back_by_its_c(store, items):
    table = store.partition("samples", DAY).table()
    x = History.of(table).price_levels(items.price_level)
    y = table["price_level"].fill_null(0).to_numpy()
    asked = y > 0
    for c in (1.0, 0.01):
        fit = fitted.max_entropy(store, [DAY], 10**6, items.price_level, c)
        theirs = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=1000, tol=1e-8))
        expected = theirs.fit(x[asked], y[asked]).predict_proba(x)
        assert fit.predict_proba(x) == pytest.approx(expected, abs=2e-3)
    config = EvaluateConfig(max_entropy_c=0.01)
    learnt = yardsticks.Learnt.on(store, [DAY], items, config)
    assert learnt.max_entropy.predict_proba(x) == pytest.approx(expected, abs=2e-3)


def test_the_commonest_level_is_counted(store):
    levels = store.partition("samples", FIRST).table()["price_level"].drop_null().to_pylist()
    (commonest, _), *_ = Counter(levels).most_common()
    assert fitted.most_frequent_level(store, [FIRST]) == commonest - 1


def test_price_history_by_hand():
    lists = pa.table(
        {
            "seq_item": pa.array([[2, 3, 3], [], [2]], pa.list_(pa.int32())),
            "seq_type": pa.array([[1, 4, 1], [], [1]], pa.list_(pa.int8())),
        }
    )
    views = History.of(lists).price_levels(np.array([0, 0, 0, 6], np.int8)).reshape(3, 4, 7)
    level_six = views[:, :, 5]
    assert level_six[0].tolist() == [1, 1, 1, 1]
    assert level_six[1:].sum() == 0  # nothing known, and an item without a level


def test_without_training_days_only_what_needs_no_fit_is_left(store, items):
    names = {one.name for one in yardsticks.compute(store, DAY, [], items, EvaluateConfig())}
    assert "logistic_regression" not in names
    assert "max_entropy" not in names
    assert "category_recency" in names


def test_where_no_training_day_asked_a_price_nobody_says_a_level(store, items, tmp_path):
    """An argmax over zero counts would say the cheapest, and the report show it as a figure."""
    table = store.partition("samples", FIRST).table()
    at = table.schema.get_field_index("price_level")
    nothing = pa.nulls(len(table), table.schema.field(at).type)
    other = Store(tmp_path)
    for day, rows in (
        (FIRST, table.set_column(at, "price_level", nothing)),
        (DAY, store.partition("samples", DAY).table()),
    ):
        with other.partition("samples", day).publish() as out:
            out.record([out.write_table("part", rows)])
    assert fitted.most_frequent_level(other, [FIRST]) is None
    some = yardsticks.compute(other, DAY, [FIRST], items, EvaluateConfig())
    titles = [kind.title for kind in yardsticks.KINDS.values() if "ppp_precision" in kind.measures]
    assert yardsticks.absent(some) == titles


def test_a_yardstick_that_says_the_same_of_everything_is_left_out_by_name(found):
    assert not yardsticks.knows_something("historical_ctr", np.full(9, 0.3))
    assert not yardsticks.knows_something("historical_ctr", np.empty(0))
    assert yardsticks.knows_something("historical_ctr", np.array([0.3, 0.4]))
    assert yardsticks.knows_something("most_frequent_level", np.zeros(9))
    some = [one for name, one in found.items() if name != "historical_ctr"]
    assert yardsticks.absent(some) == ["smoothed historical CTR"]
