"""The drift study on paper: JSON, pictures, and one self-contained page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN
from evaluation.plots import INK, MODEL, OTHER, SECOND, new_figure, png, tidy
from evaluation.rendering import inside, template
from evaluation.results import Figure
from evaluation.studies import page, protocol
from evaluation.studies.drift import Arm, Cell, Shape, by_day, daily, headline, series
from evaluation.studies.page import Grid, Page, Picture, shown, told
from evaluation.studies.protocol import Setup
from infra.store import Store
from training.config import Task

TITLES = {
    "ctr_auc": "Click (CTR), AUC",
    "l2r_auc": "Ranking (L2R), AUC",
    "ppp_precision": "Price level (PPP), precision",
    "fifp_auc": "Follow an icon (FIFP), AUC",
}
COLOURS = {Arm.FROZEN: OTHER, Arm.NIGHTLY: MODEL, Arm.RETRAIN: SECOND}
MARKERS = {Arm.FROZEN: "^", Arm.NIGHTLY: "o", Arm.RETRAIN: "s"}
DRAWN = ("ctr_auc", "l2r_auc")
TASKS = (Task.CTR, Task.L2R, Task.PPP, Task.FIFP)
CONTRASTS = {
    "nightly_over_frozen": "nightly less frozen, from the first update on",
    "nightly_over_frozen_late": "nightly less frozen, last third of the days",
    "nightly_over_retrain": "nightly less retrain, where that is fresh",
    "nightly_over_retrain_in_use": "nightly less retrain, while in use, fresh days among them",
    "retrain_over_frozen": "retrain less frozen, where that is fresh",
}
COSTS = {
    "nightly_cpu_s": "a night's update, processor seconds",
    "retrain_cpu_s": "a retrain, processor seconds",
    "retrain_over_nightly_cpu": "a retrain over a night's update, processor",
    "nightly_wall_s": "a night's update, seconds on the clock",
    "retrain_wall_s": "a retrain, seconds on the clock",
    "retrain_over_nightly_wall": "a retrain over a night's update, clock",
}
LEAD = (
    "Every model is asked the whole new day, none of which it has learnt. Frozen: trained once on "
    "the first days. Nightly: the same, updated every night. Retrain: trained anew on as many last "
    "days every few days, and used until the next."
)


def write(
    store: Store, name: str, shape: Shape, cells: Sequence[Cell], setup: Setup
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where to.
        name: of the study.
        shape: how many days of what.
        cells: one a seed.
        setup: worlds and network.
    """
    main, every = list(headline(cells)), list(daily(cells))
    pictures = dict(drawings(cells))
    said = Page(
        study=name,
        title="Drift: frozen, nightly, retrained",
        lead=LEAD,
        protocol=_protocol(shape, cells, setup),
        figures=[*main, *every],
        said=[f"{title}: {_told(one)}." for title, one in _tiles({f.name: f for f in main})],
        grids=[_contrasts(main), _costs(main), _days(shape, cells)],
        pictures={title: Picture(title, data) for title, data in pictures.items()},
        facts={"seeds": [cell.seed for cell in cells], "shape": vars(shape)},
    )
    found = page.publish(store, said, html(said, shape, cells, pictures))
    return {**found, "seeds": len(cells), "figures": found["figures"][: len(main)]}


def _told(figure: Figure) -> str:
    """A difference has a sign and four digits, a time or its multiple one digit."""
    plain = figure.unit in ("s", "x")
    return told(figure, 1) if plain else told(figure, sign=True)


def _protocol(shape: Shape, cells: Sequence[Cell], setup: Setup) -> Mapping[str, str]:
    nights = [cost.moments for cell in cells for cost in cell.costs if cost.arm is Arm.NIGHTLY]
    return {
        "Data": f"{setup.data([cell.seed for cell in cells])}; a night learns "
        f"{protocol.span(nights)} moments",
        "Network": f"DUPN: {setup.network}",
        "Questions": f"{protocol.days(shape.trained)} trained, {protocol.days(shape.nights)} after "
        "them asked, each as a whole and before it is learnt; a retrain every "
        f"{protocol.days(shape.every)}; all users. {protocol.negatives(TASKS)}",
        "Intervals": f"{protocol.over_worlds(len(cells))}; of costs the range over worlds",
        "Settings": protocol.settings(worlds=cells),
    }


def _contrasts(main: Sequence[Figure]) -> Grid:
    known = {one.name: one for one in main}
    rows = [
        [title, *(told(known[f"drift_{name}_{measure}"], sign=True) for measure in TITLES)]
        for name, title in CONTRASTS.items()
    ]
    return Grid("Differences", ["paired mean over days", *TITLES.values()], rows)


def _costs(main: Sequence[Figure]) -> Grid:
    known = {one.name: one for one in main}
    rows = [[title, told(known[f"drift_{name}"], 1)] for name, title in COSTS.items()]
    return Grid("What it costs", ["", "mean (smallest to largest)"], rows)


def _days(shape: Shape, cells: Sequence[Cell]) -> Grid:
    rows = [
        [str(day), *("-" if one is None else shown(one) for one in _day(cells, day)["values"])]
        for day in shape.asked
    ]
    head = [f"{TITLES[measure]}, {arm}" for measure in DRAWN for arm in Arm]
    return Grid("Day by day", ["day", *head], rows)


