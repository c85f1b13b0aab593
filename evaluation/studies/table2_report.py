"""Table 2 on paper: the table beside the paper's, what each row was tuned with, and a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.plots import INK, MODEL, OTHER, new_figure, png, tidy
from evaluation.studies import page, protocol, searched
from evaluation.studies.asking import MEASURES
from evaluation.studies.cells import mean_of, words
from evaluation.studies.contest import (
    ALL,
    PAPER,
    TASKS,
    Table,
    TunedCell,
    figures,
    stopped,
)
from evaluation.studies.neighbours import TOO_FEW, Pair, counted, goals, neighbours, over_all
from evaluation.studies.page import Grid, Page, Picture, shown
from evaluation.studies.protocol import Plan
from infra.store import Store
from training.config import Task
from training.peers.names import LETTER

LEAD = (
    "Nine networks, each task learnt alone, on the same samples of the same marketplaces, with the "
    "same budget of training and the same points of the search. The numbers of the paper are from "
    "another world and another size: what can be compared is the order of the rows and their "
    "distances."
)


SAME = ("popularity", "lr_ctr", "ceiling")
"""What scores candidates once, for clicks and for ranks."""


@dataclass(frozen=True)
class Heading:
    """What a table of networks is called."""

    rows: Mapping[str, str]
    """Titles by the names of the networks."""
    page: str = "Table 2: networks compared, task by task"
    lead: str = LEAD
    heads: str = "Other sequence models have the same heads"
    """What the other rows have of what is beyond the paper's equations."""


