"""The A/B study on paper: Table 3 and Figure 10 of this marketplace, beside the paper's."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.metrics import NAN
from evaluation.plots import INK, MODEL, OTHER, SECOND, new_figure, png, tidy
from evaluation.rendering import inside, template
from evaluation.results import Figure
from evaluation.studies import page, protocol
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
from evaluation.studies.cells import FEWEST, words
from evaluation.studies.page import Grid, Page, Picture, told
from evaluation.studies.protocol import Setup
from features.schemas import PRICE_LEVELS
from infra.store import Store

TABLE_3 = (
    (2.32, 2.93, 34.4, 43.5), (2.17, 3.15, 32.6, 44.2), (2.13, 3.26, 32.9, 44.7),
    (2.21, 3.07, 33.3, 45.1), (2.31, 3.23, 33.0, 43.7), (2.27, 3.37, 32.3, 43.9),
    (2.19, 3.19, 34.8, 44.6),
)  # fmt: skip
"""The paper's days: CTR and sales improvement, price precision old and new, in per cent."""
AVERAGE = (2.23, 3.17, 33.2, 44.2)
"""Its last line, as printed: the mean of its days' precisions would be 33.3."""
LEAD = (
    "Expectations under the truth: everybody in one arm, the same people, the same seed. The "
    "predecessor is Wide for the ranking and MaxEnt for the price level."
)
GAINS = {"ctr": "CTR", "sales": "Sales"}
SHADES = {BEFORE: OTHER, DUPN: MODEL}


def write(
    store: Store,
    name: str,
    shape: Shape,
    cells: Sequence[Cell],
    notes: Sequence[str],
    setup: Setup,
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where to.
        name: of the study.
        shape: how many days of what.
        cells: one a seed.
        notes: what has to be said beside the figures.
        setup: worlds and network.
    """
    main = list(headline(cells))
    every = [*main, *daily(cells), *classes(cells)]
    pictures = dict(drawings(every, shape))
    how = {**_protocol(shape, cells, setup), "To be kept in mind": " ".join(notes)}
    reached = goals(main)
    said = Page(
        study=name,
        title="Table 3 and Figure 10: DUPN against its predecessor in twin worlds",
        lead=LEAD,
        protocol=how,
        figures=every,
        said=[
            f"{one.removeprefix('uplift_').replace('_', ' ')}: {v}." for one, v in reached.items()
        ],
        grids=[_table_3(every, shape), _of_levels(every)],
        pictures={title: Picture(title, data) for title, data in pictures.items()},
        facts={
            "seeds": [cell.seed for cell in cells],
            "shape": vars(shape),
            "notes": list(notes),
        },
    )
    found = page.publish(store, said, _html(said, shape, cells, notes))
    known = found["figures"][: len(main)]
    return {**found, "seeds": len(cells), "goals": reached, "figures": known}


def _protocol(shape: Shape, cells: Sequence[Cell], setup: Setup) -> Mapping[str, str]:
    interval = None if len(cells) >= FEWEST else Interval(NAN)
    mine = [one.sums for cell in cells for one in cell.days(DUPN)]
    pages, orders = (protocol.span([day[of] for day in mine]) for of in ("pages", "orders"))
    return {
        "Data": f"{setup.data([cell.seed for cell in cells])}; DUPN's twin shows {pages} pages a "
        f"day, of which {orders} orders are expected",
        "Network": f"DUPN: {setup.network}",
        "Questions": f"{protocol.days(shape.trained)} lived under the logging policy and learnt, "
        f"then {protocol.days(shape.lived)} lived in twin worlds with everybody in one arm, whose "
        "models learn every night. Negatives: none are drawn, what is compared are expectations "
        "under the truth of everything that is shown",
        "Intervals": words(len(cells), interval=interval),
        "Settings": protocol.settings(worlds=cells),
    }


def _table_3(figures: Sequence[Figure], shape: Shape) -> Grid:
    known = {figure.name: figure for figure in figures}
    rows = []
    for day in (*range(1, shape.lived + 1), None):
        row = _row(known, day)
        gains = [told(one, sign=True) for one in (*row["gains"], *row["over_policy"])]
        theirs = row["paper"]
        rows.append([str(row["day"]), *gains, *(told(one, 3) for one in row["precision"]),
                     " / ".join(f"{one:.1f}" for one in theirs) if theirs else ""])  # fmt: skip
    head = ["day", "CTR", "sales", "CTR over the policy", "sales over the policy",
            "price precision before", "price precision of DUPN",
            "the paper, %: CTR / sales / precision before and after"]  # fmt: skip
    return Grid(
        "Table 3", head, rows, "Over the predecessor where nothing else is said; +0.01: 1 %."
    )


def _of_levels(figures: Sequence[Figure]) -> Grid:
    known = {figure.name: figure for figure in figures}
    kinds, arms = ("recall", "precision"), (BEFORE, DUPN, f"{DUPN}_over_{BEFORE}")
    rows = [
        [str(level), *(told(known[f"uplift_{arm}_price_{kind}_level_{level}"], 3,
                            sign=arm not in (BEFORE, DUPN)) for kind in kinds for arm in arms)]
        for level in range(1, PRICE_LEVELS + 1)
    ]  # fmt: skip
    head = [f"{kind}, {who}" for kind in kinds for who in ("MaxEnt", "DUPN", "the difference")]
    note = "Differences are paired within each world; fourteen of them, each at 95 %."
    return Grid("Figure 10: price levels, cheapest first", ["level", *head], rows, note)


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
        ends = [(one.value, one.low, one.high) for one in found]
        values, low, high = 100 * np.array(ends, np.float64).T  # None is NaN: not drawn
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
            for at, one in zip(levels + shift, found, strict=True):
                if one.low is not None and one.high is not None:
                    ax.plot([at, at], [one.low, one.high], color=INK, linewidth=1)
        ax.set_title(kind, loc="left", fontsize=10, color=INK)
        ax.set_xticks(levels)
        tidy(ax, "y")
    axes[-1].set_xlabel("price level, cheapest first")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=2)
    return png(figure)


def _html(said: Page, shape: Shape, cells: Sequence[Cell], notes: Sequence[str]) -> str:
    figures = protocol.traced(said.figures, said.protocol)
    known = {figure.name: figure for figure in figures}
    return template("uplift").render(
        name=said.study,
        shape=shape,
        cells=cells,
        notes=notes,
        rows=[_row(known, day) for day in range(1, shape.lived + 1)],
        average=_row(known, None),
        said=said.said,
        levels=said.grids[-1],
        figures=figures,
        pictures=inside({name: one.png for name, one in said.pictures.items()}),
        protocol=said.protocol,
    )


def _row(known: Mapping[str, Figure], day: int | None) -> Mapping[str, Any]:
    """A line of Table 3; None: over all days."""
    end = f"_day_{day}" if day else ""
    theirs = AVERAGE if day is None else dict(enumerate(TABLE_3, start=1)).get(day)
    return {
        "day": day or "all",
        "gains": [known[f"uplift_{DUPN}_over_{BEFORE}_{what}{end}"] for what in GAINS],
        "over_policy": [known[f"uplift_{DUPN}_over_policy_{what}{end}"] for what in GAINS],
        "precision": [known[f"uplift_{arm}_price_precision{end}"] for arm in (BEFORE, DUPN)],
        "paper": theirs,
    }
