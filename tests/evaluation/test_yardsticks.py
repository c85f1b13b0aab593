from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from evaluation import fitted, questions, yardsticks
from evaluation.history import History
from evaluation.settings import EvaluateConfig
from features import catalog
from features.ranking import NAMES
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


def test_the_regression_on_ranking_features_finds_the_one_that_decides(store, found):
    asked = questions.read(store, DAY)
    right = (found["logistic_regression"].scores > 0.5) == (asked.candidates.label > 0)
    assert right.mean() > 0.95


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


def test_a_yardstick_that_says_the_same_of_everything_is_left_out_by_name(found):
    assert not yardsticks.knows_something("historical_ctr", np.full(9, 0.3))
    assert not yardsticks.knows_something("historical_ctr", np.empty(0))
    assert yardsticks.knows_something("historical_ctr", np.array([0.3, 0.4]))
    assert yardsticks.knows_something("most_frequent_level", np.zeros(9))
    some = [one for name, one in found.items() if name != "historical_ctr"]
    assert yardsticks.absent(some) == ["smoothed historical CTR"]
