"""Training: samples of some days -> a network, resumable to the same weights.

Memory does not grow with the samples; it does with the items of each day's catalog (some 70 bytes
an item and day).

A run of a name is idempotent: cut off, it goes on; finished, it is there; with other settings or
other data under the same name, it is trained anew.
"""

import logging
from collections.abc import Sequence
from datetime import date

from infra.errors import DupnError, TrainingError
from infra.mlflow_client import briefly
from infra.progress import ProgressBar, track
from infra.store import Store
from infra.tracking import SilentTracker, Tracker
from training import offered
from training.ancestry import Ancestry, Part
from training.checkpoint import Recipe
from training.config import ModelConfig, TrainConfig
from training.data import Samples
from training.run import Run
from training.tally import Fitted

__all__ = ["Fitted", "fit", "prepared"]

logger = logging.getLogger(__name__)


def fit(  # noqa: PLR0913  # a front door: what to learn from, how, and who watches
    store: Store,
    days: Sequence[date],
    model_config: ModelConfig,
    train_config: TrainConfig,
    *,
    seed: int,
    run_name: str,
    resume: bool | None = None,
    progress: ProgressBar = track,
) -> Fitted:
    """Train a network on the samples of `days`.

    A run of this name that was cut off goes on; one that finished with the same recipe is returned
    as it is.

    Args:
        store: where samples, catalogs and vocabularies are, and checkpoints go.
        days: training days, in order; the last `validation_days` of them judge instead.
        model_config: the network.
        train_config: how it learns.
        seed: of weights, dropout and order.
        run_name: folder below `checkpoints/`.
        resume: False starts afresh whatever is there; by default the setting decides.
        progress: shows how far it is.

    Raises:
        PartitionMissing: a day has no samples published.
        TrainingError: nothing to learn from, a loss that is not a number, or a checkpoint of
            another recipe in the way.
    """
    run = prepared(store, days, model_config, train_config, seed=seed, run_name=run_name)
    return carry_out(run, train_config.resume if resume is None else resume, progress)


def prepared(  # noqa: PLR0913  # as `fit`
    store: Store,
    days: Sequence[date],
    model_config: ModelConfig,
    train_config: TrainConfig,
    *,
    seed: int,
    run_name: str,
    tracker: Tracker | None = None,
) -> Run:
    """The run of `fit`, of the same arguments, before it begins.

    `Run.differences` says whether it would replace another; `tracker` records settings, lineage and
    figures.

    Raises:
        PartitionMissing, TrainingError: as `fit`.
    """
    learnt = len(days) - train_config.validation_days
    if learnt < 1:
        raise TrainingError(
            f"{len(days)} days less train.validation_days = {train_config.validation_days} leave "
            "none to learn from. Train on more days, or set train.validation_days lower."
        )
    offered.require(store, days, model_config)
    samples = Samples(store, days[:learnt])
    validation = Samples(store, days[learnt:], samples.sizes) if learnt < len(days) else None
    recipe = Recipe.of(samples, validation, model_config, train_config, seed)
    facts = {"ancestry": _ancestry(samples, recipe).plain()}
    return Run(samples, recipe, run_name, tracker or SilentTracker(), validation, facts=facts)


def _ancestry(samples: Samples, recipe: Recipe) -> Ancestry:
    """Days learnt whole."""
    return Ancestry(
        tuple(
            Part(day=day, digest=recipe.inputs[day.isoformat()], moments=samples.moments_of(index))
            for index, day in enumerate(samples.days)
        )
    )


def carry_out(run: Run, go_on: bool, progress: ProgressBar = track) -> Fitted:
    """Do what is left of a run; nothing if it has finished.

    Args:
        run: just made.
        go_on: False starts afresh whatever is there.
        progress: shows how far it is.
    """
    finished = run.finished() if go_on else None
    if finished is not None:
        logger.info("%s is trained already; nothing to do", run.name)
        run.close(finished)
        return finished
    run.begin(go_on)
    try:
        with progress("train", run.expected, unit="moments", done=run.tally.moments) as bar:
            run.go(bar)
        fitted = run.finish()
    except BaseException:
        _end_failed(run.tracker)
        raise
    run.tracker.end()
    return fitted


def _end_failed(tracker: Tracker) -> None:
    """Say that a run failed; why it did is not to be lost, nor to wait, where MLflow is away."""
    try:
        with briefly():
            tracker.end(failed=True)
    except DupnError as error:
        logger.warning("that the run failed is not in MLflow: %s", error)
