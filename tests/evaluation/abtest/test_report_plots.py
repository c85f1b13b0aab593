"""What the pictures of an experiment's page say: their panels, their ticks."""

import pytest

from evaluation.abtest import report, report_plots
from evaluation.abtest.report_plots import PerCent
from evaluation.plots import PALE
from infra.store import Store
from tests.evaluation.abtest.test_novelty import with_nothing_on_the_third
from tests.evaluation.abtest.test_summary import decided_by, made


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


@pytest.fixture(scope="module")
def by_orders():
    return made(trial=decided_by("orders", "sales", "pages"))[1]


def test_whatever_can_end_the_experiment_has_its_panel(by_orders, axes):
    panels = titles(axes(report_plots.sequence, by_orders))
    assert panels == ["Orders per user", "Sales per user", "Pages per user", "CTR"]


def test_what_decides_is_drawn_by_day_by_its_title(by_orders, found, axes):
    def told(report):
        (panel,) = axes(report_plots.by_day, report)
        return [text.get_text() for text in panel.get_legend().get_texts()]

    assert told(by_orders) == ["Orders per user", "CTR", "Sales per user"]
    assert told(found) == ["CTR", "Sales per user"]


def test_metrics_are_told_apart_by_their_marks_alone(by_orders, axes):
    (panel,) = axes(report_plots.by_day, by_orders)
    assert len({line.get_marker() for line in panel.lines if line.get_label()[0] != "_"}) == 3


def test_every_look_that_is_drawn_is_told_in_figures(by_orders):
    page = report.html(by_orders, {"sequence": b"png"})
    section = page.partition("<h2>The confidence sequence</h2>")[2].partition("</section>")[0]
    for look in by_orders.looks:
        for effect in (look.primary, *look.guardrails):
            b = effect.uplift
            assert f"<td>{look.number}</td>" in section
            for low, high in ((b.low, b.high), (b.fixed_low, b.fixed_high)):
                assert f"{100 * low:+.2f} to {100 * high:+.2f} %" in section


def test_a_day_on_which_the_treatment_had_nothing_is_drawn_and_told(axes):
    found = made(users=1000, lived=with_nothing_on_the_third)[1]
    rows = found.table
    assert (rows[2].ctr.value, rows[2].sales.value) == (-1.0, -1.0)
    (panel,) = axes(report_plots.by_day, found)
    drawn = [line for line in panel.lines if line.get_label()[0] != "_"]
    assert [(len(line.get_ydata()), line.get_ydata()[2]) for line in drawn] == [(3, -100.0)] * 2
    page = report.html(found, {"by_day": b"png"})
    assert "One on which new had nothing (-100 %) has no part in the trend, either: day 3." in page
    assert "had nothing (-100 %)" not in report.html(made()[1], {"by_day": b"png"})


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


def test_the_legend_of_the_confidence_sequence_lies_above_what_is_drawn(found, axes):
    first, *_ = axes(report_plots.sequence, found)
    first.figure.canvas.draw()
    legend = first.get_legend().get_window_extent()
    assert legend.y0 >= first.get_window_extent().y1
    assert not legend.overlaps(first._left_title.get_window_extent())


def test_the_band_of_the_confidence_sequence_has_an_edge(found, axes):
    band = axes(report_plots.sequence, found)[0].collections[0]
    assert band.get_linewidth()[0] > 0
    assert band.get_edgecolor()[0][3] > 2 * band.get_facecolor()[0][3]


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


def test_a_report_leaves_no_picture_of_an_earlier_one_in_its_folder(found, tmp_path):
    """Whatever picture lies there is logged to MLflow."""
    store, few = Store(tmp_path), made(users=60)[1]

    def there():
        return {name.removesuffix(".png") for name in store.names("f") if name.endswith(".png")}

    store.put("f/verdict.json", "{}")
    report.write(store, "f", found)
    assert there() == {"sequence", "by_day", "price_levels", "segments"}
    report.write(store, "f", few)
    assert there() == {"by_day", "price_levels"}
    assert {"report.html", "report.json", "verdict.json"} <= set(store.names("f"))


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
