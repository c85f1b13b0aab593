"""Figure 6: curves of a task learnt alone and together with the others, and where they end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.plots import INK, MODEL, SECOND, new_figure, png, tidy
from evaluation.results import Figure
from evaluation.studies import page, protocol
from evaluation.studies.asking import MEASURES, Score
from evaluation.studies.cells import figure, known, mean_difference, mean_of, words
from evaluation.studies.contest import TASKS, FitCell
from evaluation.studies.page import Grid, Page, Picture, shown
from evaluation.studies.protocol import Plan
from infra.store import Store
from training.config import Task

LEAD = (
    "The full network, once for each task and once for all four together, on the same questions: "
    "the joint run learns every question that the four single runs learn, and no other."
)
GOAL = 3
"""Tasks on which joint training is to be above single-task training, clear of zero: of four tasks
on which nothing differs, chance puts three above zero in 31 % of studies."""


class Learnt:
    """Fits by what they learnt.

    Args:
        fits: of every world, alone and joint.
    """

    def __init__(self, fits: Sequence[FitCell]) -> None:
        self.seeds = sorted({fit.seed for fit in fits})
        self.joint = {fit.seed: fit for fit in fits if len(fit.tasks) > 1}
        self.alone = {(fit.tasks[0], fit.seed): fit for fit in fits if len(fit.tasks) == 1}

    def of(self, task: Task, *, joint: bool) -> list[FitCell]:
        """One a world."""
        return [self.joint[s] if joint else self.alone[task, s] for s in self.seeds]

    def scores(self, task: Task, *, joint: bool) -> list[Score | None]:
        """One a world."""
        return [fit.score(task) for fit in self.of(task, joint=joint)]

    def gain(self, task: Task) -> Interval:
        """Joint less alone, paired."""
        return mean_difference(self.scores(task, joint=True), self.scores(task, joint=False))


def write(store: Store, name: str, fits: Sequence[FitCell], plan: Plan) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where it goes.
        name: of the study, `-quick` included.
        fits: of every world, alone and joint.
        plan: days and shares.
    """
    learnt = Learnt(fits)
    pictures = {
        "figure6": Picture(
            "While they learn",
            _curves(learnt),
            "On the judging day, by judgement: the same share of a run's questions in both; "
            "a line is one world.",
        )
    }
    return page.publish(
        store,
        Page(
            study=name,
            title="Figure 6: one task, or all together",
            lead=LEAD,
            protocol={
                "Data": protocol.marketplaces(learnt.seeds),
                "Network": "DUPN-all; L2R weighs a click logit: alone its own, joint that of CTR",
                "Questions": plan.questions(TASKS),
                "Budget": "epochs, patience and search as in study.*; the joint run's best "
                "judgement is by the sum of its losses",
                "Intervals": words(len(learnt.seeds)),
                "Settings": protocol.settings(fits=fits),
            },
            figures=list(figures(learnt)),
            said=goals(learnt),
            grids=[_ends(learnt)],
            pictures=pictures,
            facts={"seeds": learnt.seeds},
        ),
    )


def figures(learnt: Learnt) -> Iterator[Figure]:
    """Where the runs end, and the gain."""
    for task in TASKS:
        measure, unit = MEASURES[task], "share" if task is Task.PPP else "AUC"
        both = {joint: learnt.scores(task, joint=joint) for joint in (False, True)}
        for joint, word in ((False, "alone"), (True, "joint")):
            value = mean_of(both[joint])
            said = words(known(both[joint]), of=len(learnt.seeds), interval=value)
            how = f"{task} learnt {'with all others' if joint else 'alone'}; {said}"
            yield figure(f"multitask_{word}_{measure}", value, unit, how)
        gain = learnt.gain(task)
        said = words(known(*both.values()), of=len(learnt.seeds), interval=gain)
        how = f"{task} learnt with all others less alone, paired; {said}"
        yield figure(f"multitask_gain_{measure}", gain, unit, how)


def goals(learnt: Learnt) -> list[str]:
    """Whether joint training is surely above single-task training on three tasks or more."""
    gains = {task: learnt.gain(task) for task in TASKS}
    clear = [task for task in TASKS if gains[task].low > 0]
    unsure = [task for task in TASKS if gains[task].value > 0 and task not in clear]
    verdict = "reached" if len(clear) >= GOAL else "not reached"
    named = ", ".join(f"{task} {gains[task].value:+.4f}" for task in TASKS)
    further = f"; above, but not clear of zero: {', '.join(unsure)}" if unsure else ""
    return [
        f"Joint training is above single-task training on {len(clear)} of {len(TASKS)} tasks, "
        f"clear of zero; the goal of {GOAL} is {verdict} ({named}){further}."
    ]


def _ends(learnt: Learnt) -> Grid:
    rows = [
        [
            MEASURES[task],
            shown(mean_of(learnt.scores(task, joint=False))),
            shown(mean_of(learnt.scores(task, joint=True))),
            shown(learnt.gain(task), sign=True),
        ]
        for task in TASKS
    ]
    return Grid("Where they end", ["", "alone", "joint", "joint less alone, paired"], rows)


def _curves(learnt: Learnt) -> bytes:
    figure, axes = new_figure(9.6, 2.2 * len(TASKS), len(TASKS))
    for ax, task in zip(axes, TASKS, strict=True):
        for joint, colour, word in ((False, SECOND, "alone"), (True, MODEL, "joint")):
            for place, fit in enumerate(learnt.of(task, joint=joint)):
                points = [one for one in fit.curve if MEASURES[task] in one.figures]
                epochs = np.arange(1, len(points) + 1)
                ax.plot(epochs, [one.figures[MEASURES[task]] for one in points], color=colour,
                        linewidth=1.3, alpha=0.8, label=word if place == 0 else None)  # fmt: skip
        ax.set_title(MEASURES[task], loc="left", fontsize=10, color=INK)
        tidy(ax, "both")
    axes[-1].set_xlabel("judgements (the same share of an epoch in both)")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=2)
    return png(figure)
