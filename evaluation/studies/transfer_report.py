"""Figure 7 on paper."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.plots import INK, MODEL, OTHER, SECOND, TRUTH, new_figure, png, tidy
from evaluation.studies import page, protocol
from evaluation.studies.cells import mean_of, words
from evaluation.studies.page import Grid, Page, Picture, shown
from evaluation.studies.protocol import Plan
from evaluation.studies.transfer import MEASURE, PAIRS, TransferCell, difference, figures, goals
from infra.store import Store
from training.config import Task
from training.transfer import Way

TITLES = {
    Way.RS: "RS: from nothing, the shop task alone",
    Way.RA: "RA: from nothing, all five tasks",
    Way.RT: "RT: a head on a fixed representation",
    Way.FT: "FT: fine tuning of the network",
}
COLOURS = {Way.RS: OTHER, Way.RA: SECOND, Way.RT: TRUTH, Way.FT: MODEL}
LEAD = (
    "A network knows four tasks; a fifth, which shop somebody prefers, is to be learnt. Four ways, "
    "on the same questions and with the same search."
)


def write(store: Store, name: str, cells: Sequence[TransferCell], plan: Plan) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where it goes.
        name: of the study, `-quick` included.
        cells: a world each.
        plan: days and shares.
    """
    known = ", ".join(f"{cell.known.value:.4f}" for cell in cells if cell.known.value is not None)
    return page.publish(
        store,
        Page(
            study=name,
            title="Figure 7: four ways to a new task",
            lead=LEAD,
            protocol={
                "Data": protocol.marketplaces([cell.seed for cell in cells]),
                "Known network": f"DUPN-all, joint; its CTR AUC on the asked days: {known}",
                "New task": "SPP, asked once a user and day",
                "Questions": plan.questions([Task.SPP]),
                "Search": "the points of study.trials, for each way, in the world of "
                "study.tuning_seed",
                "Judged by": "SPP alone, whatever else a way learns (RA), four times as often as "
                "in other studies",
                "Intervals": words(len(cells)),
                "Settings": protocol.settings(worlds=cells),
            },
            figures=list(figures(cells)),
            said=goals(cells),
            grids=[_ends(cells), _gaps(cells)],
            pictures={"figure7": Picture(
                "While they learn", _curves(cells),
                "AUC on the judging day against moments learnt that ask of a shop (RA learns "
                "others, too, which are not counted); a line is one world.",
            )},
            facts={"seeds": [cell.seed for cell in cells]},
        ),
    )  # fmt: skip


def _ends(cells: Sequence[TransferCell]) -> Grid:
    rows = []
    for way in Way:
        mine = [cell.way(way) for cell in cells]
        moments = sum(one.converged for one in mine) / len(mine)
        seconds = sum(one.seconds for one in mine) / len(mine)
        score = shown(mean_of([one.score for one in mine]))
        rows.append([TITLES[way], score, f"{moments:,.0f}", f"{seconds:.0f}"])
    return Grid("Where they end", ["", MEASURE, "moments until near", "seconds"], rows)


def _gaps(cells: Sequence[TransferCell]) -> Grid:
    rows = [
        [f"{one.upper()} less {other.upper()}", shown(difference(cells, one, other), sign=True)]
        for one, other in PAIRS
    ]
    return Grid("Paired differences", ["", MEASURE], rows)


def _curves(cells: Sequence[TransferCell]) -> bytes:
    figure, axes = new_figure(9.6, 4.2, 1)
    (ax,) = axes
    for way in Way:
        for place, cell in enumerate(cells):
            curve = cell.way(way).curve
            ax.plot([step.moments for step in curve], [step.figures[MEASURE] for step in curve],
                    color=COLOURS[way], linewidth=1.4, alpha=0.85,
                    label=TITLES[way] if place == 0 else None)  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlabel("moments learnt that ask of a shop")
    ax.set_title(MEASURE, loc="left", fontsize=10, color=INK)
    ax.legend(frameon=False, fontsize=8.5)
    tidy(ax, "both")
    return png(figure)
