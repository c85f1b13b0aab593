from datetime import date

import pytest

from evaluation import night_plots, nights, plots
from evaluation.results import Figure
from evaluation.watch import Night


def figure(name, value, *, half=None, unit="AUC"):
    low, high = (None, None) if half is None else (value - half, value + half)
    return Figure(name=f"watch_{name}", value=value, low=low, high=high, unit=unit, protocol="")


def night(day, *figures):
    return Night(day=f"2026-03-{day:02d}", run=f"r-{day}", parent="p", figures=figures)


KNOWN = figure("progressive_ctr_auc", 0.7, half=0.01)
FEW = figure("progressive_ctr_auc", 0.2)


@pytest.fixture
def axes(monkeypatch):
    monkeypatch.setattr(night_plots, "png", lambda figure: figure.axes)
    monkeypatch.setattr(plots, "png", lambda figure: figure.axes)


def test_a_figure_without_an_interval_is_not_told_as_one_that_was_measured():
    low = figure("progressive_ppp_precision", 0.0, unit="share")
    page = nights.html("dupn", [night(1, KNOWN, low)])
    tiles, table = page.partition("Alerts of")[0], page.partition("Night by night")[2]
    assert '<div class="value none">0.000</div>' in tiles
    assert "not enough evidence" in tiles.partition(">0.000<")[2]
    assert '<div class="value">0.700</div>' in tiles
    assert '<span class="none">(0.000)</span>' in table
    assert '<td class="n">0.700</td>' in table
    assert "In brackets: not enough evidence" in table


def test_no_line_joins_a_night_that_held_too_little(axes):
    shown = [night(1, KNOWN), night(2, FEW), night(3, KNOWN)]
    ((ax,),) = [night_plots.progressive(shown)]
    line, apart = ax.lines[:2]
    second = date(2026, 3, 2).toordinal()
    assert line.get_xydata().tolist() == [[second - 1, 0.7], [second + 1, 0.7]]
    assert apart.get_xydata().tolist() == [[second, 0.2]]
    assert apart.get_linestyle() == "None"
    assert apart.get_markerfacecolor() == "none"
    assert apart.get_alpha() == plots.PALE


def test_what_rests_on_too_little_is_no_part_of_the_loss_by_age():
    known = [figure(f"age_{age}_ctr_auc", 0.7 - age / 100, half=0.01) for age in (1, 4)]
    few = [figure(f"age_{age}_ctr_auc", 0.9 - age / 5) for age in (1, 4)]
    (curve,) = night_plots.losses([night(1, *known), night(2, *few)])
    assert curve == pytest.approx({1: 0, 4: -0.03})


def test_large_numbers_are_written_out_under_the_words_of_the_table(axes):
    many = night(1, figure("moments", 1.0), figure("rejects", 3e6), figure("samples_s", 80_000.0))
    volumes = night_plots.volume([many])
    assert [ax.get_title(loc="left") for ax in volumes] == ["behaviours", "moments", "refused rows"]
    (seconds,) = night_plots.durations([many])
    for ax, top in ((volumes[2], "2,000,000"), (seconds, "80,000")):
        ax.figure.canvas.draw()
        assert top in [tick.get_text() for tick in ax.get_yticklabels()]
        assert ax.yaxis.get_offset_text().get_text() == ""


def test_one_very_long_night_leaves_the_others_to_be_seen(axes):
    usual = [night(day, figure("samples_s", 50.0), figure("update_s", 70.0)) for day in (1, 2, 4)]
    (ax,) = night_plots.durations([*usual, night(3, figure("samples_s", 20_000.0))])
    assert ax.get_ylim() == (0, 480)
    (told,) = ax.texts
    assert told.get_text() == "20,000 s"
    assert told.get_position()[0] == date(2026, 3, 3).toordinal()
    (ax,) = night_plots.durations(usual)
    assert ax.get_ylim()[1] < 200
    assert not ax.texts
