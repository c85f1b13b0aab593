"""The pictures of an experiment's page: each is a function of the report; PNG bytes."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Formatter, MaxNLocator

from evaluation.abtest.effect import Bounds
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.segments import Segment
from evaluation.abtest.summary import TABLE_3, AbtestReport
from evaluation.plots import DPI, INK, MODEL, OTHER, SECOND, level_bars, new_figure, png, tidy

MARKS = {"ctr": (MODEL, "o"), "sales": (SECOND, "s")}
"""Colour and marker of a metric by day; any other has the ink's and a diamond."""
EDGE = 0.7
"""Opacity of the band's edge: what it holds is too pale for many an eye."""
LEAST, MOST = -100.0, 1000.0
"""Per cent between which is drawn: words are cut there too (`effect.percent`)."""


def named(metric: str) -> str:
    """As a sentence has it."""
    return "CTR" if metric == "ctr" else METRICS[metric].title


def drawings(report: AbtestReport) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture for which there is something to draw."""
    pictures: tuple[tuple[str, Callable[[AbtestReport], bytes], bool], ...] = (
        ("sequence", sequence, len(compared(report)) > 0),
        ("by_day", by_day, _known_days(report)),
        ("price_levels", price_levels, any(one.questions for one in report.levels)),
        ("segments", segments, any(_drawn(part) for part in report.look.segments)),
    )
    for name, draw, enough in pictures:
        if enough:
            yield name, draw(report)


def sequence(report: AbtestReport) -> bytes:
    """The uplift as it stood at each look: always-valid and fixed-horizon intervals."""
    shown = compared(report)
    figure, axes = new_figure(9.6, 2.7 * len(shown), len(shown))
    for ax, (metric, points) in zip(axes, shown.items(), strict=True):
        _band(ax, [day for day, _ in points], [b for _, b in points])
        if metric == report.look.primary.metric:
            ax.axvline(report.look.planned_days, color=OTHER, linewidth=0.9, linestyle=":")
        ax.set_title(_headed(metric), loc="left", fontsize=10, color=INK)
        ax.set_xlim(0.8, max(report.look.planned_days, report.look.number) + 0.2)
        _days(ax)
        _percent(ax)
        tidy(ax, "both")
    axes[-1].set_xlabel("day of the experiment")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=3, loc="lower right", bbox_to_anchor=(1, 1))
    return png(figure)


def compared(report: AbtestReport) -> dict[str, list[tuple[int, Bounds]]]:
    """What can end it, CTR and sales: those with an uplift at some look, and all of theirs."""
    guards = (one.metric for one in report.look.guardrails)
    wanted = dict.fromkeys((report.look.primary.metric, *guards, *TABLE_3))
    found = {metric: _points(report, metric) for metric in wanted}
    return {metric: points for metric, points in found.items() if points}


def _points(report: AbtestReport, metric: str) -> list[tuple[int, Bounds]]:
    """Number and uplift of every look that has one."""
    return [
        (look.number, effect.uplift)
        for look in report.looks
        for effect in look.every
        if effect.metric == metric and effect.uplift.value is not None
    ]


def _band(ax: Axes, days: Sequence[int], bounds: Sequence[Bounds]) -> None:
    low, once_low = [_low(b.low) for b in bounds], [_low(b.fixed_low) for b in bounds]
    high, once_high = [_high(b.high) for b in bounds], [_high(b.fixed_high) for b in bounds]
    value = [_high(b.value) for b in bounds]
    ax.fill_between(
        days, low, high, facecolor=(MODEL, 0.14), edgecolor=(MODEL, EDGE), linewidth=0.9,
        label="always-valid interval",
    )  # fmt: skip
    if len(days) == 1:  # a band of one day has no area
        ax.vlines(days, low, high, color=MODEL, alpha=0.25, linewidth=12)
    ax.vlines(
        days, once_low, once_high, color=SECOND, linewidth=2, alpha=0.8, label="fixed horizon"
    )
    ax.plot(days, value, color=MODEL, linewidth=1.8, marker="o", markersize=4.5, label="uplift")
    ax.axhline(0, color=INK, linewidth=0.8)
    if days:  # early looks know little: their band is cut, or nothing else could be seen
        reach = 3 * max(abs(low[-1]), abs(high[-1]), *np.abs(value), 1.0)
        ax.set_ylim(max(min([*low, 0.0]), -reach), min(max([*high, 0.0]), reach))


def by_day(report: AbtestReport) -> bytes:
    """Uplift of each day alone: novelty wears off here."""
    figure, (ax,) = new_figure(9.6, 3.2, 1)
    shown = _daily(report)
    for place, (metric, points) in enumerate(shown.items()):
        shift = 0.16 * (place - (len(shown) - 1) / 2)
        colour, marker = MARKS.get(metric, (INK, "D"))
        rows = [(day + shift, b) for day, b in points]
        bars = [(day, b) for day, b in rows if b.fixed_low is not None]
        ax.vlines(
            [day for day, _ in bars],
            [_low(b.fixed_low) for _, b in bars],
            [_high(b.fixed_high) for _, b in bars],
            color=colour,
            linewidth=1.4,
        )
        ax.plot(
            [day for day, b in rows if b.value is not None],
            [_high(b.value) for _, b in rows if b.value is not None],
            marker,
            color=colour,
            markersize=5,
            label=_headed(metric),
        )
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xlim(0.7, len(report.table) + 0.3)
    _days(ax)
    ax.set_xlabel("day of the experiment")
    ax.legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    _percent(ax)
    tidy(ax, "both")
    return png(figure)


def _daily(report: AbtestReport) -> dict[str, list[tuple[int, Bounds]]]:
    """Of each metric of Table 3 all days."""
    found: dict[str, list[tuple[int, Bounds]]] = {}
    for row in report.table:
        for metric, bounds in row.uplifts(report.look.primary.metric).items():
            found.setdefault(metric, []).append((row.number, bounds))
    return found


def price_levels(report: AbtestReport) -> bytes:
    """Figure 10: recall and precision of each price level, old line and new."""
    figure = Figure(figsize=(9.6, 3.4), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, what in ((left, "recall"), (right, "precision")):
        for shift, colour, arm in zip((-0.2, 0.2), (OTHER, MODEL), report.levels, strict=True):
            places = [row.level + shift for row in arm.classes]
            level_bars(ax, places, [getattr(row, what) for row in arm.classes], colour, arm.arm)
        ax.set_title(what, loc="left", fontsize=10, color=INK)
        ax.set_xticks(range(1, 8))
        ax.set_xlabel("price level")
        tidy(ax, "y")
    left.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return png(figure)


def segments(report: AbtestReport) -> bytes:
    """The primary's uplift in parts of the users, always-valid."""
    parts = report.look.segments
    figure, (ax,) = new_figure(9.6, 0.42 * len(parts) + 0.9, 1)
    for place, part in enumerate(parts):
        if not _drawn(part):
            continue
        bounds = part.effect.uplift
        ends = [_low(bounds.low), _high(bounds.high)]
        ax.plot(ends, [place] * 2, color=MODEL, linewidth=2)
        ax.plot(_high(bounds.value), place, "o", color=MODEL, markersize=6)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(range(len(parts)), [part.name for part in parts])
    ax.set_ylim(len(parts) - 0.5, -0.5)
    ax.xaxis.set_major_formatter(PerCent())
    tidy(ax, "x")
    return png(figure)


