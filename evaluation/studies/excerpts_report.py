"""The excerpts study on paper: AUCs and differences, how each network was tuned, and its curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from evaluation.plots import INK, LOOKS, OTHER, new_figure, png, tidy
from evaluation.studies import page
from evaluation.studies.excerpt_questions import AUC, HARDER, YARDSTICKS
from evaluation.studies.excerpts import (
    MODELS,
    Board,
    Judged,
    LogCell,
    RunCell,
    best,
    figures,
    goals,
)
from evaluation.studies.page import Grid, Page, Picture, shown
from evaluation.studies.protocol import settings
from infra.store import Store

DRAWN = dict(zip(("all", "din", "dien", "din_items"), LOOKS, strict=False))
TITLES = {**MODELS, **YARDSTICKS}
MEAN: Mapping[str, Any] = {"linewidth": 2, "markersize": 4.5}
SEED: Mapping[str, Any] = {"linewidth": 0.7, "alpha": 0.45}
TRIED: Mapping[str, Any] = {"linestyle": ":", "linewidth": 0.9, "alpha": 0.7}
HEADS = {AUC: "AUC", HARDER: "AUC, same category"}
LEAD = (
    "DUPN beside DIN and DIEN (GRU) of DeepCTR-Torch on excerpts of real logs: the same samples, "
    "the same epochs at most and patience, the same few settings tried and chosen by the judging "
    "days. All learn clicks alone. All see of an item its id, brand, shop, category and tags (here "
    "deciles of the days before), and of a behaviour what was done, where, when and how long ago; "
    "but DIN (items alone), which sees ids, brands, shops and categories only, as the package is "
    "mostly used. DIEN is in the package's GRU form: its second recurrence does not see the "
    "candidate."
)
BEFORE = (
    "The preset `taobao` (widths, sizes at which rows start) had been chosen for DUPN on the "
    "Taobao excerpt's judging day before, in more trials than are made here; DIN and DIEN take the "
    "same widths and starts, and the package's defaults otherwise (DIN's attention is not "
    "normalised, DIEN's is, and there is no auxiliary loss)."
)
JUDGING = (
    "Judging loss and judging AUC are of all negatives, those of the click's own category among "
    "them where there are any; the headline of the asked day leaves these out."
)

ENDED = "best epoch, of all"
LAST = (
    "Best epoch: that of the judgement that is kept, of those learnt. Best at the last of all that "
    "the protocol has: cut off, and more epochs might help."
)


def write(
    store: Store,
    name: str,
    board: Board,
    logs: Sequence[LogCell],
    network: str,
    learning: str,
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where it goes.
        name: of the study, `-quick` included.
        board: all cells but the logs.
        logs: what the protocols deal out.
        network: as `protocol.network` says it.
        learning: epochs and batches of every protocol.
    """
    grids = [grid for asked in board.protocols for grid in _grids(board, asked)]
    return page.publish(
        store,
        Page(
            study=name,
            title="DUPN, DIN and DIEN (GRU) on real logs",
            lead=LEAD,
            protocol=_protocol(board, logs, network, learning),
            figures=list(figures(board)),
            said=goals(board),
            grids=[*grids, _searches(board), _runs(board)],
            pictures={
                "auc": Picture("Everybody on every protocol", _bars(board),
                               "Means over seeds; whiskers: 95 % intervals."),
                "curves": Picture("How the fits go on the judging days", _curves(board),
                                  "Strong: mean over seeds as far as all of them went; pale: each "
                                  "seed; dotted: the other settings of the search. The best "
                                  "judgement is kept."),
            },
            facts={"seeds": sorted({run.seed for run in board.runs})},
        ),
    )  # fmt: skip


def _protocol(
    board: Board, logs: Sequence[LogCell], network: str, learning: str
) -> Mapping[str, str]:
    tried = sorted({len(search.trials) for search in board.searches})
    said = {one.title: one.words for one in board.protocols.values()}
    return {
        "Data": "; ".join(f"{one.log}, {one.days[0]} to {one.days[1]}: {one.users:,} users, "
                          f"{one.moments:,} moments, {one.candidates:,} candidates"
                          for one in logs),
        "Network": f"DUPN: {network}",
        "Questions": "clicks alone; days, people and negatives are those of each protocol: "
        + "; ".join(f"{one.title}, {one.users:,} users asked" for one in board.protocols.values()),
        **said,
        "Learning": f"{learning}; the judgement with the smallest loss is kept",
        "Tuning": f"{', '.join(map(str, tried))} settings a network and protocol, with a seed of "
        f"its own; the smallest judging loss is chosen, then frozen. {_searched(board)}",
        "Before": BEFORE,
        "Intervals": f"{board.seeds} seed{'s' * (board.seeds != 1)}; 95 %; seeds share the world, "
        "so the variance over draws of users and that of the mean over seeds are added; "
        "Student's, with the freedom that the seeds' share leaves",
        "Settings": settings(logs=logs, protocols=[*board.protocols.values()],
                                      searches=board.searches, runs=board.runs),
    }  # fmt: skip


def _searched(board: Board) -> str:
    """Whose answers the search learns and is judged by."""
    shares = {one.protocol: one.share for one in board.searches if one.share < 1}
    few = [f"{board.protocols[name].title}: {share:.0%}" for name, share in shares.items()]
    if not few:
        return f"It has all users. {JUDGING}"
    return f"It has a share of the users ({'; '.join(few)}), elsewhere all. {JUDGING}"


