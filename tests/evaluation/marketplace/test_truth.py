"""The truth is true (clicks happen at the rate it says), private, and leaves headroom."""

import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.run import simulate
from infra.store import Store
from tests.evaluation.marketplace.conftest import FIRST

ROOT = Path(__file__).resolve().parents[3]
DAYS = 7
CONFIG = MarketplaceConfig(users=1200, items=3000, late_share=0, dirty_share=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("truth"))
    simulate(store, FIRST, DAYS, CONFIG, seed=5)
    return store


def raw(store: Store, day: date, name: str) -> pl.DataFrame:
    return pl.DataFrame(store.partition("raw", day, name).table())


def shown(store: Store, offset: int) -> pl.DataFrame:
    """One row an item shown on the day, with its truth and what happened."""
    day = FIRST + timedelta(days=offset)
    truth = pl.DataFrame(store.partition("truth", day, "pages").table())
    lists = ["item_ids", "p_click", "p_purchase", "p_click_seen"]
    rows = truth.explode(lists).rename({"item_ids": "item_id"})
    rows = rows.join(raw(store, day, "impressions").drop("item_ids"), on="request_id")
    done = raw(store, day, "behaviors")
    keys = ["request_id", "item_id"]
    for kind in ("click", "purchase"):
        hits = done.filter(pl.col("type") == kind).select(*keys, pl.lit(1).alias(kind)).unique()
        rows = rows.join(hits, on=keys, how="left", maintain_order="left")
    return rows.with_columns(pl.col("click", "purchase").fill_null(0))


@pytest.fixture(scope="module")
def week(store: Store) -> pl.DataFrame:
    return pl.concat(shown(store, offset) for offset in range(DAYS))


def test_clicks_and_purchases_happen_as_often_as_the_truth_says(week: pl.DataFrame):
    for action, chance in (("click", "p_click"), ("purchase", "p_purchase")):
        happened, expected = week[action].sum(), week[chance].sum()
        p = week[chance].to_numpy()
        assert abs(happened - expected) < 4 * np.sqrt((p * (1 - p)).sum()) + 0.01 * expected


def test_pages_of_every_scenario_and_length_are_clicked_as_often_as_the_truth_says(
    tmp_path_factory: pytest.TempPathFactory,
):
    """Long pages leave an item more places to land on, and scenarios differ in length."""
    store = Store(tmp_path_factory.mktemp("whole"))
    logged = {"logged_search": 1.0, "logged_other": 1.0, "users": 3000}
    simulate(store, FIRST, DAYS, CONFIG.model_copy(update=logged), seed=1)
    rows = pl.concat(shown(store, offset) for offset in range(DAYS))
    rows = rows.with_columns(length=pl.len().over("request_id"))
    chances = pl.col("p_click")
    noise = (chances * (1 - chances)).sum().sqrt()
    for keys in (["scenario"], ["scenario", "length"]):
        found = rows.group_by(keys).agg(
            z=(pl.col("click").sum() - chances.sum()) / noise, clicks=pl.col("click").sum()
        )
        assert found.filter(pl.col("clicks") > 200)["z"].abs().max() < 4, keys


def test_the_truth_is_calibrated_in_every_tenth(week: pl.DataFrame):
    tenth = week.with_columns(bin=(pl.col("p_click").rank() * 10 / pl.len()).cast(int).clip(0, 9))
    table = tenth.group_by("bin").agg(pl.col("click", "p_click").mean()).sort("bin")
    assert np.abs(table["click"] - table["p_click"]).max() < 0.02


def test_follows_happen_as_often_as_the_truth_says(store: Store):
    truth = pl.DataFrame(store.partition("truth", FIRST, "follows").table())
    happened, p = raw(store, FIRST, "follows")["followed"].sum(), truth["p_follow"].to_numpy()
    assert abs(happened - p.sum()) < 4 * np.sqrt((p * (1 - p)).sum())


def test_a_need_that_no_history_shows_costs_part_of_the_ceiling(week: pl.DataFrame):
    old, new = (week.filter(pl.col("fresh") == fresh) for fresh in (False, True))
    assert old["p_click"].equals(old["p_click_seen"])
    ceiling = roc_auc_score(new["click"], new["p_click"])
    assert 0.5 < roc_auc_score(new["click"], new["p_click_seen"]) < ceiling - 0.01


def test_position_is_marginalised_but_biases_the_log(week: pl.DataFrame):
    place = week.with_columns(position=pl.int_range(pl.len()).over("request_id"))
    top, low = (
        place.filter(pl.col("position").is_between(*span)).select(
            pl.col("click").sum() / pl.col("p_click").sum()
        )
        for span in ((0, 1), (12, 19))
    )
    assert top.item() > 1.15
    assert low.item() < 0.9


def test_counts_of_the_history_leave_most_of_the_headroom(store: Store):
    """Logistic regression on what a user and an item did before, against the truth."""
    items = raw(store, FIRST + timedelta(days=DAYS - 1), "items")
    traits = items.select("item_id", "category_id", "brand_id", "shop_id")
    log = [raw(store, FIRST + timedelta(days=offset), "behaviors") for offset in range(DAYS)]

    def table(offset: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rows = shown(store, offset).join(traits, on="item_id")
        past = pl.concat(log[:offset]).join(traits, on="item_id")
        user = "user_id"
        features = (["item_id"], [user], [user, "category_id"], [user, "brand_id"],
                    [user, "shop_id"], [user, "item_id"])  # fmt: skip
        for index, keys in enumerate(features):
            counts = past.group_by(keys).len(f"x{index}")
            rows = rows.join(counts, on=keys, how="left", maintain_order="left")
        x = np.log1p(rows.select("^x.$").fill_null(0).to_numpy().astype(float))
        return x, rows["click"].to_numpy(), rows.select("p_click", "p_click_seen").to_numpy()

    x, y, _ = table(DAYS - 2)
    model = LogisticRegression(max_iter=300).fit(x, y)
    x, y, truth = table(DAYS - 1)
    reached = roc_auc_score(y, model.predict_proba(x)[:, 1]) - 0.5
    possible, visible = (roc_auc_score(y, truth[:, column]) - 0.5 for column in (0, 1))
    print(f"\nAUC of the truth {possible + 0.5:.3f}, less what no history shows "
          f"{visible + 0.5:.3f}, of counts of the history {reached + 0.5:.3f}")  # fmt: skip
    assert possible > 0.3
    assert 0.05 < reached < 0.6 * possible


def test_nothing_outside_evaluation_reads_the_truth():
    named = re.compile(r"""["']truth["'/]""")
    floors = ("infra", "features", "training", "serving", "pipeline", "dags")
    sources = [path for floor in floors for path in (ROOT / floor).rglob("*.py")]
    sources.remove(ROOT / "infra" / "manifest.py")  # says which command makes it
    assert sources
    assert [str(p) for p in sources if named.search(p.read_text(encoding="utf-8"))] == []
    inside = (ROOT / "evaluation" / "marketplace" / "run.py").read_text(encoding="utf-8")
    assert named.search(inside)  # the pattern finds what it looks for
