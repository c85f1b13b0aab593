"""The report's pictures: each is a function of the report and comes back as PNG bytes.

Drawn on figures of their own, without pyplot, so that nothing global (a window, a current figure)
is touched inside an Airflow task.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from evaluation.results import Estimate, OfflineReport, Rival, SliceResult, TaskResult

MODEL, OTHER, TRUTH, SECOND, INK, GRID = (
    "#1f5fbf", "#a9b4c2", "#0a9858", "#e08a2c", "#26323f", "#e3e8ee",
)  # fmt: skip

DPI = 110


class Look(NamedTuple):
    """Of one of several that share axes."""

    colour: str
    stroke: str | tuple[int, tuple[float, ...]]
    marker: str


LOOKS = (
    Look(MODEL, "-", "o"),
    Look(SECOND, "--", "s"),
    Look(TRUTH, "-.", "^"),
    Look("#b67598", ":", "D"),
    Look("#821858", (0, (7, 1.5, 1, 1.5, 1, 1.5)), "v"),
    Look("#65c1f2", (0, (1, 3)), "p"),
)
"""The colours differ in lightness, too, for who does not see red, green or blue; the rest is for
who sees no colour at all, as on paper."""
PALE = 0.35
"""What rests on too little is drawn so: it is shown, not claimed."""


def drawings(report: OfflineReport) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture for which there is something to draw."""
    for name, draw, enough in PICTURES:
        if enough(report):
            yield name, draw(report)


def bars(report: OfflineReport) -> bytes:
    """Model, yardsticks and ceiling of every measured task, from chance; AUCs on one scale.

    Chance stands well inside the axis, so that a bar to its left reads as below it.
    """
    shown = _measured(report)
    places = {task.name: _places(task) for task in shown}
    of_auc = [place for task in shown if task.unit == "AUC" for place in places[task.name]]
    heights = [len(_entries(task)) for task in shown]
    figure, axes = new_figure(9.0, 0.3 * sum(heights) + 0.62 * len(shown), len(shown), heights)
    for ax, task in zip(axes, shown, strict=True):
        entries, start = _entries(task), _start(task)
        for row, (_, estimate, colour) in enumerate(entries):
            value = estimate.value if estimate.value is not None else start
            shade = PALE if task.reason else 1.0
            ax.barh(row, value - start, left=start, color=colour, height=0.62, alpha=shade)
            _whisker(ax, estimate, row)
            end = max(v for v in (value, estimate.high, start) if v is not None)
            ax.annotate(
                f"{value:.3f}", (end, row), (5, 0), textcoords="offset points", va="center",
                fontsize=8, color=INK,
            )  # fmt: skip
            ax.set_yticks(range(len(entries)), [label for label, *_ in entries], fontsize=8.5)
        ax.set_ylim(len(entries) - 0.5, -0.5)
        ax.axvline(task.chance, color=INK, linewidth=1)
        seen = of_auc if task.unit == "AUC" else places[task.name]
        room = 0.12 * (max(seen) - min(seen))  # for the numbers at the ends
        ax.set_xlim(max(min(seen) - room / 4, 0), max(seen) + room)
        doubt = f": {_short(task.reason)}" if task.reason else ""
        title = f"{task.title}, {task.unit}{doubt}"
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
        tidy(ax, "x")
    return png(figure)


def roc(report: OfflineReport) -> bytes:
    """ROC curve of every measure that is an AUC; pale where it rests on too little."""
    figure, (ax,) = new_figure(5.6, 6.2, 1)
    ax.plot([0, 1], [0, 1], color=OTHER, linewidth=1, linestyle="--", label="chance")
    doubtful = {task.name: _short(task.reason) for task in report.tasks if task.reason}
    for look, (name, line) in zip(cycle(LOOKS), report.curves.roc.items(), strict=False):
        value = report.value(name)
        label = line.title if value is None else f"{line.title}: {value:.3f}"
        doubt = doubtful.get(name)
        ax.plot(
            line.x, line.y, color=look.colour, linestyle=look.stroke, linewidth=1.8,
            alpha=PALE if doubt else 1.0, label=f"{label} ({doubt})" if doubt else label,
        )  # fmt: skip
    ax.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
    ax.legend(frameon=False, fontsize=8.5, loc="lower left", bbox_to_anchor=(0, 1))
    tidy(ax, "both")
    return png(figure)