def _known_days(report: AbtestReport) -> bool:
    """Whether a day of Table 3 has an uplift."""
    return any(b.value is not None for points in _daily(report).values() for _, b in points)


def _drawn(part: Segment) -> bool:
    """Whether there is an interval to draw."""
    return part.effect.uplift.value is not None and part.effect.uplift.low is not None


def _low(share: float | None) -> float:
    """A lower bound in per cent; unknown, it may be as low as there is."""
    return LEAST if share is None else min(100 * share, MOST)


def _high(share: float | None) -> float:
    """An upper bound in per cent; past all numbers (None), it is cut like every large one."""
    return MOST if share is None else min(100 * share, MOST)


def _headed(metric: str) -> str:
    name = named(metric)
    return name[0].upper() + name[1:]


def _percent(ax: Axes) -> None:
    ax.yaxis.set_major_formatter(PerCent())


def _days(ax: Axes) -> None:
    """Whole days, as many as there is room for."""
    ax.xaxis.set_major_locator(MaxNLocator(14, integer=True, min_n_ticks=1, steps=(1, 2, 5, 7, 10)))


class PerCent(Formatter):
    """`+0.5 %`: with as many digits as tell two neighbouring ticks apart."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        """The label of a tick."""
        del pos
        ticks = np.asarray(self.locs, np.float64)
        step = float(np.diff(ticks).min()) if len(ticks) > 1 else 1.0
        digits = next((n for n in range(4) if abs(round(step, n) - step) < 0.01 * step), 4)
        return f"{value:+.{digits}f} %" if abs(value) > step / 100 else "0 %"
