"""What the A/B study makes of its cells."""

import pytest

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.results import Figure
from evaluation.studies import abtest, abtest_report
from evaluation.studies.abtest import BEFORE, DUPN, POLICY, SPLIT, Cell, Shape
from evaluation.studies.protocol import Setup
from infra.store import Store
from tests.evaluation.studies.test_uplift import lived

SHAPE = Shape(trained=3, lived=2)
SETUP = Setup(network="as is", market=MarketplaceConfig(users=1200, items=3000))


def cell(seed, gain):
    """DUPN's clicks and sales lie `gain` over the predecessor's, on both days."""
    worlds = {POLICY: 5.0, BEFORE: 10.0, DUPN: 10.0 * (1 + gain)}
    days = [
        lived(day, clicks=clicks, sales=clicks, right=2.0 + (name == DUPN), wrong=2.0, arm=name)
        .model_copy(update={"world": name})
        for name, clicks in worlds.items()
        for day in (1, 2)
    ]  # fmt: skip
    days += [
        lived(day, clicks=worlds[name], arm=name).model_copy(update={"world": SPLIT})
        for name in (BEFORE, DUPN)
        for day in (1, 2)
    ]
    estimated = Figure(
        name="ctr", value=gain / 2, unit="ratio", protocol="estimated; interval at 95 %"
    )
    return Cell(seed=seed, settings="x", lived=tuple(days), estimated=(estimated,))


CELLS = [cell(1, 0.04), cell(2, 0.05), cell(3, 0.06)]


def figures():
    every = [*abtest.headline(CELLS), *abtest.daily(CELLS), *abtest.classes(CELLS)]
    return {figure.name: figure for figure in every}


def test_an_uplift_is_the_mean_over_worlds_with_students_interval():
    found = figures()["uplift_dupn_over_predecessor_ctr"]
    assert found.value == pytest.approx(0.05)
    assert found.high - found.value == pytest.approx(0.01 / 3**0.5 * 4.303, rel=1e-3)  # t of 2


def test_every_comparison_is_there_by_day_and_over_all_days():
    found = figures()
    assert found["uplift_dupn_over_policy_sales"].value == pytest.approx(1.1)
    assert found["uplift_predecessor_over_policy_ctr"].value == pytest.approx(1.0)
    assert found["uplift_dupn_over_predecessor_sales_day_2"].value == pytest.approx(0.05)
    assert found["uplift_predecessor_price_precision"].value == pytest.approx(0.5)
    assert found["uplift_dupn_price_precision_day_1"].value == pytest.approx(0.6)
    assert found["uplift_dupn_over_predecessor_price_precision"].value == pytest.approx(0.2)
    assert found["uplift_split_ctr"].value == pytest.approx(0.05)
    assert found["uplift_split_estimated_ctr"].value == pytest.approx(0.025)


def test_a_mean_of_estimates_has_the_worlds_interval_and_not_the_estimates():
    assert figures()["uplift_split_estimated_ctr"].protocol.startswith("estimated; mean of the est")


def test_of_a_price_level_there_is_a_difference_that_is_paired_within_worlds():
    found = figures()
    level = "price_precision_level_2"
    assert found[f"uplift_dupn_{level}"].value == pytest.approx(0.6)
    assert found[f"uplift_predecessor_{level}"].value == pytest.approx(0.5)
    gap = found[f"uplift_dupn_over_predecessor_{level}"]
    assert (gap.value, gap.low, gap.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found["uplift_dupn_over_predecessor_price_precision_level_5"].value is None  # not said


def test_a_cell_that_was_recorded_without_estimates_is_still_read():
    plain = CELLS[0].model_dump(mode="json")
    del plain["estimated"]
    found = {figure.name for figure in abtest.headline([Cell.model_validate(plain)])}
    assert "uplift_split_ctr" in found
    assert "uplift_split_estimated_ctr" not in found
    both = abtest.headline([CELLS[2], Cell.model_validate(plain)])
    (mixed,) = (figure for figure in both if figure.name == "uplift_split_estimated_ctr")
    assert (mixed.value, mixed.protocol) == (
        0.03,
        "estimated; mean of the estimates; 1 world; no interval",
    )


def test_a_goal_is_beaten_only_with_the_whole_interval():
    sure = [cell(1, 0.0400), cell(2, 0.0404), cell(3, 0.0402)]
    goal = "uplift_dupn_over_predecessor_ctr"
    assert abtest_report.goals(list(abtest.headline(sure)))[goal].startswith("beaten: +4.02%")
    spread = [cell(1, 0.02), cell(2, 0.05), cell(3, 0.08)]
    assert abtest_report.goals(list(abtest.headline(spread)))[goal].startswith("not beaten")
    assert abtest_report.goals(list(abtest.headline(sure[:2])))[goal].startswith("not judged")


def test_the_report_stands_by_itself(tmp_path):
    store = Store(tmp_path)
    said = abtest_report.write(store, "abtest", SHAPE, CELLS, ["a note to be read"], SETUP)
    page = (tmp_path / "reports/study/abtest/report.html").read_text()
    assert said["report"].endswith("report.html")
    assert "a note to be read" in page
    assert "1,200 users and, on its first day, 3,000 items" in page
    assert "twin shows 0 pages a day" in page
    assert page.count("data:image/png;base64,") == 2
    assert "2.32" in page  # the paper's first day
    assert "33.2 &rarr; 44.2" in page  # its average as printed; that of its days would be 33.3
    assert "<li>dupn over predecessor ctr: beaten: +5.00%" in page
    assert "50.0 to 50.0 &rarr; 60.0 to 60.0" in page
    assert "<td>+0.100 (+0.100 to +0.100)</td>" in page  # more precision at a price level


def test_a_day_whose_uplift_nobody_knows_is_a_gap_in_the_picture(monkeypatch):
    drawn, known = [], figures()
    name = "uplift_dupn_over_predecessor_ctr_day_1"
    known[name] = known[name].model_copy(update={"value": None, "low": None, "high": None})
    monkeypatch.setattr(abtest_report, "png", lambda figure: drawn.append(figure) or b"")
    abtest_report._by_day(known, SHAPE)
    mine = drawn[0].axes[0].lines[0].get_ydata()
    assert mine == pytest.approx([float("nan"), 5.0], nan_ok=True)


def test_one_world_has_no_interval():
    found = {figure.name: figure for figure in abtest.headline(CELLS[:1])}
    assert found["uplift_dupn_over_predecessor_ctr"].low is None