def calibration(report: OfflineReport) -> bytes:
    """Said against seen click rate."""
    line = report.curves.calibration
    figure, (ax,) = new_figure(5.6, 5.0, 1)
    if line is not None:
        top = max(*line.x, *line.y, 1e-3) * 1.08
        ax.plot(
            [0, top], [0, top], color=OTHER, linewidth=1, linestyle="--", label="as it should be"
        )
        ax.plot(line.x, line.y, color=MODEL, marker="o", markersize=5, linewidth=1.4, label="model")
        ax.set(xlim=(0, top), ylim=(0, top))
    ax.set(xlabel="click probability, as said", ylabel="click rate, as seen")
    ax.legend(frameon=False, fontsize=8.5, loc="upper left")
    tidy(ax, "both")
    return png(figure)


def price_levels(report: OfflineReport) -> bytes:
    """PPP: recall and precision of every level beside MaxEnt's, and who was taken for whom."""
    figure = Figure(figsize=(9.0, 7.0), dpi=DPI, layout="constrained")
    parts = figure.subplot_mosaic([["recall", "precision"], ["confusion"] * 2])
    left, middle, below = (parts[name] for name in ("recall", "precision", "confusion"))
    middle.sharey(left)
    rivals = [row.rival for row in report.classes if row.rival is not None]
    shift = 0.2 if rivals else 0.0
    for ax, name in ((left, "recall"), (middle, "precision")):
        for rows, by, colour, who in (
            (report.classes, -shift, MODEL, "the model"),
            (rivals, shift, OTHER, "MaxEnt on the price history"),
        ):
            if rows:
                found = [getattr(row, name) for row in rows]
                level_bars(ax, [row.level + by for row in rows], found, colour, who)
        ax.set(xlabel="price level", ylabel=name, xticks=range(1, len(report.classes) + 1))
        tidy(ax, "y")
    left.set_ylim(0, max(left.get_ylim()[1], middle.get_ylim()[1], 0.1))
    left.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    table = np.asarray(report.curves.confusion, float)
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    below.imshow(share, cmap="Blues", vmin=0, aspect="auto")
    for (row, column), value in np.ndenumerate(share):
        dark = value > share.max() / 2
        below.text(
            column, row, f"{value:.0%}", ha="center", va="center", fontsize=9,
            color="white" if dark else INK,
        )  # fmt: skip
    ticks = range(len(share))
    below.set_xticks(ticks, [str(tick + 1) for tick in ticks])
    below.set_yticks(ticks, [str(tick + 1) for tick in ticks])
    below.set(xlabel="level as said", ylabel="true level")
    below.tick_params(length=0, labelsize=9)
    return png(figure)


def level_bars(
    ax: Axes, places: Sequence[float], found: Sequence[Estimate], colour: str, name: str
) -> None:
    """Bars with their intervals: pale without one, and none for what is not known."""
    ax.plot([], [], "s", color=colour, markersize=8, label=name)
    for place, one in zip(places, found, strict=True):
        if one.value is None:
            continue
        shade = PALE if one.low is None else 1.0
        ax.bar(place, one.value, width=0.38, color=colour, alpha=shade)
        if one.low is not None and one.high is not None:
            ax.plot([place] * 2, [one.low, one.high], color=INK, linewidth=1)


