"""The pictures of the page of nights, each a function of the nights; PNG bytes."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date
from itertools import cycle
from statistics import mean, median

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from evaluation.plots import INK, LOOKS, MODEL, OTHER, PALE, Look, new_figure, png, tidy
from evaluation.results import Figure
from evaluation.watch import PROGRESSIVE, Night

MEASURES = {
    "ctr_auc": "CTR",
    "l2r_auc": "L2R",
    "fifp_auc": "FIFP",
}
VOLUMES = {"behaviors": "behaviours", "moments": "moments", "rejects": "refused rows"}
STAGES = ("events", "vocabulary", "statistics", "sequences", "samples", "update")
FAR = 4.0
"""Times the median night: a longer one ends at the edge of its picture."""


def drawings(nights: Sequence[Night]) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture for which there is something to draw."""
    for name, draw, prefix in PICTURES:
        there = any(figure.name.startswith(prefix) for night in nights for figure in night.figures)
        if name == "staleness":  # a curve takes models of two ages on one day
            there = any(len(_ages(night)) > 1 for night in nights)
        if there:
            yield name, draw(nights)


def progressive(nights: Sequence[Night]) -> bytes:
    """AUC of the champion on each new day, before it trained on it."""
    figure, (ax,) = new_figure(9.6, 3.8, 1)
    for look, (name, title) in zip(cycle(LOOKS), MEASURES.items(), strict=False):
        _line(ax, _series(nights, f"{PROGRESSIVE}_{name}"), look, title)
    for night in nights:
        if night.alerts:
            ax.axvline(_day(night).toordinal(), color="#b3372f", linewidth=1, linestyle=":")
    _dates(ax, nights)
    ax.set_ylabel("AUC, champion on the new day")
    ax.legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    tidy(ax, "both")
    return png(figure)


def staleness(nights: Sequence[Night]) -> bytes:
    """CTR AUC against the age of the model: what it lost against the youngest one, by night."""
    figure, (ax,) = new_figure(5.2, 3.8, 1)
    curves = losses(nights)
    for curve in curves:
        ax.plot(list(curve), list(curve.values()), color=OTHER, linewidth=0.8)
    ages = sorted({age for curve in curves for age in curve})
    means = [mean(curve[age] for curve in curves if age in curve) for age in ages]
    ax.plot(ages, means, color=MODEL, linewidth=2, marker="o", markersize=5, label="mean")
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(xlabel="age of the model, days", ylabel="CTR AUC against the youngest")
    ax.set_xticks(ages)
    ax.legend(frameon=False, fontsize=8.5)
    tidy(ax, "both")
    return png(figure)


def losses(nights: Sequence[Night]) -> list[dict[int, float]]:
    """CTR AUC by age of the model, less that of the youngest; of every night that has that one.

    After a night that was missed the youngest there is is older: its loss is no nought.
    """
    curves = [curve for night in nights if len(curve := _ages(night)) > 1]
    youngest = min((age for curve in curves for age in curve), default=0)
    return [
        {age: value - curve[youngest] for age, value in curve.items()}
        for curve in curves
        if youngest in curve
    ]


def forgetting(nights: Sequence[Night]) -> bytes:
    """What tonight's model won or lost on older days, in CTR AUC."""
    figure, (ax,) = new_figure(5.2, 3.8, 1)
    backs = _numbers(nights, r"watch_change_(\d+)_ctr_auc")
    for look, back in zip(cycle(LOOKS), backs, strict=False):
        series = _series(nights, f"watch_change_{back}_ctr_auc")
        _line(ax, series, look, f"{back} day{'s' if back > 1 else ''} ago")
    ax.axhline(0, color=INK, linewidth=0.8)
    _dates(ax, nights)
    ax.set_ylabel("CTR AUC against the model of then")
    ax.legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    tidy(ax, "both")
    return png(figure)


def volume(nights: Sequence[Night]) -> bytes:
    """Behaviours, moments and refused rows of each day."""
    figure, axes = new_figure(5.2, 4.6, len(VOLUMES))
    for ax, look, (name, title) in zip(axes, LOOKS, VOLUMES.items(), strict=False):
        series = _series(nights, f"watch_{name}")
        many = [one.value or 0 for one in series.values()]
        ax.bar(_places(series), many, color=look.colour, width=0.7)
        ax.set_title(title, loc="left", fontsize=9, color=INK)
        _dates(ax, nights)
        _whole(ax)
        tidy(ax, "y")
    return png(figure)


