"""What the pictures of an experiment's page say: their panels, their ticks."""

import pytest

from evaluation.abtest import report, report_plots
from evaluation.abtest.report_plots import PerCent
from evaluation.plots import PALE
from tests.evaluation.abtest.test_summary import made


@pytest.fixture(scope="module")
def found():
    return made()[1]


@pytest.fixture
def axes(monkeypatch):
    """The axes of a picture, instead of its bytes."""
    monkeypatch.setattr(report_plots, "png", lambda figure: figure.axes)

    def drawn(draw, report):
        return draw(report)

    return drawn


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([-10, 0, 10], ["-10 %", "0 %", "+10 %"]),
        ([-0.5, 0, 0.5], ["-0.5 %", "0 %", "+0.5 %"]),
        ([0, 0.25, 0.5], ["0 %", "+0.25 %", "+0.50 %"]),
        ([0.98, 1.0, 1.02], ["+0.98 %", "+1.00 %", "+1.02 %"]),
        ([2.5, 5, 7.5], ["+2.5 %", "+5.0 %", "+7.5 %"]),
    ],
)
def test_two_ticks_are_never_written_alike(ticks, labels):
    assert PerCent().format_ticks(ticks) == labels


def without_sales(look):
    return look.model_copy(
        update={"effects": tuple(e for e in look.effects if e.metric != "sales")}
    )


def titles(panels):
    return [panel.get_title(loc="left") for panel in panels]


def test_a_guardrail_that_is_no_metric_of_the_report_has_its_panel(found, axes):
    looks = tuple(map(without_sales, found.looks))
    report = found.model_copy(update={"look": looks[-1], "looks": looks})
    panels = axes(report_plots.sequence, report)
    assert titles(panels) == ["CTR", "Sales per user"]
    assert len(panels[1].lines[0].get_xdata()) == len(looks)


def test_a_metric_of_which_nothing_is_known_has_no_panel(found, axes):
    looks = tuple(without_sales(look).model_copy(update={"guardrails": ()}) for look in found.looks)
    report = found.model_copy(update={"look": looks[-1], "looks": looks})
    assert titles(axes(report_plots.sequence, report)) == ["CTR"]


def test_days_are_whole_and_no_more_than_there_is_room_for(found, axes):
    long = found.look.model_copy(update={"planned_days": 60, "number": 60})
    looks = tuple(found.look.model_copy(update={"number": n + 1}) for n in range(60))
    table = tuple(found.table[0].model_copy(update={"number": n + 1}) for n in range(60))
    report = found.model_copy(update={"look": long, "looks": looks, "table": table})
    for draw in (report_plots.sequence, report_plots.by_day):
        for one, most in ((report, 16), (found, 8)):
            ticks = axes(draw, one)[0].get_xticks()
            assert 2 <= len(ticks) <= most
            assert (ticks == ticks.round()).all()


def test_an_experiment_of_one_day_has_one_tick_that_is_a_day(found, axes):
    look = found.look.model_copy(update={"planned_days": 1, "number": 1})
    one = {"look": look, "looks": (look,), "table": found.table[:1]}
    report = found.model_copy(update=one)
    for draw in (report_plots.sequence, report_plots.by_day):
        panel = axes(draw, report)[-1]
        low, high = panel.get_xlim()
        assert [tick for tick in panel.get_xticks() if low <= tick <= high] == [1]


@pytest.mark.parametrize("last", [2, 5, 9])
def test_every_look_and_the_planned_end_lie_within_the_confidence_sequence(found, axes, last):
    looks = tuple(found.look.model_copy(update={"number": n + 1}) for n in range(last))
    report = found.model_copy(update={"look": looks[-1], "looks": looks})
    for panel in axes(report_plots.sequence, report):
        low, high = panel.get_xlim()
        assert low < 1
        assert max(last, found.look.planned_days) < high


def test_the_legend_of_the_price_levels_lies_above_the_bars_and_beside_the_title(found, axes):
    left, _ = axes(report_plots.price_levels, found)
    left.figure.canvas.draw()
    legend = left.get_legend().get_window_extent()
    assert legend.y0 >= left.get_window_extent().y1
    assert not legend.overlaps(left._left_title.get_window_extent())


def test_of_too_few_users_the_page_says_so_and_draws_no_empty_frame():
    few = made(users=60)[1]
    pictures = dict(report_plots.drawings(few))
    assert set(pictures) == {"by_day", "price_levels"}
    page = report.html(few, pictures)
    nothing = "There is nothing to draw yet: fewer than 150 users in an arm."
    for title in ("The confidence sequence", "Parts of the users"):
        section = page.partition(f"<h2>{title}</h2>")[2].partition("</section>")[0]
        assert nothing in section
        assert "<img" not in section
    assert page.count(nothing) == 2


def test_a_day_on_which_nobody_came_has_no_picture(found):
    nothing = found.look.primary.uplift.model_copy(update={"value": None})
    rows = tuple(row.model_copy(update={"ctr": nothing, "sales": nothing}) for row in found.table)
    assert "by_day" in dict(report_plots.drawings(found))
    assert "by_day" not in dict(report_plots.drawings(found.model_copy(update={"table": rows})))


def test_a_price_level_of_too_few_pages_is_pale(found, axes):
    def shades(known):
        arms = tuple(
            arm.model_copy(update={"classes": tuple(map(known, arm.classes))})
            for arm in found.levels
        )
        panels = axes(report_plots.price_levels, found.model_copy(update={"levels": arms}))
        return {bar.get_alpha() for panel in panels for bar in panel.patches}

    def told(row, **bounds):
        share = row.recall.model_copy(update={"value": 0.5, **bounds})
        return row.model_copy(update={"recall": share, "precision": share})

    assert shades(lambda row: told(row, low=None, high=None)) == {PALE}
    assert shades(lambda row: told(row, low=0.4, high=0.6)) == {1.0}