def slices(report: OfflineReport) -> bytes:
    """CTR and L2R of every slice, with intervals."""
    parts = _parts(report)
    figure, (ax,) = new_figure(9.0, 0.3 * len(parts) + 1.0, 1)
    names = (("ctr_auc", MODEL, -0.14, "CTR"), ("l2r_auc", SECOND, 0.14, "L2R"))
    for row, part in enumerate(parts):
        for name, colour, shift, _ in names:
            found = next((s for s in report.slices if _key(s) == part and s.name == name), None)
            if found is None or found.model.value is None or found.reason:
                continue
            _whisker(ax, found.model, row + shift, colour)
            ax.plot(found.model.value, row + shift, "o", color=colour, markersize=4.5)
    for name, colour, _, label in names:
        value = report.value(name)
        if value is not None:
            ax.axvline(value, color=colour, linewidth=0.8, linestyle=":")
        ax.plot([], [], "o", color=colour, markersize=4.5, label=f"{label} (dotted: whole day)")
    ax.set_yticks(range(len(parts)), [f"{a}: {b}" for a, b in parts], fontsize=8.5)
    ax.invert_yaxis()
    ax.set_xlabel("AUC")
    ax.legend(frameon=False, fontsize=8.5, ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    tidy(ax, "x")
    return png(figure)


def training(report: OfflineReport) -> bytes:
    """How training went."""
    lines = report.curves.training
    figure = Figure(figsize=(3.4 * min(len(lines), 3), 2.6 * -(-len(lines) // 3)), dpi=DPI,
                    layout="constrained")  # fmt: skip
    grid = figure.subplots(-(-len(lines) // 3), min(len(lines), 3), squeeze=False)
    for ax in grid.flat:
        ax.set_visible(False)
    for ax, line in zip(grid.flat, lines.values(), strict=False):
        ax.set_visible(True)
        ax.plot(line.x, line.y, color=MODEL, linewidth=1.4)
        ax.set_title(line.title, loc="left", fontsize=9.5, fontweight="bold")
        ax.set_xlabel("step", fontsize=8.5)
        tidy(ax, "both")
    return png(figure)


PICTURES: tuple[
    tuple[str, Callable[[OfflineReport], bytes], Callable[[OfflineReport], bool]], ...
] = (
    ("tasks", bars, lambda report: bool(_measured(report))),
    ("roc", roc, lambda report: bool(report.curves.roc)),
    ("calibration", calibration, lambda report: report.curves.calibration is not None),
    ("price_levels", price_levels, lambda report: bool(report.curves.confusion)),
    ("slices", slices, lambda report: bool(_parts(report))),
    ("training", training, lambda report: bool(report.curves.training)),
)


def _measured(report: OfflineReport) -> list[TaskResult]:
    return [task for task in report.tasks if task.model.value is not None]


def _short(reason: str) -> str:
    """What stands before the details."""
    return reason.partition(":")[0]


def _parts(report: OfflineReport) -> list[tuple[str, str]]:
    """Slices with at least one interval, in order."""
    return list(dict.fromkeys(_key(part) for part in report.slices if not part.reason))


def _key(part: SliceResult) -> tuple[str, str]:
    return part.dimension, part.part


def _entries(task: TaskResult) -> list[tuple[str, Estimate, str]]:
    """Label, estimate and colour of every bar."""
    others: Sequence[Rival] = task.rivals
    return [
        ("the model", task.model, MODEL),
        *((rival.title, rival.estimate, OTHER) for rival in others),
        *((truth.title, truth.estimate, TRUTH) for truth in (task.visible, task.ceiling) if truth),
    ]


def _places(task: TaskResult) -> list[float]:
    """All that has to have room on the axis of a task: bars, intervals, and both sides of chance.

    Shares have their lower side from nothing.
    """
    ends = [
        end for _, one, _ in _entries(task) for end in (one.value, one.low, one.high)
        if end is not None
    ]  # fmt: skip
    return [_start(task), task.chance - 0.05, task.chance + 0.05, *ends]


def _start(task: TaskResult) -> float:
    """Where bars begin: chance for an AUC, nothing for a share (chance is a line there)."""
    return task.chance if task.unit == "AUC" else 0.0


def _whisker(ax: Axes, estimate: Estimate, row: float, colour: str = INK) -> None:
    if estimate.low is not None and estimate.high is not None:
        ax.plot([estimate.low, estimate.high], [row, row], color=colour, linewidth=1.3)


def new_figure(
    width: float, height: float, rows: int, ratios: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of its own and its axes, one below the other."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    grid: Any = figure.subplots(rows, 1, squeeze=False, height_ratios=ratios)
    return figure, list(grid[:, 0])


def tidy(ax: Axes, grid: Any) -> None:
    """The house's look: two spines, a pale grid ("x", "y" or "both"), no ticks."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(OTHER)
    ax.grid(axis=grid, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(length=0, labelsize=8.5, colors=INK)


def by_ratio(ax: Axes) -> None:
    """The horizontal axis on a logarithmic scale, its numbers written out."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def png(figure: Figure) -> bytes:
    """The same figure, the same bytes."""
    sink = io.BytesIO()
    canvas = FigureCanvasAgg(figure)
    canvas.print_figure(sink, format="png", metadata={"Software": "dupn"})
    return sink.getvalue()
