"""Train, and find what was trained: the settings of a run handed to `training`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from evaluation import filed
from infra import run_key
from infra.addresses import bare
from infra.errors import PartitionMissing, RegistryError, TrainingError
from infra.registry import Registry, Version
from infra.runs import is_there
from infra.store import Partition, Store
from pipeline.learn.tracked import TrainingTracker
from pipeline.release import incumbent
from pipeline.settings import Settings
from training import checkpoint as checkpoints
from training.ancestry import Ancestry, Part
from training.config import Task
from training.fit import carry_out, prepared
from training.model.dupn import Dupn
from training.run import Run

OF_DATA = ("inputs.", "catalogs.", "sizes.")
"""How differences of runs begin that are of what was learnt from, not of how."""


@dataclass(frozen=True)
class Candidate:
    """A finished training run."""

    key: str
    days: tuple[date, ...]
    run_id: str
    """Of the tracker."""
    ancestry: Ancestry = field(default_factory=Ancestry)
    """All that it and its ancestors have learnt."""
    parent: str = ""
    """Run key of the model that it was updated from."""
    learnt: tuple[Part, ...] = ()
    """What its own training added to the parent's ancestry."""
    notes: tuple[str, ...] = ()
    """What its training reported (an abnormal day)."""
    untrained: frozenset[str] = frozenset()
    """Tasks that neither it nor a model that it was updated from was trained for."""

    @property
    def line(self) -> str:
        """Of the run key."""
        return run_key.line(self.key)


def train(settings: Settings, days: Sequence[date]) -> Mapping[str, Any]:
    """Fit the network on `days`, in order.

    Raises:
        TrainingError: the run is a registered version already, which was trained otherwise.
    """
    key = run_key.of(settings.line, days[-1])
    run = prepared(
        settings.store,
        days,
        settings.model,
        settings.train,
        seed=settings.seed,
        run_name=key,
        tracker=TrainingTracker(settings),
    )
    registry = incumbent.registry_of(settings)
    require_free(
        run,
        registry,
        "To train a first model once more, give it a line of its own (--set line=NAME) or another "
        "last day (--until D).",
    )
    noted = recorded(run, registry) if settings.train.resume else {}
    fitted = carry_out(run, settings.train.resume)
    return {
        "run": key,
        "mlflow_run": fitted.run_id,
        **noted,
        "moments": fitted.moments,
        "candidates": fitted.candidates,
        "seconds": round(fitted.seconds, 1),
        "moments_per_s": round(fitted.moments_per_s, 1),
        **{name: round(value, 5) for name, value in fitted.metrics.items()},
    }


def require_free(run: Run, registry: Registry, remedy: str) -> None:
    """A registered version keeps its checkpoint: evaluation, updates and rollback go back to it.

    An equal run may be done again: it finds the checkpoint, or writes one that is the same. Where
    the checkpoint is gone, the tags of the version say what an equal one learns.

    Raises:
        TrainingError: the run would replace a registered version with something else.
    """
    for version in registry.versions():
        if version.tags.get("run_key") != run.name:
            continue
        if not run.final.exists():
            _require_equal(run, version, registry)
        if differences := run.differences():
            known = f"{run.name} is version {version.number} of the registry already"
            if all(one.startswith(OF_DATA) for one in differences):
                raise TrainingError(
                    f"{known}, and its days have been made again since: from other data, with "
                    f"other settings or by another release of dupn ({differences[0]}). The version "
                    "is as good as it was, and stays: there is nothing to train. Nights after "
                    f"those days may be behind now (`dupn status`). {remedy}"
                )
            raise TrainingError(f"{known}, and was trained otherwise: {differences[0]}. {remedy}")


def _require_equal(run: Run, version: Version, registry: Registry) -> None:
    """Of a version without a checkpoint, refuse a run that learns otherwise than its tags say."""
    ancestry = Ancestry.of_plain(run.facts["ancestry"])
    days = run.facts.get("days") or [day.isoformat() for day in run.samples.days]
    wanted = {
        "trained_on": f"{days[0]}..{days[-1]}",
        "parent": run.facts.get("parent", ""),
        "ancestry": ancestry.digest,
    }
    known = {**version.tags, "ancestry": _digest(version.tags) or ancestry.digest}
    for name, now in wanted.items():
        if (then := known.get(name, now)) != now:
            rival = incumbent.is_rival(registry, run_key.line(run.name))
            raise TrainingError(
                f"the checkpoint of version {version.number} of the registry, {run.name}, is gone, "
                f"and this would be another model in its place: {name} was {then or 'none'} and is "
                f"{now or 'none'}. {incumbent.instead(run.name, rival=rival)}"
            )


def _digest(tags: Mapping[str, str]) -> str:
    """Of the ancestry that a version's tags tell of; empty where they tell of none."""
    try:
        return str(json.loads(tags["ancestry"])["digest"])
    except (ValueError, TypeError, KeyError):  # registered without, or edited by a hand
        return ""


