"""The A/B study on paper: Table 3 and Figure 10 of this marketplace, beside the paper's."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.plots import INK, MODEL, OTHER, SECOND, new_figure, png, tidy
from evaluation.rendering import inside, template
from evaluation.results import Figure
from evaluation.studies.abtest import (
    BEFORE,
    DUPN,
    PAPER,
    Cell,
    Shape,
    beats,
    classes,
    daily,
    headline,
)
from features.schemas import PRICE_LEVELS
from infra.store import Store

TABLE_3 = (
    (2.32, 2.93, 34.4, 43.5), (2.17, 3.15, 32.6, 44.2), (2.13, 3.26, 32.9, 44.7),
    (2.21, 3.07, 33.3, 45.1), (2.31, 3.23, 33.0, 43.7), (2.27, 3.37, 32.3, 43.9),
    (2.19, 3.19, 34.8, 44.6),
)  # fmt: skip
"""The paper's days: CTR and sales improvement, price precision old and new, in per cent."""
GAINS = {"ctr": "CTR", "sales": "Sales"}
SHADES = {BEFORE: OTHER, DUPN: MODEL}


def write(
    store: Store, name: str, shape: Shape, cells: Sequence[Cell], notes: Sequence[str]
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where to.
        name: of the study.
        shape: how many days of what.
        cells: one a seed.
        notes: what has to be said beside the figures.
    """
    main = list(headline(cells))
    every = [*main, *daily(cells), *classes(cells)]
    pictures = dict(drawings(every, shape))
    content = {
        "study": name,
        "seeds": [cell.seed for cell in cells],
        "shape": vars(shape),
        "notes": list(notes),
        "figures": [figure.model_dump() for figure in every],
    }
    folder = f"reports/study/{name}"
    for picture, data in pictures.items():
        store.put(f"{folder}/{picture}.png", data)
    address = store.put(f"{folder}/report.html", _html(name, shape, cells, notes, every, pictures))
    store.put(f"{folder}/report.json", json.dumps(content, indent=1))
    return {
        "study": name,
        "seeds": len(cells),
        "report": address,
        "goals": goals(main),
        "figures": [figure.model_dump() for figure in main],
    }


def goals(figures: Sequence[Figure]) -> dict[str, str]:
    """A sentence for each figure of Table 3: whether the paper's is beaten."""
    said = {
        True: "beaten",
        False: "not beaten with the whole interval",
        None: "not judged, for so few worlds give no interval",
    }
    return {
        figure.name: f"{said[None if figure.low is None else better]}: {figure.value:+.2%}, "
        "the paper's average is "
        f"{PAPER[figure.name.removeprefix(f'uplift_{DUPN}_over_{BEFORE}_')]:+.2%}"
        for figure in figures
        if (better := beats(figure)) is not None
    }


def drawings(figures: Sequence[Figure], shape: Shape) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of every picture."""
    known = {figure.name: figure for figure in figures}
    yield "by_day", _by_day(known, shape)
    yield "price_levels", _levels(known)


def _by_day(known: Mapping[str, Figure], shape: Shape) -> bytes:
    """CTR and sales uplift over the predecessor, with the paper's days."""
    figure, axes = new_figure(9.6, 6.4, len(GAINS))
    days = range(1, shape.lived + 1)
    for place, (ax, (what, title)) in enumerate(zip(axes, GAINS.items(), strict=True)):
        found = [known[f"uplift_{DUPN}_over_{BEFORE}_{what}_day_{day}"] for day in days]
        values = [100 * (one.value or 0.0) for one in found]
        low = [100 * (one.low if one.low is not None else one.value or 0.0) for one in found]
        high = [100 * (one.high if one.high is not None else one.value or 0.0) for one in found]
        ax.plot(days, values, color=MODEL, marker="o", markersize=4, label="here")
        ax.fill_between(days, low, high, color=MODEL, alpha=0.14, linewidth=0)
        theirs = [row[place] for row in TABLE_3[: shape.lived]]
        ax.plot(range(1, len(theirs) + 1), theirs, color=SECOND, linestyle="--", label="the paper")
        ax.axhline(0, color=INK, linewidth=0.8)
        ax.set_title(f"{title}, % over the predecessor", loc="left", fontsize=10, color=INK)
        ax.set_xticks(list(days))
        tidy(ax, "both")
    axes[-1].set_xlabel("day")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=2)
    return png(figure)


def _levels(known: Mapping[str, Figure]) -> bytes:
    """Figure 10: recall and precision of each price level, old and new."""
    figure, axes = new_figure(9.6, 5.4, 2)
    levels = np.arange(1, PRICE_LEVELS + 1)
    for ax, kind in zip(axes, ("recall", "precision"), strict=True):
        for shift, arm in ((-0.2, BEFORE), (0.2, DUPN)):
            found = [known[f"uplift_{arm}_price_{kind}_level_{level}"] for level in levels]
            ax.bar(levels + shift, [one.value or 0.0 for one in found], 0.38, color=SHADES[arm],
                   label="MaxEnt" if arm == BEFORE else "PPP of DUPN")  # fmt: skip
        ax.set_title(kind, loc="left", fontsize=10, color=INK)
        ax.set_xticks(levels)
        tidy(ax, "y")
    axes[-1].set_xlabel("price level, cheapest first")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=2)
    return png(figure)


def _html(
    name: str, shape: Shape, cells: Sequence[Cell], notes: Sequence[str],
    figures: Sequence[Figure], pictures: Mapping[str, bytes],
) -> str:  # fmt: skip
    known = {figure.name: figure for figure in figures}
    return template("uplift").render(
        name=name,
        shape=shape,
        cells=cells,
        notes=notes,
        rows=[_row(known, day) for day in range(1, shape.lived + 1)],
        average=_row(known, None),
        goals=goals(list(headline(cells))),
        figures=figures,
        pictures=inside(pictures),
    )


def _row(known: Mapping[str, Figure], day: int | None) -> Mapping[str, Any]:
    """A line of Table 3; None: over all days."""
    end = f"_day_{day}" if day else ""
    theirs: tuple[float, ...] | None = TABLE_3[day - 1] if day and day <= len(TABLE_3) else None
    if day is None:
        theirs = tuple(float(np.mean(column)) for column in zip(*TABLE_3, strict=True))
    return {
        "day": day or "all",
        "gains": [known[f"uplift_{DUPN}_over_{BEFORE}_{what}{end}"] for what in GAINS],
        "over_policy": [known[f"uplift_{DUPN}_over_policy_{what}{end}"] for what in GAINS],
        "precision": [known[f"uplift_{arm}_price_precision{end}"] for arm in (BEFORE, DUPN)],
        "paper": theirs,
    }