def html(said: Page, shape: Shape, cells: Sequence[Cell], pictures: Mapping[str, bytes]) -> str:
    """One page that needs no other file."""
    figures = protocol.traced(headline(cells), said.protocol)
    by_name = {figure.name: figure for figure in figures}
    return template("drift").render(
        name=said.study,
        shape=shape,
        cells=cells,
        tiles=_tiles(by_name),
        figures=figures,
        days=[_day(cells, day) for day in shape.asked],
        titles=[TITLES[measure] for measure in DRAWN],
        pictures=inside(pictures),
        protocol=said.protocol,
    )


def drawings(cells: Sequence[Cell]) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture."""
    yield "by_day", _by_day(cells)
    yield "gain", _gain(cells)
    yield "cost", _cost(cells)


def _by_day(cells: Sequence[Cell]) -> bytes:
    figure, axes = new_figure(9.6, 7.0, len(DRAWN))
    for ax, measure in zip(axes, DRAWN, strict=True):
        for arm in Arm:
            known = by_day(cells, arm, measure)
            days = sorted({day for cell in cells for day in series(cell, arm, measure)})
            found = [known.get(day, Interval(NAN)) for day in days]  # a gap where nobody knows it
            ax.plot(days, [one.value for one in found], color=COLOURS[arm], linewidth=1.9,
                    marker=MARKERS[arm], markersize=4, label=arm)  # fmt: skip
            low, high = [one.low for one in found], [one.high for one in found]
            ax.fill_between(days, low, high, color=COLOURS[arm], alpha=0.13, linewidth=0)
        ax.set_title(TITLES[measure], loc="left", fontsize=10, fontweight="bold", color=INK)
        tidy(ax, "both")
        ax.set_xticks(sorted(series(cells[0], Arm.FROZEN, measure)))
    axes[-1].set_xlabel("day")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=3, loc="lower right")
    return png(figure)


def _gain(cells: Sequence[Cell]) -> bytes:
    """CTR AUC over the frozen model, each seed pale, their mean strong."""
    figure, (ax,) = new_figure(9.6, 3.6, 1)
    for arm in (Arm.NIGHTLY, Arm.RETRAIN):
        gains: dict[int, list[float]] = {}
        for cell in cells:
            curve = _over_frozen(cell, arm)
            ax.plot(list(curve), list(curve.values()), color=COLOURS[arm], linewidth=0.7, alpha=0.4)
            for day, value in curve.items():
                gains.setdefault(day, []).append(value)
        means = [_mean(values) for values in gains.values()]
        ax.plot(list(gains), means, color=COLOURS[arm], linewidth=2.1, marker=MARKERS[arm],
                label=arm)  # fmt: skip
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(
        xlabel="day",
        ylabel="CTR AUC over frozen",
        xticks=sorted(series(cells[0], Arm.NIGHTLY, "ctr_auc")),
    )
    ax.legend(frameon=False, fontsize=8.5, ncols=2, loc="upper left")
    tidy(ax, "both")
    return png(figure)


def _over_frozen(cell: Cell, arm: Arm) -> dict[int, float]:
    """CTR AUC less the frozen model's; NaN, a gap in the line, where either has none."""
    mine, base = (
        {day: NAN if score.value is None else score.value for day, score in found.items()}
        for found in (series(cell, arm, "ctr_auc"), series(cell, Arm.FROZEN, "ctr_auc"))
    )
    return {day: value - base.get(day, NAN) for day, value in mine.items()}


def _mean(values: Sequence[float]) -> float:
    """Of those that are known."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else NAN


def _cost(cells: Sequence[Cell]) -> bytes:
    """Processor time: seconds on the clock were taken beside other work."""
    figure, (ax,) = new_figure(9.6, 1.9, 1)
    arms = (Arm.RETRAIN, Arm.NIGHTLY)
    for row, arm in enumerate(arms):
        spent = [cost.cpu_s for cell in cells for cost in cell.costs if cost.arm is arm]
        value = float(np.mean(spent)) if spent else 0.0
        ax.barh(row, value, color=COLOURS[arm], height=0.6)
        ax.annotate(f"{value:.1f} s", (value, row), (5, 0), textcoords="offset points",
                    va="center", fontsize=8.5, color=INK)  # fmt: skip
    ax.set_yticks(range(len(arms)), [f"one {arm}" for arm in ("retrain", "night")])
    ax.set_xlabel("processor seconds")
    ax.margins(x=0.12)
    tidy(ax, "x")
    return png(figure)


def _tiles(figures: Mapping[str, Figure]) -> list[tuple[str, Figure]]:
    wanted = {
        "drift_nightly_over_frozen_ctr_auc": "nightly over frozen, CTR AUC",
        "drift_nightly_over_retrain_ctr_auc": "nightly over fresh retrain, CTR AUC",
        "drift_nightly_over_retrain_l2r_auc": "nightly over fresh retrain, L2R AUC",
        "drift_retrain_over_nightly_cpu": "a retrain's processor time over a night's",
    }
    return [(title, figures[name]) for name, title in wanted.items() if name in figures]


def _day(cells: Sequence[Cell], day: int) -> Mapping[str, Any]:
    found = [by_day(cells, arm, measure).get(day) for measure in DRAWN for arm in Arm]
    return {"day": day, "values": found}
