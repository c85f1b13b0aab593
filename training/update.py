"""The nightly update: the promoted model learns what it has not learnt yet (Section 7).

Warm start: weights, AdaGrad's sums (decayed) and a vocabulary that has grown since. Like `fit`, a
run of a name is idempotent: cut off, it goes on to the weights of an undisturbed one; finished with
the same parent, parts and settings, it is there.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from features import catalog
from features.catalog import CatalogArrays
from infra.errors import TrainingError
from infra.progress import ProgressBar, track
from infra.store import Store
from infra.tracking import SilentTracker, Tracker
from training import checkpoint as checkpoints
from training import offered
from training.batch import VocabularySizes
from training.checkpoint import Recipe, Start
from training.config import TrainConfig
from training.data import Samples
from training.fit import carry_out
from training.growth import grown, grown_optimizer, joined, tables
from training.run import Run
from training.sizes import vocabulary_sizes
from training.tally import Fitted
from training.update_config import UpdateConfig
from training.update_plan import Plan, plan, require_unlearnt, slices

__all__ = ["Fitted", "Plan", "plan", "prepared", "require_unlearnt", "update"]


def update(  # noqa: PLR0913  # a front door: what to learn, from where, how, and who watches
    store: Store,
    of: Plan,
    train_config: TrainConfig,
    config: UpdateConfig,
    *,
    seed: int,
    run_name: str,
    resume: bool | None = None,
    progress: ProgressBar = track,
) -> Fitted:
    """Train the plan's parent on the plan's parts.

    Args:
        store: where samples, catalogs and vocabularies are, and checkpoints go.
        of: what to learn from what.
        train_config: how the line learns; `config` says what the update does otherwise.
        config: of the update.
        seed: of dropout, order and replay.
        run_name: folder below `checkpoints/`; never the parent's own.
        resume: False starts afresh whatever is there; by default the setting decides.
        progress: shows how far it is.

    Raises:
        TrainingError: there is nothing to learn, the parent does not fit, or a loss is no number.
    """
    run = prepared(store, of, train_config, config, seed=seed, run_name=run_name)
    return carry_out(run, run.config.resume if resume is None else resume, progress)


def prepared(  # noqa: PLR0913  # as `update`
    store: Store,
    of: Plan,
    train_config: TrainConfig,
    config: UpdateConfig,
    *,
    seed: int,
    run_name: str,
    tracker: Tracker | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Run:
    """The run of an update before it begins: `finished()` says whether there is work left.

    `tracker` records settings, lineage and figures; `facts` are more for the lineage.
    """
    if not of.parts:
        raise TrainingError(
            f"there is nothing that {of.parent_key} has not learnt by {of.day}. "
            "Check the counts of `dupn samples`."
        )
    if run_name == of.parent_key:
        raise TrainingError(
            f"{run_name} cannot be trained from itself. Give the update a name of its own."
        )
    parent = Recipe.of_plain(of.parent.manifest().lineage["recipe"])
    learnt = slices(store, of, config, seed)
    days = sorted({piece.part.day for piece in learnt})
    newest = max(part.day for part in of.parts)
    sizes = joined(parent.sizes, vocabulary_sizes(store, newest))
    offered.require(store, days, parent.model)
    samples = Samples(store, days, sizes, learnt)
    inputs = checkpoints.inputs(samples)
    _require_as_planned(of, inputs)
    recipe = Recipe(
        model=parent.model,
        train=config.over(train_config),
        sizes=sizes,
        seed=seed,
        inputs=inputs,
        catalogs=checkpoints.catalogs(samples),
        start=_start_of(of, config),
    )
    return Run(
        samples,
        recipe,
        run_name,
        tracker or SilentTracker(),
        start=lambda: _start(of, sizes, catalog.load(store, newest), config.accumulator_decay),
        facts={**_facts(of, parent, recipe, samples), **(facts or {})},
    )


def _require_as_planned(of: Plan, inputs: Mapping[str, str]) -> None:
    for part in of.parts:
        if inputs[part.day.isoformat()] != part.digest:
            raise TrainingError(
                f"samples/dt={part.day} was published again while the update was planned. "
                "Run `dupn update` again."
            )


def _start_of(of: Plan, config: UpdateConfig) -> dict[str, Any]:
    """What decides the weights beside data and settings of training; for the recipe."""
    return {
        "parent": of.parent_key,
        "digest": checkpoints.digest(of.parent),
        "parts": [replace(part, forced="").plain() for part in of.parts],
        "accumulator_decay": config.accumulator_decay,
        "replay_share": config.replay_share,
        "replay_days": config.replay_days,
    }


def _start(of: Plan, sizes: VocabularySizes, newest: CatalogArrays, decay: float) -> Start:
    """The parent's weights and sums in tables of the night's sizes."""
    found = checkpoints.load(of.parent)
    if found is None:
        raise TrainingError(f"{of.parent.key} holds no weights. Promote a version that has them.")
    weights = grown(found.weights, found.optimizer["sparse"], sizes, newest)
    state = grown_optimizer(found.optimizer, sizes)
    return Start(weights=weights, optimizer=state, decay=decay)


def _facts(of: Plan, parent: Recipe, recipe: Recipe, samples: Samples) -> dict[str, Any]:
    """What the lineage says beyond the recipe."""
    kept = parent.model.price_memory
    old, new = (tables(one.sizes, price_memory=kept) for one in (parent, recipe))
    return {
        "parent": of.parent_key,
        "ancestry": of.after.plain(),
        "ancestry_digest": of.after.digest,
        "days": [day.isoformat() for day in of.after.days],
        "moments": of.moments,
        "replayed": samples.moments - of.moments,
        "learnt": [part.plain() for part in of.parts],
        "grown": {name: new[name] - old[name] for name in new if new[name] > old[name]},
        "taught": sorted(checkpoints.taught(of.parent)),
    }