def durations(nights: Sequence[Night]) -> bytes:
    """Seconds of each stage, stacked; of a night far above the others its seconds are written."""
    figure, (ax,) = new_figure(5.2, 4.6, 1)
    bottom: dict[date, float] = {}
    for look, stage in zip(LOOKS, STAGES, strict=True):
        series = _series(nights, f"watch_{stage}_s")
        heights = {day: one.value or 0.0 for day, one in series.items()}
        start = [bottom.get(day, 0.0) for day in heights]
        ax.bar(
            _places(heights), list(heights.values()), bottom=start, color=look.colour, label=stage,
            edgecolor="white", linewidth=0.6,
        )  # fmt: skip
        bottom |= {day: bottom.get(day, 0.0) + value for day, value in heights.items()}
    _cut(ax, bottom)
    _dates(ax, nights)
    _whole(ax)
    ax.set_ylabel("seconds on the clock")
    ax.legend(frameon=False, fontsize=8.5, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    tidy(ax, "y")
    return png(figure)


PICTURES: tuple[tuple[str, Callable[[Sequence[Night]], bytes], str], ...] = (
    ("progressive", progressive, PROGRESSIVE),
    ("staleness", staleness, "watch_age_"),
    ("forgetting", forgetting, "watch_change_"),
    ("volume", volume, "watch_moments"),
    ("durations", durations, "watch_samples_s"),
)


def _day(night: Night) -> date:
    return date.fromisoformat(night.day)


def _series(nights: Sequence[Night], name: str) -> dict[date, Figure]:
    found = {_day(night): night.figure(name) for night in nights}
    return {day: one for day, one in found.items() if one is not None and one.value is not None}


def _places(days: Iterable[date]) -> list[int]:
    """Where days stand on the axis."""
    return [day.toordinal() for day in days]


def _line(ax: Axes, series: Mapping[date, Figure], look: Look, title: str) -> None:
    """What has an interval, joined; what has none stands apart, hollow and pale."""
    known = [
        (day.toordinal(), one.value, one.low, one.high)
        for day, one in series.items()
        if one.value is not None and one.low is not None and one.high is not None
    ]
    days = [day for day, *_ in known]
    ax.plot(
        days, [value for _, value, *_ in known], color=look.colour, linestyle=look.stroke,
        linewidth=1.8, marker=look.marker, markersize=4, label=title,
    )  # fmt: skip
    ax.vlines(
        days,
        [low for *_, low, _ in known],
        [high for *_, high in known],
        color=look.colour,
        linewidth=1,
        alpha=0.45,
    )
    few = {day: one.value or 0.0 for day, one in series.items() if one.low is None}
    ax.plot(
        _places(few), list(few.values()), color=look.colour, linestyle="none", alpha=PALE,
        marker=look.marker, markersize=5, markerfacecolor="none",
    )  # fmt: skip


def _cut(ax: Axes, heights: Mapping[date, float]) -> None:
    """One very long night leaves the others to be seen."""
    edge = FAR * median(heights.values())
    far = {day: height for day, height in heights.items() if height > edge > 0}
    if far:
        ax.set_ylim(0, edge)
    for day, height in far.items():
        ax.text(
            day.toordinal(), edge * 0.98, f"{height:,.0f} s", rotation=90, ha="center", va="top",
            fontsize=8, color="white", bbox={"facecolor": INK, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip


def _ages(night: Night) -> dict[int, float]:
    """CTR AUC by age of the model, where there was enough for an interval."""
    found = {}
    for figure in night.figures:
        match = re.fullmatch(r"watch_age_(\d+)_ctr_auc", figure.name)
        if match and figure.value is not None and figure.low is not None:
            found[int(match.group(1))] = figure.value
    return dict(sorted(found.items()))


def _numbers(nights: Sequence[Night], pattern: str) -> list[int]:
    names = {figure.name for night in nights for figure in night.figures}
    return sorted(int(found.group(1)) for name in names if (found := re.fullmatch(pattern, name)))


def _dates(ax: Axes, nights: Sequence[Night]) -> None:
    """Few labels, whole days."""
    days = [_day(night) for night in nights]
    step = -(-len(days) // 8)
    labels = [f"{day.day} {day:%b}" for day in days[::step]]
    ax.set_xticks([day.toordinal() for day in days[::step]], labels)


def _whole(ax: Axes) -> None:
    """Numbers written out, as the table has them: millions are no small "1e6" in a corner."""
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=(1, 2, 5, 10)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
