"""Who else answers the questions of a study: yardsticks, MaxEnt among them, and the truth."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import numpy as np

from evaluation import ceiling, yardsticks
from evaluation.metrics import AnyArray
from evaluation.questions import Questions, read
from evaluation.settings import EvaluateConfig
from evaluation.studies.asking import MEASURES, Answered
from features import catalog
from infra.store import Store
from training.config import Task
from training.peers.held import of_share

TRUTH = "ceiling"
VISIBLE = "visible_ceiling"
ASKED = {"candidates": (Task.CTR, Task.L2R), "prices": (Task.PPP,), "icons": (Task.FIFP,)}
"""Tasks by the block of questions that they are about."""
Found = Mapping[tuple[str, Task], Answered]
"""By who answers (a yardstick's name, `ceiling`), and which task."""


def answers(
    store: Store,
    learnt: Sequence[date],
    asked: Sequence[date],
    shares: Mapping[Task, float],
    config: EvaluateConfig,
) -> Found:
    """Everybody's answers to the questions of some days, in published order.

    Args:
        store: where samples and, of a simulated log, the truth are.
        learnt: days that yardsticks are fitted on.
        asked: days that are asked.
        shares: of users by task, as the networks are asked; 1 where not named.
        config: bounds of the fits.
    """
    parts: dict[tuple[str, Task], list[Answered]] = {}
    for day in asked:
        questions, items = read(store, day), catalog.load(store, day)
        known: dict[str, dict[str, AnyArray]] = {}
        for one in yardsticks.compute(store, day, learnt, items, config):
            known[one.name] = dict.fromkeys(one.measures, one.scores)
        truth = ceiling.scores(store, day, questions, items)
        known[TRUTH], known[VISIBLE] = dict(truth.best), dict(truth.visible)
        for name, scores in known.items():
            for task, answered in _answered(questions, scores, shares):
                parts.setdefault((name, task), []).append(answered)
    whole = {key: found for key, found in parts.items() if len(found) == len(asked)}
    return {key: Answered.joined(found) for key, found in whole.items()}


def _answered(
    questions: Questions, scores: Mapping[str, AnyArray], shares: Mapping[Task, float]
) -> Iterator[tuple[Task, Answered]]:
    """What somebody knows of a day; where they do not know, the question is left out."""
    for place, tasks in ASKED.items():
        block = getattr(questions, place)
        user = questions.moments.user_hash[block.moment]
        for task in tasks:
            score = scores.get(MEASURES[task])
            if score is None:
                continue
            keep = of_share(user, max(shares.get(one, 1.0) for one in tasks)) & np.isfinite(score)
            yield task, Answered(np.asarray(score), _truth(task, block), user).only(keep)


def _truth(task: Task, block: object) -> AnyArray:
    names = {Task.CTR: "clicked", Task.L2R: "label", Task.PPP: "level", Task.FIFP: "followed"}
    return np.asarray(getattr(block, names[task]))
