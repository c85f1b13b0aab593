"""What the pictures of an experiment's page say: their panels, their ticks."""

import pytest

from evaluation.abtest import report_plots
from evaluation.abtest.report_plots import PerCent
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
