"""Fits any network on held samples, judged on other days as it goes, and keeps its best.

Every network of a study is fitted by this: the same samples, epochs at most, patience and
judgements, so that what differs between two figures is the network.
"""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from training import asked
from training.batch import VocabularySizes
from training.config import ModelConfig, TrainConfig
from training.learner import Learner
from training.model.network import Network
from training.peers.held import Held
from training.validation import VALIDATION, judge

Build = Callable[[ModelConfig, VocabularySizes], Network]


@dataclass(frozen=True)
class Point:
    """A judgement on the way."""

    step: int
    moments: int
    """Learnt so far, repetitions counted."""
    loss: float
    figures: Mapping[str, float]
    """`ctr_auc`, `ppp_precision`, ... of the tasks that are learnt."""


@dataclass(frozen=True)
class Fit:
    """A network at its best judgement."""

    network: Network
    curve: tuple[Point, ...]
    best: Point
    seconds: float
    """Of the processor: learning and judging."""


@dataclass(frozen=True)
class Course:
    """What a network learns from and is judged by.

    Args:
        learnt: moments that it learns from.
        judges: moments that judge it.
        train: tasks, rates, epochs at most, patience in judgements.
        judgements: of an epoch.
    """

    learnt: Held
    judges: Held
    train: TrainConfig
    judgements: int = 1


def fit(build: Build, model: ModelConfig, course: Course, seed: int) -> Fit:
    """Learn until the epochs or the patience are spent.

    Args:
        build: makes the network, fresh or from what it knew before.
        model: its dimensions.
        course: data and rates.
        seed: of first weights, dropout and order.

    Raises:
        TrainingError: a loss that is not a number.
    """
    begun = time.process_time()
    learner = Learner(model, course.train, course.learnt.sizes, seed, build)
    steps, moments = 0, 0
    curve: list[Point] = []
    best: tuple[Point, Mapping[str, Any]] | None = None
    for epoch in range(course.train.epochs):
        rng = np.random.default_rng([seed, epoch])
        total = -(-len(course.learnt.rows) // course.train.batch_size)
        due = {total * part // course.judgements for part in range(1, course.judgements + 1)}
        batches = course.learnt.batches(course.train.batch_size, rng)
        for done, (batch, _) in enumerate(batches, start=1):
            learner.learn(batch, steps, seen=epoch > 0)
            steps, moments = steps + 1, moments + batch.size
            if done not in due:
                continue
            point = _judged(learner, course, steps, moments)
            curve.append(point)
            if best is None or point.loss < best[0].loss:
                best = point, copy.deepcopy(learner.model.state_dict())
        if _spent(curve, course):
            break
    assert best is not None  # an epoch ends with a judgement
    learner.model.load_state_dict(best[1])
    learner.model.eval()
    return Fit(learner.model, tuple(curve), best[0], time.process_time() - begun)


def _judged(learner: Learner, course: Course, steps: int, moments: int) -> Point:
    batches = (batch for batch, _ in course.judges.batches(course.train.batch_size))
    figures = judge(learner, batches)
    loss = figures.pop(f"{VALIDATION}_loss", None)
    if loss is None:
        raise asked.none(course.train, f"the {len(course.judges.rows):,} moments that judge")
    named = {name.removeprefix(f"{VALIDATION}_"): value for name, value in figures.items()}
    return Point(steps, moments, loss, named)


def _spent(curve: list[Point], course: Course) -> bool:
    """Whether the judgements since the best one have come to the patience."""
    patience = course.train.patience
    best = min(range(len(curve)), key=lambda place: curve[place].loss)
    return patience is not None and len(curve) - 1 - best >= patience
