from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from evaluation import plots
from evaluation.results import Curves, Estimate, Line, OfflineReport, TaskResult

# Machado, Oliveira and Fernandes (2009), severity 1, on linear light
SIGHT = {
    "everybody": np.eye(3),
    "without red": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "without green": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "without blue": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])


def lab(colour, sight):
    """CIELAB of a colour as it is seen."""
    share = np.array(to_rgb(colour))
    light = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(sight @ light, 0, 1) / WHITE
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def task(name, value, *, unit="AUC", chance=0.5, reason=None, half=0.02):
    few = reason is not None
    model = Estimate(
        value=value, low=None if few else value - half, high=None if few else value + half
    )
    return TaskResult(
        name=name, task=name, title=name, unit=unit, protocol="", questions=9, positives=4,
        users=9, model=model, chance=chance, reason=reason,
    )  # fmt: skip


def report(*tasks, **more):
    return OfflineReport(
        key="k", day="d", title="t", protocol={}, lineage={}, counts={}, figures=(), tasks=tasks,
        **more,
    )  # fmt: skip


@pytest.fixture
def axes(monkeypatch):
    """Of a picture, instead of its bytes."""
    monkeypatch.setattr(plots, "png", lambda figure: figure.axes)
    return lambda draw, given: draw(given)


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_that_share_axes_are_told_apart_by_whoever_sees_them(sight):
    seen = [lab(look.colour, np.array(SIGHT[sight])) for look in plots.LOOKS]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 20


def test_no_two_lines_that_share_axes_have_one_stroke_or_one_marker():
    assert len({look.stroke for look in plots.LOOKS}) == len(plots.LOOKS)
    assert len({look.marker for look in plots.LOOKS}) == len(plots.LOOKS)


def test_a_bar_below_chance_is_no_long_bar_and_chance_stands_inside_its_axis(axes):
    good, bad = axes(plots.bars, report(task("ctr", 0.68), task("spp", 0.472)))
    assert good.get_xlim() == bad.get_xlim()
    for ax in (good, bad):
        left, right = ax.get_xlim()
        assert left <= 0.45
        assert right >= 0.55
    (bar,) = bad.patches
    assert bar.get_width() == pytest.approx(-0.028)
    assert abs(bar.get_width()) < 0.15 * (right - left)


def test_shares_have_an_axis_of_their_own_from_nothing(axes):
    _, share = axes(plots.bars, report(task("ctr", 0.9), task("ppp", 0.3, unit="%", chance=0.14)))
    left, right = share.get_xlim()
    assert left == 0
    assert 0.32 < right < 0.5


def test_a_roc_curve_of_too_little_is_pale_and_says_so(axes):
    line = Line(title="bought", x=(0, 0.3, 1), y=(0, 1, 1))
    tasks = task("few", 0.66, reason="not enough evidence: 1 positive"), task("many", 0.66)
    curves = Curves(roc={"few": line, "many": line.model_copy(update={"title": "clicked"})})
    (ax,) = axes(plots.roc, report(*tasks, curves=curves))
    _, few, many = ax.lines
    assert few.get_label() == "bought (not enough evidence)"
    assert (few.get_alpha(), many.get_alpha()) == (plots.PALE, 1)
    assert many.get_label() == "clicked"


def test_curves_of_the_roc_differ_in_more_than_colour(axes):
    line = Line(title="", x=(0, 1), y=(0, 1))
    curves = Curves(roc={str(n): line for n in range(5)})
    (ax,) = axes(plots.roc, report(curves=curves))
    assert len({str(one._unscaled_dash_pattern) for one in ax.lines[1:]}) == 5
