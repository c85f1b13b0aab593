"""Checkpoints: all that a run needs to go on, or a model to be used, published whole or not at all.

A run writes `checkpoints/<run>/progress` now and then and `checkpoints/<run>/final` once. Both hold
weights, optimizer, random states, the reader's position and the recipe (settings, table sizes, seed
and exact inputs), so that a killed run goes on to the weights of an undisturbed one, and a
checkpoint that does not fit says what differs instead of training something else.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from infra.config import flatten
from infra.errors import PartitionCorrupt, TrainingError
from infra.manifest import mend
from infra.store import Attempt, FileEntry, Partition, Store
from training.batch import NOTED, VocabularySizes
from training.config import ModelConfig, TrainConfig
from training.data import Position, Samples
from training.model.dupn import Dupn

FREE = frozenset(f"train.{name}" for name in ("checkpoint_every_s", "threads", "device", "resume"))
"""Settings that a resumed run may change: they do not decide what is learnt."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What decides the weights. Equal recipes, equal weights (on one kind of machine)."""

    model: ModelConfig
    train: TrainConfig
    sizes: VocabularySizes
    seed: int
    inputs: Mapping[str, str]
    """Day -> digest of its samples' files."""
    catalogs: Mapping[str, str] = field(default_factory=dict)
    """Day -> stamp of the catalog that its items are looked up in; not of days that had none, nor
    in recipes written before these were kept."""
    start: Mapping[str, Any] = field(default_factory=dict)
    """What a run that does not start from scratch starts from, and learns; see `Start`."""

    @classmethod
    def of(
        cls,
        samples: Samples,
        validation: Samples | None,
        model: ModelConfig,
        train: TrainConfig,
        seed: int,
    ) -> "Recipe":
        """The recipe of training on these samples, from scratch."""
        found, read = inputs(samples), catalogs(samples)
        if validation is not None:
            found, read = found | inputs(validation), read | catalogs(validation)
        return cls(
            model=model, train=train, sizes=samples.sizes, seed=seed, inputs=found, catalogs=read
        )

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "model": self.model.model_dump(mode="json"),
            "train": self.train.model_dump(mode="json"),
            "sizes": self.sizes.plain(),
            "seed": self.seed,
            "inputs": dict(self.inputs),
            "catalogs": dict(self.catalogs),
        } | ({"start": dict(self.start)} if self.start else {})

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> "Recipe":
        """The inverse of `plain`.

        Raises:
            TrainingError: it was written by a version of dupn with other settings.
        """
        try:
            model = ModelConfig.model_validate(plain["model"])
            train = TrainConfig.model_validate(plain["train"])
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(str(part) for part in first["loc"])
            raise TrainingError(
                f"a checkpoint has {name} = {first['input']!r}, which this version of dupn does "
                f"not know ({first['msg']}). Use the version that trained it, or train again."
            ) from None
        return cls(
            model=model,
            train=train,
            sizes=VocabularySizes.of_plain(plain["sizes"]),
            seed=plain["seed"],
            inputs=plain["inputs"],
            catalogs=plain.get("catalogs", {}),
            start=plain.get("start", {}),
        )

    def differences(self, other: "Recipe") -> list[str]:
        """Each setting and input that `other` has differently, as a phrase.

        A catalog that only one of them knows is none: it was not kept then, or is swept by now. Nor
        are names of profile columns or ranking features that only one of them has noted.
        """
        both = self.catalogs.keys() & other.catalogs.keys()
        mine, theirs = (
            flatten(one.plain() | {"catalogs": {day: one.catalogs[day] for day in both}})
            for one in (self, other)
        )
        for name in NOTED:
            if None in (getattr(self.sizes, name), getattr(other.sizes, name)):
                for one in (mine, theirs):
                    one.pop(f"sizes.{name}", None)
        return [
            f"{name} was {mine.get(name, 'absent')} and is {theirs.get(name, 'absent')}"
            for name in sorted((mine.keys() | theirs.keys()) - FREE)
            if mine.get(name) != theirs.get(name)
        ]


@dataclass(frozen=True, kw_only=True)
class Start:
    """Where a run begins that does not begin from scratch, and what its lineage says of it."""

    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    decay: float = 1.0
    """Of the optimizer's sums of squared gradients."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One moment of a run. `tallies` are figures that a resumed run goes on counting."""

    recipe: Recipe
    position: Position
    run_id: str
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Any]
    rng: Mapping[str, Tensor]
    tallies: Mapping[str, Any]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """For the lineage: figures that a person or a later step reads without loading tensors."""


def progress(store: Store, run: str) -> Partition:
    """Where an unfinished run keeps its newest checkpoint."""
    return store.partition("checkpoints", None, run, "progress")


def best(store: Store, run: str) -> Partition:
    """Where a run with validation puts its best epoch aside."""
    return store.partition("checkpoints", None, run, "best")


def final(store: Store, run: str) -> Partition:
    """Where a finished run keeps its model."""
    return store.partition("checkpoints", None, run, "final")


def inputs(samples: Samples) -> dict[str, str]:
    """What identifies the data of a run: a digest of each day's files, in order."""
    pairs = zip(samples.days, samples.manifests, strict=True)
    return {day.isoformat(): manifest.content for day, manifest in pairs}


def catalogs(samples: Samples) -> dict[str, str]:
    """What identifies what a run knows of items: a stamp of each day's catalog."""
    pairs = zip(samples.catalog_days, samples.catalog_stamps, strict=True)
    return {day.isoformat(): stamp for day, stamp in pairs if stamp}


