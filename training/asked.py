"""Which tasks the moments of some days ask, by what their samples have counted.

A task that is asked nowhere is not learnt, and its head has to stay as it was. Its loss, always
zero, would move it all the same: AdaGrad makes full steps of the little that L2 pulls, until there
is nothing left to learn with.
"""

from collections.abc import Sequence

from features.schemas import PRICED_CLICKS, QUESTIONS
from infra.errors import TrainingError
from infra.store import Manifest
from training.config import Task, TrainConfig


def nowhere(manifests: Sequence[Manifest], config: TrainConfig) -> frozenset[Task]:
    """Those of `config.tasks` of which no moment asks; none of them if that is all of them.

    Args:
        manifests: of samples. Days that counted no questions may ask anything.
        config: of the training; with `click_prices` PPP asks of clicked candidates that have a
            price level, too.
    """
    found = {
        task for task in config.tasks if not any(_asks(one, task, config) for one in manifests)
    }
    return frozenset() if found == set(config.tasks) else frozenset(found)


def none(config: TrainConfig, moments: str) -> TrainingError:
    """The error of a pass over some moments that was asked of nothing."""
    return TrainingError(
        f"none of the tasks {', '.join(config.tasks)} is asked in any of {moments}. "
        "Check train.tasks against the counts of `dupn samples`."
    )


def _asks(manifest: Manifest, task: Task, config: TrainConfig) -> bool:
    counted: set[str] = {
        Task.CTR if task is Task.L2R else task
    }  # L2R asks of the candidates of CTR
    if task is Task.PPP and config.click_prices:  # days that counted none may have any
        counted.add(PRICED_CLICKS if PRICED_CLICKS in manifest.counts else Task.CTR)
    known = set(QUESTIONS.values()) <= manifest.counts.keys()
    return not known or any(manifest.counts[name] for name in counted)
