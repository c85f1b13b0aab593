"""Figure 6: curves of a task learnt alone and together with the others, and where they end."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.bootstrap import Interval
from evaluation.metrics import Floats
from evaluation.plots import INK, LOOKS, by_ratio, new_figure, png, tidy
from evaluation.results import Figure
from evaluation.studies import page, protocol, searched
from evaluation.studies.asking import MEASURES, Score
from evaluation.studies.cells import (
    figure,
    known,
    mean_difference,
    mean_of,
    over_each,
    words,
)
from evaluation.studies.contest import ALL, TASKS, FitCell, TunedCell
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
SHARES = {"a quarter": 0.25, "half": 0.5, "all": 1.0}
"""Of what the single run has learnt, where curves are compared."""
JUDGEMENTS = (1, 3, 6, 12)
"""Of both runs, at which curves are compared a second time."""


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

    def pace(self, task: Task, share: float) -> Interval:
        """Joint less alone on the judging day, after equally many moments of any task, paired.

        Equally many updates, then. The joint run has seen fewer of the task's questions by then:
        what it has learnt is of all tasks.

        Args:
            task: whose curves are compared.
            share: of the moments that the single run has learnt. Between judgements curves are
                straight; before the first one and after the last nothing is known. NaN: so in a
                world.
        """
        gaps = []
        for joint, alone in zip(self.of(task, joint=True), self.of(task, joint=False), strict=True):
            at = share * alone.curve[-1].moments
            gaps.append(Interval(_after(joint, task, at) - _after(alone, task, at)))
        return over_each(gaps)

    def own_pace(self, task: Task, judgement: int) -> Interval:
        """Joint less alone on the judging day, after equally many of the task's questions, paired.

        Both are judged at the same parts of an epoch, which has all of them. The joint run has
        made more updates by then.

        Args:
            task: whose curves are compared.
            judgement: of both, counted from 1. NaN: a run was not judged so often.
        """
        gaps = []
        for joint, alone in zip(self.of(task, joint=True), self.of(task, joint=False), strict=True):
            if judgement > min(len(joint.curve), len(alone.curve)):
                return Interval(np.nan)
            one, other = (fit.curve[judgement - 1].figures for fit in (joint, alone))
            gaps.append(Interval(one[MEASURES[task]] - other[MEASURES[task]]))
        return over_each(gaps)

    def share(self, task: Task) -> float:
        """Of the moments that the joint run learns, those that ask the task: mean over worlds."""
        both = zip(self.of(task, joint=True), self.of(task, joint=False), strict=True)
        shares = []
        for joint, alone in both:
            last = min(len(joint.curve), len(alone.curve)) - 1
            shares.append(alone.curve[last].moments / joint.curve[last].moments)
        return float(np.mean(shares))


def write(
    store: Store, name: str, fits: Sequence[FitCell], tuned: Sequence[TunedCell], plan: Plan
) -> Mapping[str, Any]:
    """Put the report under `reports/study/<name>/`; what the command says.

    Args:
        store: where it goes.
        name: of the study, `-quick` included.
        fits: of every world, alone and joint.
        tuned: their searches.
        plan: days and shares.
    """
    learnt = Learnt(fits)
    pictures = {
        "figure6": Picture(
            "While they learn",
            _curves(learnt),
            "On the judging day, by moments learnt, repetitions counted, of the joint run those of "
            "all tasks: batches are of equally many moments, so this is the number of updates. A "
            "line is one world.",
        )
    }
    return page.publish(
        store,
        Page(
            study=name,
            title="Figure 6: one task, or all together",
            lead=LEAD,
            protocol={
                "Data": plan.data(learnt.seeds),
                "Network": f"DUPN-all: {plan.network}. Alone, L2R weighs a click logit of its "
                "own, joint that of CTR",
                "Questions": plan.questions(
                    {task: learnt.scores(task, joint=True) for task in TASKS}
                ),
                "Budget": "epochs, patience and search as in study.*; the joint run's best "
                "judgement is by the sum of its losses. As many epochs are more updates of the "
                "joint run, which learns the moments of all tasks",
                "Intervals": words(len(learnt.seeds)),
                "Settings": protocol.settings(searches=tuned, fits=fits),
            },
            figures=list(figures(learnt)),
            said=goals(learnt),
            grids=[
                _ends(learnt),
                _paces(learnt),
                _own_paces(learnt),
                searched.grid(searched.tuned(tuned, {ALL: "DUPN-all"}), "How each run was tuned"),
            ],
            pictures=pictures,
            facts={"seeds": learnt.seeds},
        ),
    )


def figures(learnt: Learnt) -> Iterator[Figure]:
    """Where the runs end, and the gain."""
    for task in TASKS:
        measure, unit = MEASURES[task], "share" if task.of_levels else "AUC"
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


def _paces(learnt: Learnt) -> Grid:
    rows = [
        [MEASURES[task], *(shown(learnt.pace(task, at), sign=True) for at in SHARES.values())]
        for task in TASKS
    ]
    note = (
        "On the judging day, joint less alone after as many moments, as a share of those that the "
        "single run has learnt in all; -: in a world the first judgement of the joint run comes "
        "later, or its last one came before. These "
        "are as many updates, and fewer questions of the task: only a share of the joint run's "
        "moments asks it (the next table's first column)."
    )
    return Grid("At equal moments learnt, of all tasks", ["", *SHARES], rows, note)


def _own_paces(learnt: Learnt) -> Grid:
    rows = [
        [
            MEASURES[task],
            f"{learnt.share(task):.0%}",
            *(shown(learnt.own_pace(task, at), sign=True) for at in JUDGEMENTS),
        ]
        for task in TASKS
    ]
    note = (
        "On the judging day, joint less alone after as many moments that ask the task itself, "
        "others not counted, as in Figure 7: at the same judgement of both, which falls on the "
        "same part of an epoch (within one, as many but for the order); -: a run was not judged "
        "so often. The joint run has made more updates by then, by one over the share of its "
        "moments that ask the task."
    )
    head = ["", "share that asks it", *(f"judgement {at}" for at in JUDGEMENTS)]
    return Grid("At equal moments that ask the task", head, rows, note)


def _after(fit: FitCell, task: Task, moments: float) -> float:
    """What the judging day says after so many."""
    return float(np.interp(moments, *_points(fit, task), left=np.nan, right=np.nan))


def _points(fit: FitCell, task: Task) -> tuple[Floats, Floats]:
    """Moments learnt, and what the judging day says then."""
    steps = [one for one in fit.curve if MEASURES[task] in one.figures]
    moments = np.array([one.moments for one in steps], dtype=np.float64)
    return moments, np.array([one.figures[MEASURES[task]] for one in steps])


def _curves(learnt: Learnt) -> bytes:
    figure, axes = new_figure(9.6, 2.4 * len(TASKS), len(TASKS))
    for ax, task in zip(axes, TASKS, strict=True):
        for joint, look, word in ((False, LOOKS[1], "alone"), (True, LOOKS[0], "joint")):
            for place, fit in enumerate(learnt.of(task, joint=joint)):
                ax.plot(*_points(fit, task), color=look.colour, linestyle=look.stroke,
                        linewidth=1.3, alpha=0.8, label=word if place == 0 else None)  # fmt: skip
        ax.set_title(MEASURES[task], loc="left", fontsize=10, color=INK)
        ax.set_xlabel("moments learnt, joint: of all tasks")  # each panel has a scale of its own
        by_ratio(ax)
        tidy(ax, "both")
    axes[0].legend(frameon=False, fontsize=8.5, ncols=2)
    return png(figure)