def _grids(board: Board, protocol: str) -> Iterator[Grid]:
    asked, measures = board.protocols[protocol], board.measures(protocol)
    head = [""]
    for measure in measures:
        head += [HEADS[measure], "DUPN minus it"]
    rows = []
    for name in board.names(protocol):
        row = [TITLES[name]]
        for measure in measures:
            gap = board.over(protocol, "all", name, measure)
            row.append(shown(board.value(protocol, name, measure)))
            row.append("" if name == "all" else shown(gap, sign=True))
        rows.append(row)
    yield Grid(asked.title, head, rows, f"{asked.words} {asked.learnt:,} moments are learnt.")


def _searches(board: Board) -> Grid:
    rows = []
    for search in board.searches:
        for place, trial in enumerate(search.trials):
            said = ", ".join(f"{name} {value:g}" for name, value in trial.settings.items())
            at = trial.best
            mark = "chosen" if place == search.chosen else ""
            rows.append([board.protocols[search.protocol].title, MODELS[search.model], said,
                         f"{at.loss:.4f}", f"{at.figures.get(AUC, np.nan):.4f}",
                         _ended(trial.curve), mark])  # fmt: skip
    head = ["Protocol", "Network", "Setting", "judging loss", "judging AUC", ENDED, ""]
    return Grid("How each network was tuned", head, rows, f"{_searched(board)} {LAST}")


def _runs(board: Board) -> Grid:
    rows = []
    for run in board.runs:
        values = [f"{score.value:.4f}" if score.value is not None else "-" for score in run.scores]
        rows.append([board.protocols[run.protocol].title, MODELS[run.model], str(run.seed),
                     " / ".join(values), _ended(run.curve), f"{run.parameters:,}",
                     f"{run.seconds:.0f}"])  # fmt: skip
    head = ["Protocol", "Network", "Seed", "AUC", ENDED, "weights", "processor seconds"]
    note = f"{LAST} Where users are split, epochs are those of the first part."
    return Grid("Every run", head, rows, note)


def _ended(curve: Sequence[Judged]) -> str:
    return f"{best(curve).epoch:.1f} of {curve[-1].epoch:.1f}"


def _bars(board: Board) -> bytes:
    heights = [len(board.names(protocol)) for protocol in board.protocols]
    size = 0.3 * sum(heights) + 0.62 * len(heights)
    figure, axes = new_figure(9.0, size, len(heights), heights)
    for ax, protocol in zip(axes, board.protocols, strict=True):
        names = board.names(protocol)
        for row, name in enumerate(names):
            found = board.value(protocol, name, AUC)
            colour = DRAWN[name].colour if name in DRAWN else OTHER
            ax.barh(row, found.value - 0.5, left=0.5, color=colour, height=0.62)
            if np.isfinite(found.low):
                ax.plot([found.low, found.high], [row, row], color=INK, linewidth=1.3)
            end = np.nanmax([found.value, found.high])
            ax.annotate(f"{found.value:.3f}", (end, row), (5, 0), textcoords="offset points",
                        va="center", fontsize=8, color=INK)  # fmt: skip
        ax.set_yticks(range(len(names)), [TITLES[name] for name in names], fontsize=8.5)
        ax.invert_yaxis()
        title = board.protocols[protocol].title
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
        ax.margins(x=0.14)
        tidy(ax, "x")
    axes[-1].set_xlabel("AUC of clicks on the asked days; bars begin at chance")
    return png(figure)


def _curves(board: Board) -> bytes:
    figure, axes = new_figure(9.0, 2.9 * len(board.protocols), len(board.protocols))
    for ax, protocol in zip(axes, board.protocols, strict=True):
        for name in MODELS:
            for search in board.searches:
                if (search.protocol, search.model) == (protocol, name):
                    others = [one.curve for one in search.trials if one is not
                              search.trials[search.chosen]]  # fmt: skip
                    for curve in others:
                        _line(ax, curve, name, TRIED)
            _seeds(ax, board.of(protocol, name), name)
        title = f"{board.protocols[protocol].title}: AUC on the judging days"
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold", color=INK)
        tidy(ax, "both")
    axes[-1].set_xlabel("epochs")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=3, loc="lower right")
    axes[-1].legend(handles=_lines(), frameon=False, fontsize=8.5, loc="upper left")
    return png(figure)


def _lines() -> list[Line2D]:
    """The key to the three kinds of lines, whatever their colour."""
    kinds = {"mean of the seeds": MEAN, "a seed": SEED, "other points of the search": TRIED}
    return [Line2D([], [], color=INK, label=label, **style) for label, style in kinds.items()]


def _seeds(ax: Axes, runs: Sequence[RunCell], name: str) -> None:
    for run in runs:
        _line(ax, run.curve, name, SEED)
    both = zip(*(run.curve for run in runs), strict=False)  # as far as all of them went
    mean = [
        (points[0].epoch, np.mean([point.figures.get(AUC, np.nan) for point in points]))
        for points in both
    ]
    look = DRAWN[name]
    ax.plot(*zip(*mean, strict=True), color=look.colour, marker=look.marker, label=MODELS[name],
            **MEAN)  # fmt: skip


def _line(ax: Axes, curve: Sequence[Judged], name: str, style: Mapping[str, Any]) -> None:
    values = [point.figures.get(AUC, np.nan) for point in curve]
    ax.plot([point.epoch for point in curve], values, color=DRAWN[name].colour, **style)
