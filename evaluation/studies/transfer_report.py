"""Figure 7 on paper."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.plots import (
    INK,
    MODEL,
    OTHER,
    SECOND,
    TRUTH,
    by_ratio,
    new_figure,
    png,
    tidy,
)
from evaluation.studies import page, protocol, searched
from evaluation.studies.cells import Cell, mean_of, words
from evaluation.studies.contest import stopped
from evaluation.studies.page import Grid, Page, Picture, shown
from evaluation.studies.protocol import Plan
from evaluation.studies.searched import Searched
from evaluation.studies.transfer import (
    MEASURE,
    PAIRS,
    Transferred,
    convergence,
    difference,
    figures,
    goals,
    lead,
)
from infra.store import Store
from training.config import Task
from training.transfer import Way

TITLES = {
    Way.RS: "RS: from nothing, the shop task alone",
    Way.RA: "RA: from nothing, all five tasks",
    Way.RT: "RT: a shallow network on a fixed representation",
    Way.FT: "FT: fine tuning of the network",
}
DRAWN = {Way.RS: (OTHER, ":"), Way.RA: (SECOND, "--"), Way.RT: (TRUTH, "-."), Way.FT: (MODEL, "-")}
EARLY = (1, 4, 16, 64)
"""Judgements of RS at which ways are held against each other."""
LEADS = ((Way.RA, Way.RS), (Way.RT, Way.RS), (Way.FT, Way.RS), (Way.FT, Way.RA))
"""Who is ahead of whom on the way; the paper says that FT converges faster than RA."""
LEAD = (
    "A network knows four tasks; a fifth, which shop somebody prefers, is to be learnt. Four ways, "
    "on the same questions and with the same search."
)


def write(
    store: Store,
    name: str,
    worlds: Sequence[Transferred],
    searches: Sequence[Searched],
    tuned: Sequence[Cell],
    plan: Plan,
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where it goes.
        name: of the study, `-quick` included.
        worlds: with all ways each.
        searches: of every way.
        tuned: their cells.
        plan: days and shares.
    """
    scores = [world.known.score.value for world in worlds]
    known = ", ".join(f"{score:.4f}" for score in scores if score is not None)
    return page.publish(
        store,
        Page(
            study=name,
            title="Figure 7: four ways to a new task",
            lead=LEAD,
            protocol={
                "Data": plan.data([world.seed for world in worlds]),
                "Network": f"DUPN-all: {plan.network}",
                "Known network": "joint, with the epochs of other studies, where RA "
                f"learns the same tasks for twice as many; its CTR AUC on the asked days: {known}",
                "New task": "SPP, asked once a user and day",
                "Questions": plan.questions({
                    Task.SPP: [world.way(Way.RS).score for world in worlds]
                }),
                "Search": "the points of study.trials, for each way, in the world of "
                "study.tuning_seed",
                "Judged by": "SPP alone, whatever else a way learns (RA), four times as often as "
                "in other studies",
                "Budget": "at most twice the epochs of other studies, stopped by the same patience",
                "Intervals": words(len(worlds)),
                "Settings": protocol.settings(
                    known=[world.known for world in worlds],
                    searches=tuned,
                    ways=[way for world in worlds for way in world.learnt],
                ),
            },
            figures=list(figures(worlds)),
            said=goals(worlds),
            grids=[_ends(worlds), _gaps(worlds), _leads(worlds),
                   searched.grid(searches, "How each way was tuned")],
            pictures={"figure7": Picture(
                "While they learn", _curves(worlds),
                "AUC on the judging day against moments learnt that ask of a shop (RA learns "
                "others, too, which are not counted); a line is one world.",
            )},
            facts={"seeds": [world.seed for world in worlds]},
        ),
    )  # fmt: skip


def _ends(worlds: Sequence[Transferred]) -> Grid:
    rows = []
    for way in Way:
        mine = [world.way(way) for world in worlds]
        moments = convergence(worlds, way)
        near = "-" if np.isnan(moments) else f"{moments:,.0f}"
        seconds = sum(one.seconds for one in mine) / len(mine)
        score = shown(mean_of([one.score for one in mine]))
        ended = stopped([one.curve for one in mine])
        rows.append([TITLES[way], score, near, ended, f"{seconds:.0f}"])
    names = ["", MEASURE, "moments until near", "best judgement", "seconds"]
    note = (
        "Moments that ask of a shop, until a run is near its own best. Best judgement, of all: "
        "mean over worlds. Best at the last: the epochs cut it off, more might help, and its "
        "moments until near are then a lower bound."
    )
    return Grid("Where they end", names, rows, note)


def _gaps(worlds: Sequence[Transferred]) -> Grid:
    rows = [
        [f"{one.upper()} less {other.upper()}", shown(difference(worlds, one, other), sign=True)]
        for one, other in PAIRS
    ]
    return Grid("Paired differences", ["", MEASURE], rows)


def _leads(worlds: Sequence[Transferred]) -> Grid:
    rows = [
        [
            f"{one.upper()} less {other.upper()}",
            *(shown(lead(worlds, one, at, other), sign=True) for at in EARLY),
        ]
        for one, other in LEADS
    ]
    note = (
        "On the judging day, after as many moments that ask of a shop as RS had learnt when it was "
        "judged for the 1st time, the 4th, the 16th and the 64th (RA learns others, too, which are "
        "not counted); -: in a world it was not judged so often, or a way was not judged so late."
    )
    return Grid(
        "At equal moments that ask of a shop",
        ["", *(f"judgement {at}" for at in EARLY)],
        rows,
        note,
    )


def _curves(worlds: Sequence[Transferred]) -> bytes:
    figure, axes = new_figure(9.6, 4.2, 1)
    (ax,) = axes
    for way in Way:
        colour, stroke = DRAWN[way]
        for place, world in enumerate(worlds):
            curve = world.way(way).curve
            ax.plot([step.moments for step in curve], [step.figures[MEASURE] for step in curve],
                    color=colour, linestyle=stroke, linewidth=1.4, alpha=0.85,
                    label=TITLES[way] if place == 0 else None)  # fmt: skip
    by_ratio(ax)
    ax.set_xlabel("moments learnt that ask of a shop")
    ax.set_title(MEASURE, loc="left", fontsize=10, color=INK)
    ax.legend(frameon=False, fontsize=8.5)
    tidy(ax, "both")
    return png(figure)
