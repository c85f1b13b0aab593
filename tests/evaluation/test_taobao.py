"""The yardsticks on the real Taobao excerpt score what DESIGN.md says of them."""

from datetime import date, timedelta
from pathlib import Path

import pytest

from evaluation import questions, tasks, yardsticks
from evaluation.measures import Bench
from evaluation.settings import EvaluateConfig
from features import catalog
from pipeline import steps
from pipeline.settings import load

LOG = (
    Path(__file__).resolve().parents[2].parent / "shared/data/taobao_userbehavior/UserBehavior.csv"
)
DAYS = [date(2017, 11, 25) + timedelta(days=i) for i in range(4)]


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """AUC by measure and yardstick on the fourth day."""
    if not LOG.exists():
        pytest.skip("the real logs are not here")
    home = tmp_path_factory.mktemp("taobao")
    settings = load("smoke", str(home), ["dataset=taobao_userbehavior"])
    steps.import_log(settings, "taobao_userbehavior", [LOG])
    for day in DAYS:
        for step in ("events", "vocabulary", "statistics", "sequences", "samples"):
            getattr(steps, step)(settings, day)
    store, day = settings.store, DAYS[-1]
    asked, config = questions.read(store, day), EvaluateConfig(replicates=20)
    found = yardsticks.compute(store, day, DAYS[:-1], catalog.load(store, day), config)
    bench = Bench.of(asked, config)
    return {
        (ask.measure.name, one.name): bench.measure(ask.measure, one.scores, ask.keep).value
        for ask in tasks.asked(asked)
        for one in found
        if ask.measure.name.startswith("ctr_auc") and "ctr_auc" in one.measures
    }


@pytest.mark.drill
@pytest.mark.parametrize(
    ("measure", "yardstick", "published"),
    [
        ("ctr_auc", "popularity", 0.500),
        ("ctr_auc", "seen_before", 0.629),
        ("ctr_auc", "category_recency", 0.869),
        ("ctr_auc_same_category", "seen_before", 0.624),
        ("ctr_auc_same_category", "category_recency", 0.500),  # all candidates share the category
    ],
)
def test_same_day_negatives_make_yardsticks_score_as_published(
    figures, measure, yardstick, published
):
    assert figures[measure, yardstick] == pytest.approx(published, abs=0.03)


@pytest.mark.drill
def test_a_log_without_pages_has_no_historical_ctr(figures):
    assert ("ctr_auc", "historical_ctr") not in figures