def versions_of(registry: Registry, mine: Candidate) -> list[Version]:
    """Registered versions of this very training, oldest first."""
    return [
        one
        for one in registry.versions()
        if one.tags.get("run_key") == mine.key
        and incumbent.is_of(one.run_id, mine.run_id, mine.learnt)
    ]


def recorded(run: Run, registry: Registry) -> dict[str, str]:
    """A new MLflow run for a finished training whose own is gone; a `note` that says so.

    A registered version keeps its checkpoint as it is, and with it the id of the run.
    """
    if not run.final.exists() or run.differences():
        return {}
    before = run.final.manifest().lineage["run_id"]
    registered = any(one.tags.get("run_key") == run.name for one in registry.versions())
    if registered or is_there(registry.client, before):
        return {}
    now = run.record_anew()
    return {
        "note": f"the MLflow run {before or '(none)'} of {run.name} is not there any more: the "
        f"model has a new one, {now}, with its settings and last figures, without its curves."
    }


def require_recorded(mine: Candidate, registry: Registry) -> None:
    """Refuse a candidate whose MLflow run was deleted.

    MLflow refuses to log to it by the code of errors that may pass, which is tried again.

    Raises:
        RegistryError: it was, and how it comes back.
    """
    if not is_there(registry.client, mine.run_id):
        raise RegistryError(
            f"the MLflow run {mine.run_id} of {mine.key}, in which its bundle and the gate's "
            "verdict are kept, was deleted. Restore it (`MLFLOW_TRACKING_URI="
            f"{bare(registry.uri)} mlflow runs restore --run-id {mine.run_id}`). If it was purged, "
            "run `dupn train` (of a night, `dupn update`) again: it trains nothing, and gives the "
            "model a new run; then `dupn bundle`."
        )


def candidate(settings: Settings, day: date, run: str = "") -> Candidate:
    """The finished model that is judged on `day`.

    Args:
        settings: whose line and store.
        day: the day to judge it on.
        run: its run key. Empty: tonight's update of the line (`<line>-<day>`) if it is finished,
            else the newest model of the line that was trained on days before `day` only.

    Raises:
        PartitionMissing: there is none.
    """
    store = settings.store
    if run and checkpoints.final(store, run).exists():
        return of_run(store, run)
    if run:
        raise PartitionMissing(
            f"checkpoints/{run}/final is not published: no model of this key is finished. "
            f"`ls {store.address('checkpoints')}` shows the keys: name one of these (--run, or the "
            "Param run of dupn_release). Without --run it is the newest."
        )
    tonight = run_key.of(settings.line, day)
    if checkpoints.final(store, tonight).exists():
        mine = of_run(store, tonight)
        if mine.ancestry.held(day) is not None:
            return mine
    found = [name for name in store.names("checkpoints") if run_key.line(name) == settings.line]
    for name in sorted(found, reverse=True):
        if run_key.until(name) < day.isoformat() and checkpoints.final(store, name).exists():
            return of_run(store, name)
    train = f"`dupn --set line={settings.line} train --until D --days N`"
    raise PartitionMissing(
        f"no model of line {settings.line} was trained on days before {day}. "
        f"Run {train} with D before {day} first."
    )


def askable(settings: Settings, day: date, run: str = "") -> Candidate:
    """The same, for a step that asks its network, or lets others ask it.

    Raises:
        PartitionMissing: there is none.
        TrainingError: its network was trained with other inputs than there are now.
    """
    mine = candidate(settings, day, run)
    named = " and name the new one with `--run KEY` (in dupn_release, the Param run)"
    checkpoints.require_askable(checkpoints.final(settings.store, mine.key), "" if run else named)
    return mine


def of_run(store: Store, key: str) -> Candidate:
    """The finished training run of a key."""
    final = checkpoints.final(store, key)
    lineage = final.manifest().lineage
    ancestry = Ancestry.of_lineage(lineage)
    learnt = lineage.get("learnt")
    return Candidate(
        key=key,
        days=tuple(date.fromisoformat(text) for text in lineage["days"]),
        run_id=lineage["run_id"],
        ancestry=ancestry,
        parent=lineage.get("parent", ""),
        learnt=ancestry.parts if learnt is None else Ancestry.of_plain(learnt).parts,
        notes=tuple(_notes(lineage)),
        untrained=frozenset(Task) - checkpoints.taught(final),
    )


def _notes(lineage: Mapping[str, Any]) -> Iterator[str]:
    for day, found in lineage.get("abnormal", {}).items():
        yield f"{day} was abnormal: " + " ".join(one["sentence"] for one in found)
    for day, why in lineage.get("left_out", {}).items():
        yield f"{day} was not learnt: {why}"


def parent_of(store: Store, key: str) -> str:
    """The run key that a model was updated from; empty for the first, or where nobody knows."""
    final = checkpoints.final(store, key)
    return str(final.manifest().lineage.get("parent", "")) if final.exists() else ""


def load(store: Store, key: str) -> Dupn:
    """The finished network of a run key."""
    return checkpoints.load_model(checkpoints.final(store, key))


def answers(store: Store, key: str) -> Partition:
    """Where evaluation keeps what the model answered."""
    return store.partition(filed.offline(key), None, filed.ANSWERS)
