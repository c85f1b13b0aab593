from statistics import median

import pytest

from evaluation.marketplace.bench import rows_per_second
from evaluation.marketplace.config import MarketplaceConfig


def test_the_figures_have_the_agreed_keys_and_add_up():
    config = MarketplaceConfig(users=60, items=300, categories=8, shops=8, icons=8)
    figures = {figure["name"]: figure for figure in rows_per_second(config, days=2)}
    keys = {"name", "value", "low", "high", "unit", "protocol"}
    assert all(set(figure) == keys for figure in figures.values())
    rate = figures["simulate_rows_per_cpu_s"]
    assert rate["low"] <= rate["value"] <= rate["high"]
    assert figures["simulate_rows"]["value"] > 1000


@pytest.mark.drill
def test_a_row_of_a_large_marketplace_costs_about_what_one_of_a_small_costs():
    ratios = []
    for _ in range(3):  # in turns: what else the machine does falls on both, or on one of them
        small, large = (
            {figure["name"]: figure["value"] for figure in rows_per_second(days=1, quick=quick)}
            for quick in (True, False)
        )
        assert large["simulate_rows"] > 8 * small["simulate_rows"]
        ratios.append(large["simulate_rows_per_cpu_s"] / small["simulate_rows_per_cpu_s"])
    # rows a second belong to the machine (`dupn bench simulate`); 0.87 where it was measured
    assert median(ratios) > 0.6, ratios
