"""The pictures of an experiment's page: each is a function of the report; PNG bytes."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.abtest.effect import Bounds
from evaluation.abtest.summary import AbtestReport
from evaluation.plots import DPI, INK, MODEL, OTHER, SECOND, new_figure, png, tidy

TITLES = {"ctr": "CTR", "sales": "Sales per user"}


def drawings(report: AbtestReport) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture for which there is something to draw."""
    pictures: tuple[tuple[str, Callable[[AbtestReport], bytes], bool], ...] = (
        ("sequence", sequence, len(report.looks) > 0),
        ("by_day", by_day, len(report.table) > 0),
        ("price_levels", price_levels, any(one.questions for one in report.levels)),
        ("segments", segments, len(report.look.segments) > 0),
    )
    for name, draw, enough in pictures:
        if enough:
            yield name, draw(report)


def sequence(report: AbtestReport) -> bytes:
    """The uplift as it stood at each look: always-valid and fixed-horizon intervals."""
    names = list(dict.fromkeys([report.look.primary.metric, "ctr", "sales"]))[:2]
    figure, axes = new_figure(9.6, 2.7 * len(names), len(names))
    for ax, metric in zip(axes, names, strict=True):
        points = [
            (look.number, effect.uplift)
            for look in report.looks
            for effect in {e.metric: e for e in (*look.effects, look.primary)}.values()
            if effect.metric == metric and effect.uplift.value is not None
        ]
        days = [day for day, _ in points]
        _band(ax, days, [b for _, b in points])
        if metric == report.look.primary.metric:
            ax.axvline(report.look.planned_days, color=OTHER, linewidth=0.9, linestyle=":")
        ax.set_title(TITLES.get(metric, metric), loc="left", fontsize=10, color=INK)
        ax.set_xticks(range(1, report.look.planned_days + 1))
        ax.set_xlim(0.8, report.look.planned_days + 0.2)
        _percent(ax)
        tidy(ax, "both")
    axes[-1].set_xlabel("day of the experiment")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=3, loc="lower right")
    return png(figure)


def _band(ax: Axes, days: Sequence[int], bounds: Sequence[Bounds]) -> None:
    low, high, once_low, once_high, value = (
        [100 * (getattr(one, name) or 0.0) for one in bounds]
        for name in ("low", "high", "fixed_low", "fixed_high", "value")
    )
    ax.fill_between(
        days, low, high, color=MODEL, alpha=0.14, linewidth=0, label="always-valid interval"
    )
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
    for shift, colour, name in ((-0.08, MODEL, "ctr"), (0.08, SECOND, "sales")):
        rows = [row for row in report.table if getattr(row, name).value is not None]
        days = np.array([row.number for row in rows]) + shift
        bounds = [getattr(row, name) for row in rows]
        ax.vlines(
            days,
            [100 * (b.fixed_low or 0.0) for b in bounds],
            [100 * (b.fixed_high or 0.0) for b in bounds],
            color=colour,
            linewidth=1.4,
        )
        ax.plot(
            days,
            [100 * (b.value or 0.0) for b in bounds],
            "o",
            color=colour,
            markersize=5,
            label=TITLES[name],
        )
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set_xticks([row.number for row in report.table])
    ax.set_xlabel("day of the experiment")
    ax.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    _percent(ax)
    tidy(ax, "both")
    return png(figure)


def price_levels(report: AbtestReport) -> bytes:
    """Figure 10: recall and precision of each price level, old line and new."""
    figure = Figure(figsize=(9.6, 3.4), dpi=DPI, layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, what in ((left, "recall"), (right, "precision")):
        for shift, colour, arm in zip((-0.2, 0.2), (OTHER, MODEL), report.levels, strict=True):
            for row in arm.classes:
                found = getattr(row, what)
                label = arm.arm if row.level == 1 else None
                ax.bar(row.level + shift, found.value or 0, width=0.38, color=colour, label=label)
                if found.low is not None and found.high is not None:
                    ax.plot(
                        [row.level + shift] * 2, [found.low, found.high], color=INK, linewidth=1
                    )
        ax.set_title(what, loc="left", fontsize=10, color=INK)
        ax.set_xticks(range(1, 8))
        ax.set_xlabel("price level")
        tidy(ax, "y")
    left.legend(frameon=False, fontsize=8.5, ncols=2, loc="upper right")
    return png(figure)


def segments(report: AbtestReport) -> bytes:
    """The primary's uplift in parts of the users, always-valid."""
    parts = report.look.segments
    figure, (ax,) = new_figure(9.6, 0.42 * len(parts) + 0.9, 1)
    for place, part in enumerate(parts):
        bounds = part.effect.uplift
        if bounds.value is None or bounds.low is None or bounds.high is None:
            continue
        ax.plot([100 * bounds.low, 100 * bounds.high], [place] * 2, color=MODEL, linewidth=2)
        ax.plot(100 * bounds.value, place, "o", color=MODEL, markersize=6)
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.set_yticks(range(len(parts)), [part.name for part in parts])
    ax.set_ylim(len(parts) - 0.5, -0.5)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %")
    tidy(ax, "x")
    return png(figure)


def _percent(ax: Axes) -> None:
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %")