def write(
    store: Store,
    name: str,
    table: Table,
    tuned: Sequence[TunedCell],
    heading: Heading,
    plan: Plan,
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where it goes.
        name: of the study, `-quick` included.
        table: all cells.
        tuned: the search of every row and column.
        heading: what the page and its rows are called.
        plan: days and shares.
    """
    titles = heading.rows
    beside = [_neighbours(table, titles)] if len(table.models) > 2 else []  # of two it is the same
    return page.publish(
        store,
        Page(
            study=name,
            title=heading.page,
            lead=heading.lead,
            protocol=_protocol(table, tuned, plan, heading.heads),
            figures=list(figures(table)),
            said=goals(table),
            grids=[_rows(table, titles), _headroom(table, titles), _gaps(table, titles), *beside,
                   _stopped(table, titles), searched.grid(searched.tuned(tuned, titles))],
            pictures={
                "table2": Picture(
                    "Every network on every task",
                    _drawn(table, titles),
                    "Points: a network less the full one, paired; lines: 95 % intervals; at the "
                    "right the figure itself; the truth is in the title.",
                )
            },
            facts={"seeds": [world.seed for world in table.worlds]},
        ),
    )  # fmt: skip


def _protocol(
    table: Table, tuned: Sequence[TunedCell], plan: Plan, heads: str
) -> Mapping[str, str]:
    worlds = table.worlds
    moments = ", ".join(f"{world.moments:,}" for world in worlds)
    return {
        "Data": f"{plan.data([world.seed for world in worlds])}; moments on the "
        f"learnt days: {moments}; mean history {worlds[0].behaviours:.0f}",
        "Network": f"DUPN: {plan.network}. {heads}",
        "Questions": plan.questions({task: table.row(ALL, task) for task in TASKS}) + _alike(table),
        "Learning": "epochs at most and patience as in study.*, stopped by the judging day; the "
        "best judgement is kept. L2R learnt alone has no click task that would learn the "
        "logit among its ranking features, so its gradient goes through it (docs/adr/0007): "
        "representation and product with the item are trained to rank",
        "Tuning": _tuning(tuned),
        "Intervals": words(len(worlds)),
        "Settings": protocol.settings(worlds=worlds, searches=tuned, fits=table.fits),
    }


def _alike(table: Table) -> str:
    """How near the ranking's question is to the click's: by what answers both with one score."""
    rows = [(table.other(one, Task.L2R), table.other(one, Task.CTR)) for one in SAME]
    gaps = [
        abs(one.value - other.value)
        for row in rows
        for one, other in zip(*row, strict=True)
        if one and other and one.value is not None and other.value is not None
    ]
    if not gaps:
        return ""
    return (
        ". l2r asks the candidates of ctr whether anything was done, each pair counting alike: one "
        f"score for both ({', '.join(SAME).replace('_', ' ')}) has the same AUC there to within "
        f"{max(gaps):.5f} in each world"
    )


def _tuning(tuned: Sequence[TunedCell]) -> str:
    points = sorted({len(one.trials) for one in tuned})
    if not any(points):
        return "none: every network has the same one setting"
    several = len(points) > 1
    span = f"{points[0]} to {points[-1]}" if several else f"{points[-1]}"
    alike = " (as many as a network can tell apart)" if several else ""
    return (
        f"{span} settings a row and task{alike} in a world of its own seed, the smallest judging "
        "loss chosen, then frozen"
    )


def _rows(table: Table, titles: Mapping[str, str]) -> Grid:
    head = ["", *(f"{_title(task)} ({part})" for task in TASKS for part in ("here", "paper"))]
    rows = []
    for model in table.models:
        row = [titles[model]]
        for task in TASKS:
            theirs = PAPER.get(ALL if model == LETTER else model, {}).get(task)
            row += [shown(table.value(model, task)), "-" if theirs is None else f"{theirs:.4f}"]
        rows.append(row)
    for name in dict.fromkeys(
        [*(one for task in TASKS for one in table.others(task)), "visible_ceiling", "ceiling"]
    ):
        values = [mean_of(table.other(name, task)) for task in TASKS]
        rows.append([name.replace("_", " "), *(part for v in values for part in (shown(v), ""))])
    return Grid("Table 2", head, rows, "AUC, and micro precision for the price level.")


def _headroom(table: Table, titles: Mapping[str, str]) -> Grid:
    rows = [
        [titles[model], *(shown(table.headroom(model, task), 2) for task in TASKS)]
        for model in table.models
    ]
    note = (
        "(figure - chance) / (ceiling - chance): the ceiling is what the truth gets, chance 0.5 of "
        "an AUC, and of price levels what the commonest one of the learnt days gets."
    )
    return Grid("Headroom", ["", *(_title(task) for task in TASKS)], rows, note)


def _gaps(table: Table, titles: Mapping[str, str]) -> Grid:
    found = over_all(table)
    told = {(one.against, one.task): _compared(one) for one in found}
    rows = [
        [titles[other], *(told.get((other, task), "-") for task in TASKS)]
        for other in dict.fromkeys(one.against for one in found)
    ]
    note = (
        "Paired within each world: the same questions, the same people drawn. Intervals are of one "
        f"comparison; {_corrected(found, ', as those of neighbouring rows are')}."
    )
    head = ["The full network over", *(_title(task) for task in TASKS)]
    return Grid("Differences", head, rows, note)


def _neighbours(table: Table, titles: Mapping[str, str]) -> Grid:
    found = neighbours(table)
    told = {(one.row, one.against, one.task): _compared(one) for one in found}
    rows = [
        [f"{titles[below]} less {titles[above]}",
         *(told.get((below, above, task), "") for task in TASKS)]
        for below, above in dict.fromkeys((one.row, one.against) for one in found)
    ]  # fmt: skip
    note = (
        "Each row less the one above it that answers the task, paired within each world. Intervals "
        f"are of one comparison; {_corrected(found, ' together')}."
    )
    if counted(found):
        note += (
            " They are of a paired t test over worlds, by Holm's method. Clear: under 0.05 after "
            "the correction."
        )
    return Grid("Neighbouring rows", ["", *(_title(task) for task in TASKS)], rows, note)


def _corrected(found: Sequence[Pair], further: str) -> str:
    asked = counted(found)
    if not asked:
        return f"none has a p: {TOO_FEW}"
    return f"p's are corrected for all {asked}{further}"


def _compared(one: Pair) -> str:
    gap = shown(one.gap, sign=True)
    if one.holm is None:
        return gap
    p = f"{one.holm:.3f}" if one.holm >= 0.001 else "under 0.001"
    return f"{gap}, p {p}{': clear' if one.clear else ''}"


def _stopped(table: Table, titles: Mapping[str, str]) -> Grid:
    rows = [
        [titles[model],
         *(stopped(curves) if (curves := table.curves(model, task)) else "-" for task in TASKS)]
        for model in table.models
    ]  # fmt: skip
    note = "Best judgement, of all: mean over worlds. Best at the last: more epochs might help."
    return Grid("Where the learning stopped", ["", *(_title(task) for task in TASKS)], rows, note)


def _drawn(table: Table, titles: Mapping[str, str]) -> bytes:
    """Each network's distance to the full one: worlds differ by more than networks do."""
    known = {task: [one for one in table.models if any(table.row(one, task))] for task in TASKS}
    rows = [len(known[task]) for task in TASKS]
    figure, axes = new_figure(9.0, 0.26 * sum(rows) + 0.7 * len(TASKS), len(TASKS), ratios=rows)
    for ax, task in zip(axes, TASKS, strict=True):
        ax.axvline(0, color=MODEL, linewidth=1)
        for row, model in enumerate(known[task]):
            value, colour = table.value(model, task).value, MODEL if model == ALL else OTHER
            gap = Interval(0.0) if model == ALL else table.over(model, ALL, task)
            ax.plot([gap.low, gap.high], [row, row], color=colour, linewidth=2)
            ax.plot(gap.value, row, "o", color=colour, markersize=5)
            ax.annotate(f"{value:.3f}", (1.01, row), xycoords=("axes fraction", "data"),
                        va="center", fontsize=8, color=INK)  # fmt: skip
        ceiling = mean_of(table.other("ceiling", task)).value
        reached = f"   the truth: {ceiling:.3f}" if np.isfinite(ceiling) else ""
        ax.set_title(f"{_title(task)}{reached}", loc="left", fontsize=10, color=INK)
        ax.set_yticks(range(len(known[task])), [titles[model] for model in known[task]])
        ax.set_ylim(len(known[task]) - 0.5, -0.5)
        tidy(ax, "x")
    figure.supxlabel("less DUPN-all, paired (zero: the blue line)", fontsize=9, color=INK)
    return png(figure)


def _title(task: Task) -> str:
    return MEASURES[task].replace("_", " ").upper().replace("PRECISION", "precision")
