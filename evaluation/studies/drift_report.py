"""The drift study on paper: JSON, pictures, and one self-contained page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.plots import INK, MODEL, OTHER, SECOND, new_figure, png, tidy
from evaluation.rendering import inside, template
from evaluation.results import Figure
from evaluation.studies.drift import Arm, Cell, Shape, by_day, daily, headline, series
from infra.store import Store

TITLES = {
    "ctr_auc": "Click (CTR), AUC",
    "l2r_auc": "Ranking (L2R), AUC",
    "ppp_precision": "Price level (PPP), precision",
    "fifp_auc": "Follow an icon (FIFP), AUC",
}
COLOURS = {Arm.FROZEN: OTHER, Arm.NIGHTLY: MODEL, Arm.RETRAIN: SECOND}
DRAWN = ("ctr_auc", "l2r_auc")


def write(store: Store, name: str, shape: Shape, cells: Sequence[Cell]) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says."""
    main, every = list(headline(cells)), list(daily(cells))
    pictures = dict(drawings(cells))
    content = {
        "study": name,
        "seeds": [cell.seed for cell in cells],
        "shape": vars(shape),
        "figures": [figure.model_dump() for figure in [*main, *every]],
    }
    folder = f"reports/study/{name}"
    for picture, data in pictures.items():
        store.put(f"{folder}/{picture}.png", data)
    address = store.put(f"{folder}/report.html", html(name, shape, cells, pictures))
    store.put(f"{folder}/report.json", json.dumps(content, indent=1))
    return {
        "study": name,
        "seeds": len(cells),
        "report": address,
        "figures": [figure.model_dump() for figure in main],
    }


def html(name: str, shape: Shape, cells: Sequence[Cell], pictures: Mapping[str, bytes]) -> str:
    """One page that needs no other file."""
    figures = list(headline(cells))
    by_name = {figure.name: figure for figure in figures}
    return template("drift").render(
        name=name,
        shape=shape,
        cells=cells,
        tiles=_tiles(by_name),
        figures=figures,
        days=[_day(cells, day) for day in shape.asked],
        titles=[TITLES[measure] for measure in DRAWN],
        pictures=inside(pictures),
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
            found = by_day(cells, arm, measure)
            days, values = list(found), [one.value for one in found.values()]
            ax.plot(
                days, values, color=COLOURS[arm], linewidth=1.9, marker="o", markersize=4, label=arm
            )
            low = [one.low for one in found.values()]
            high = [one.high for one in found.values()]
            ax.fill_between(days, low, high, color=COLOURS[arm], alpha=0.13, linewidth=0)
        ax.set_title(TITLES[measure], loc="left", fontsize=10, fontweight="bold", color=INK)
        tidy(ax, "both")
        ax.set_xticks(list(by_day(cells, Arm.FROZEN, measure)))
    axes[-1].set_xlabel("day")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=3, loc="lower right")
    return png(figure)


def _gain(cells: Sequence[Cell]) -> bytes:
    """CTR AUC over the frozen model, each seed pale, their mean strong."""
    figure, (ax,) = new_figure(9.6, 3.6, 1)
    for arm in (Arm.NIGHTLY, Arm.RETRAIN):
        gains: dict[int, list[float]] = {}
        for cell in cells:
            mine, base = series(cell, arm, "ctr_auc"), series(cell, Arm.FROZEN, "ctr_auc")
            curve = {
                day: (score.value or 0.0) - (base[day].value or 0.0) for day, score in mine.items()
            }
            ax.plot(list(curve), list(curve.values()), color=COLOURS[arm], linewidth=0.7, alpha=0.4)
            for day, value in curve.items():
                gains.setdefault(day, []).append(value)
        means = [float(np.mean(values)) for values in gains.values()]
        ax.plot(list(gains), means, color=COLOURS[arm], linewidth=2.1, marker="o", label=arm)
    ax.axhline(0, color=INK, linewidth=0.8)
    ax.set(
        xlabel="day",
        ylabel="CTR AUC over frozen",
        xticks=sorted(series(cells[0], Arm.NIGHTLY, "ctr_auc")),
    )
    ax.legend(frameon=False, fontsize=8.5, ncols=2, loc="upper left")
    tidy(ax, "both")
    return png(figure)


def _cost(cells: Sequence[Cell]) -> bytes:
    figure, (ax,) = new_figure(9.6, 1.9, 1)
    arms = (Arm.RETRAIN, Arm.NIGHTLY)
    for row, arm in enumerate(arms):
        walls = [cost.wall_s for cell in cells for cost in cell.costs if cost.arm is arm]
        value = float(np.mean(walls)) if walls else 0.0
        ax.barh(row, value, color=COLOURS[arm], height=0.6)
        ax.annotate(f"{value:.1f} s", (value, row), (5, 0), textcoords="offset points",
                    va="center", fontsize=8.5, color=INK)  # fmt: skip
    ax.set_yticks(range(len(arms)), [f"one {arm}" for arm in ("retrain", "night")])
    ax.set_xlabel("seconds on the clock")
    ax.margins(x=0.12)
    tidy(ax, "x")
    return png(figure)


def _tiles(figures: Mapping[str, Figure]) -> list[tuple[str, Figure]]:
    wanted = {
        "drift_nightly_over_frozen_ctr_auc": "nightly over frozen, CTR AUC",
        "drift_nightly_over_retrain_ctr_auc": "nightly over fresh retrain, CTR AUC",
        "drift_nightly_over_retrain_l2r_auc": "nightly over fresh retrain, L2R AUC",
        "drift_retrain_over_nightly_wall": "a retrain's time over a night's",
    }
    return [(title, figures[name]) for name, title in wanted.items() if name in figures]


def _day(cells: Sequence[Cell], day: int) -> Mapping[str, Any]:
    found = [by_day(cells, arm, measure).get(day) for measure in DRAWN for arm in Arm]
    return {"day": day, "values": found}