def save(partition: Partition, checkpoint: Checkpoint) -> None:
    """Replace what is under `partition` in one atomic move."""
    rest = {
        "optimizer": checkpoint.optimizer,
        "rng": dict(checkpoint.rng),
        "tallies": checkpoint.tallies,
    }
    with partition.publish(
        **checkpoint.facts,
        recipe=checkpoint.recipe.plain(),
        position=asdict(checkpoint.position),
        run_id=checkpoint.run_id,
    ) as out:
        out.record([_dump(out, "model", dict(checkpoint.weights)), _dump(out, "state", rest)])
    partition.sweep(older_than_s=max(120.0, 2 * checkpoint.recipe.train.checkpoint_every_s))


def load(partition: Partition) -> Checkpoint | None:
    """What is published there; None if nothing is, or if it was cleared.

    Raises:
        PartitionCorrupt: a file is not what was written.
    """
    if not partition.exists():
        return None
    manifest = partition.manifest()
    if not manifest.files:
        return None
    rest = _read(partition, "state")
    return Checkpoint(
        recipe=Recipe.of_plain(manifest.lineage["recipe"]),
        position=Position(**manifest.lineage["position"]),
        run_id=manifest.lineage["run_id"],
        weights=_read(partition, "model"),
        optimizer=rest["optimizer"],
        rng=rest["rng"],
        tallies=rest["tallies"],
        facts=manifest.lineage,
    )


def record(partition: Partition, run_id: str) -> None:
    """Publish a checkpoint once more, byte for byte, as that of another run of the tracker."""
    manifest = partition.manifest()
    with partition.publish(**{**manifest.lineage, "run_id": run_id}) as out:
        for entry in manifest.files:
            with partition.open(entry) as source:
                name = f"{entry.name.partition('-')[0]}.pt"
                out.record([out.write_bytes(name, source.read())])
    partition.sweep(older_than_s=120.0)


def digest(partition: Partition) -> str:
    """What identifies a published checkpoint."""
    return partition.manifest().content


def clear(partition: Partition) -> None:
    """Give back the space of a checkpoint that is no longer needed."""
    if partition.exists():
        with partition.publish():
            pass
        partition.sweep(older_than_s=0)


def require_fit(found: Recipe, wanted: Recipe, partition: Partition) -> None:
    """Raise `TrainingError` naming the differences if a run cannot go on from a checkpoint."""
    differences = found.differences(wanted)
    if differences:
        shown = "; ".join(differences[:3]) + ("; ..." if len(differences) > 3 else "")
        raise TrainingError(
            f"{partition.key} does not fit this run: {shown}. "
            "Start afresh with --set train.resume=false, or restore what it was."
        )


def misfit(partition: Partition) -> str:
    """Why the network of a published checkpoint cannot be asked by now; empty: it can."""
    return Recipe.of_plain(partition.manifest().lineage["recipe"]).sizes.misfit


def taught(partition: Partition) -> frozenset[str]:
    """Tasks that a published checkpoint, or one that it was updated from, was trained for.

    What was set and asked nowhere is none of them. Of checkpoints that did not note what was asked
    they are all that were set, and of an update that noted nothing its own alone.
    """
    lineage = partition.manifest().lineage
    return frozenset(lineage.get("taught", lineage["recipe"]["train"]["tasks"]))


def require_askable(partition: Partition, if_done: str = "") -> None:
    """Refuse a published checkpoint whose network cannot be asked by now.

    Args:
        partition: of the checkpoint.
        if_done: what to do where its line was trained anew already.

    Raises:
        TrainingError: it weighs other properties or ranking features than this version tells.
    """
    if why := misfit(partition):
        raise TrainingError(
            f"{partition.key} {why}. Use the version of dupn that trained it, or train the line "
            f"anew with `dupn train`{if_done}."
        )


def load_model(partition: Partition) -> Dupn:
    """The network of a published checkpoint, ready to answer (no dropout).

    Raises:
        PartitionMissing: the run has not finished.
        TrainingError: it weighs other properties or ranking features than this version tells.
    """
    require_askable(partition)
    recipe = Recipe.of_plain(partition.manifest().lineage["recipe"])
    model = Dupn(recipe.model, recipe.sizes)
    model.load_state_dict(_read(partition, "model"))
    return model.eval()


def rng_state(device: str) -> dict[str, Tensor]:
    """States of the generators that dropout draws from."""
    states = {"cpu": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state()} if device == "cuda" else {})


def restore_rng(states: Mapping[str, Tensor], device: str) -> None:
    """Put the generators back."""
    torch.set_rng_state(states["cpu"])
    if device == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])


def _dump(out: Attempt, name: str, content: Any) -> FileEntry:
    sink = io.BytesIO()
    torch.save(content, sink)
    return out.write_bytes(f"{name}.pt", sink.getbuffer())


def _read(partition: Partition, name: str) -> Any:
    entry = next((e for e in partition.manifest().files if e.name.startswith(f"{name}-")), None)
    if entry is None:
        raise PartitionCorrupt(f"{partition.key} has no {name} in it. Run `dupn train` again.")
    with partition.open(entry) as source:
        raw = source.read()
    if hashlib.sha256(raw).hexdigest() != entry.sha256:
        raise PartitionCorrupt(
            f"{partition.key}/{entry.name} is not the file that was published. "
            f"{mend(partition.key)}"
        )
    return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
