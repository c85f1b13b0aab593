"""`dupn update`: the promoted version of the line learns a night, if the night may be learnt.

Whether it may is decided here: the parent from the registry, quality from its reports, abnormal
days from its tallies; of a night that has a version, `pipeline.learn.decided` says what became of
it. What is learnt and how, `training.update` decides.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import date, timedelta
from functools import cache, partial
from typing import Any

from features.quality import abnormal
from features.quality.abnormal import Finding
from infra import run_key
from infra.config import flatten
from infra.errors import PartitionMissing, QualityFailed, RegistryError, TrainingError
from infra.registry import Registry, Version
from infra.store import Partition, Store
from pipeline.jobs import quality as measuring
from pipeline.learn import decided
from pipeline.learn.learning import recorded
from pipeline.learn.tracked import TrainingTracker
from pipeline.nights.outcomes import Learnt
from pipeline.quality import judged
from pipeline.release.incumbent import (
    by_version,
    instead,
    is_rival,
    registry_of,
    replaced,
    vacancy,
)
from pipeline.release.unlearnt_days import newly_gone
from pipeline.settings import Settings
from pipeline.upkeep import again as remedies
from training import checkpoint as checkpoints
from training import update as updates
from training.ancestry import Ancestry, Part
from training.checkpoint import Recipe
from training.fit import carry_out
from training.tally import Fitted
from training.update import Plan
from training.update_config import Abnormal, UpdateConfig
from training.update_plan import UNPUBLISHED, readable

logger = logging.getLogger(__name__)


def update(settings: Settings, day: date, *, forced: str = "") -> Mapping[str, Any]:
    """Learn everything that the promoted version has not learnt by `day`; the day's holdout stays.

    Args:
        settings: whose line, and how.
        day: the night's data day.
        forced: why the day is learnt although quality failed or it was learnt before.

    Raises:
        QualityFailed: the day did not pass, and nobody forces it.
        TrainingError: it was learnt already, and nobody forces it; its key is that of a version
            that an alias names or to which a rollback goes; or the settings do not fit.
        RegistryError: no version of the line is promoted, or its checkpoint is another model's.
        PartitionMissing: its checkpoint is gone.
    """
    store, key = settings.store, run_key.of(settings.line, day)
    registry = registry_of(settings)
    parent = _parent(store, registry, promoted(settings, registry))
    if not forced and _was_learnt(store, key, parent, day):
        return _nothing(key, parent, f"{key} is trained already")
    if not forced and _is_itself(store, parent, key):
        return _nothing(
            key,
            parent,
            f"{key} is the promoted version and has learnt {day} from other data, which is not "
            f"unlearnt; `dupn backfill --day {day}` makes again what rests on the data",
        )
    if not forced and (why := decided.trained_anew(store, registry, parent, key)):
        return _nothing(key, parent, why)
    _require_another(store, parent, key, day)
    if not forced and (why := decided.overtaken(registry, key, parent, day)):
        return _nothing(key if decided.withdrawn(store, registry, key) else "", parent, why)
    _require_learnable(settings, parent, day, forced)
    _require_same_network(settings, parent)
    plan, left_out, findings = _plan(settings, parent, day, forced)
    skips = settings.update.abnormal is Abnormal.SKIP
    if day in findings and skips and not forced:
        return _nothing("", parent, f"{day} is abnormal and skipped", findings)
    tracker = TrainingTracker(settings)
    run = updates.prepared(
        store,
        plan,
        settings.train,
        settings.update,
        seed=settings.seed,
        run_name=key,
        tracker=tracker,
        facts={"abnormal": _plain(findings), "left_out": left_out},
    )
    over = decided.require_place(store, registry, run, forced=forced, again=settings.train.resume)
    noted = recorded(run, registry) if settings.train.resume else {}
    fitted = carry_out(run, settings.train.resume)
    if findings:
        tracker.client.set_tag(fitted.run_id, "abnormal", _sentences(findings))
    lost = newly_gone(store, key, parent, left_out)
    warned = {"warning": over} if over else {}
    return {**_summary(plan, fitted, left_out, findings), "lost": lost, **noted, **warned}


def promoted(settings: Settings, registry: Registry) -> Version:
    """The line's newest promoted version, which has a run key.

    Raises:
        RegistryError: there is none, or it does not say which run it is.
    """
    entries = registry.look()  # finish a move that was cut off, obey one that was made elsewhere
    for alias in ("champion", "challenger"):
        version = registry.version(alias)
        if version is not None and version.tags.get("line") == settings.line:
            if "run_key" not in version.tags:
                rival = alias == "challenger"
                raise RegistryError(
                    f"version {version.number} ({alias}) has no tag run_key: it was not registered "
                    f"by dupn. Promote a version that was: {by_version('N', rival=rival)}."
                )
            return version
    ours = any(one.tags.get("line") == settings.line for one in registry.versions())
    said = vacancy(entries, registry) if ours else ""
    first = f"Train and release the first one with `dupn --set line={settings.line} run initial`."
    raise RegistryError(
        f"no version of line {settings.line} is champion or challenger, so there is nothing to "
        f"update. {said or first}"
    )


def _parent(store: Store, registry: Registry, version: Version) -> Partition:
    """What the promoted version learnt."""
    key = version.tags["run_key"]
    found = checkpoints.final(store, key)
    said = replaced(store, key, version.run_id)
    if found.exists() and not said:
        return found
    remedy = instead(key, rival=is_rival(registry, version.tags["line"]))
    if said:
        raise RegistryError(f"version {version.number} is promoted, and {said} {remedy}")
    raise PartitionMissing(
        f"{found.key} is gone, the checkpoint of the promoted version, from which a night goes "
        f"on. {remedy}"
    )


def _require_another(store: Store, parent: Partition, key: str, day: date) -> None:
    if parent.key == checkpoints.final(store, key).key:
        raise TrainingError(
            f"{key} has learnt {day} already: it is the promoted version itself. To make the data "
            f"of the day again, and all that rests on it: `dupn backfill --day {day}`."
        )


def _is_itself(store: Store, parent: Partition, key: str) -> bool:
    """Whether a night is repeated whose candidate was promoted; a first training is no night."""
    return parent.key == checkpoints.final(store, key).key and "parent" in parent.manifest().lineage


def _was_learnt(store: Store, key: str, parent: Partition, day: date) -> bool:
    """Whether this very update has become the promoted version, or an ancestor of it."""
    own = checkpoints.final(store, key)
    if not own.exists():
        return False
    lineage = own.manifest().lineage
    if "parent" not in lineage or not Ancestry.of_lineage(parent.manifest().lineage).has(day):
        return False
    samples = store.partition("samples", day)
    if not samples.exists():  # swept since
        return False
    now = samples.manifest().content
    return all(part.digest == now for part in Ancestry.of_lineage(lineage).of(day))


def _require_learnable(settings: Settings, parent: Partition, day: date, forced: str) -> None:
    """The day is new to the parent, which is known without its samples, there, and sound."""
    # Without its line the command would update the champion's.
    line = f"--set line={settings.line} " if "line" in settings.model_fields_set else ""
    command = f"dupn {line}update"
    if not forced:
        updates.require_unlearnt(parent, day, command)
    settings.store.partition("samples", day).require()
    _require_quality(settings.store, day, forced, command)


def _require_quality(store: Store, day: date, forced: str, command: str) -> None:
    objections = judged.objections(store, day)
    if objections and not forced:
        failed = [group for group in judged.GROUPS if not judged.passed(store, day, group)]
        again = f"run `dupn quality --of {failed[0]} --day {day}` again" if failed else ""
        if judged.is_left_out(store, day):
            again = f"run {remedies.backfill(day)}: once it passes it is left out no more"
            if remedies.lacking(store, [day]):
                again = f"{again} (it reads raw/dt={day}/behaviors, which has to be there again)"
        raise QualityFailed(
            f"{day}: {objections}; nothing is learnt from the day. "
            f"Mend it and {again}, or say why it is "
            f'learnt all the same: `{command} --day {day} --force --why "..."`.'
        )


def _require_same_network(settings: Settings, parent: Partition) -> None:
    recipe = Recipe.of_plain(parent.manifest().lineage["recipe"])
    was, now = flatten(recipe.model.model_dump()), flatten(settings.model.model_dump())
    others = [
        f"model.{name} was {was.get(name)} and is {now[name]}"
        for name in sorted(now)
        if was.get(name) != now[name]
    ]
    if others:
        raise TrainingError(
            f"{run_key.of_checkpoint(parent.key)} is another network: {'; '.join(others)}. "
            "An update cannot change the network. "
            f"Restore {'these' if len(others) > 1 else 'the setting'}, or give the new one a "
            "line of its own (--set line=NAME) and `dupn train` it."
        )


def _plan(
    settings: Settings, parent: Partition, day: date, forced: str
) -> tuple[Plan, dict[str, str], dict[date, tuple[Finding, ...]]]:
    """What to learn; what is left out and why; what is abnormal."""
    store, config = settings.store, settings.update
    now = store.resolved()  # each day that waits asks for those before it
    waiting = Ancestry.of_lineage(parent.manifest().lineage).waiting(day)
    left_out = {part.day: why for part in waiting if (why := _reason(now, part))}
    left_out.pop(day, None)  # judged before
    usable = {part.day for part in waiting if part.day not in left_out} | {day}
    tally = cache(partial(_tally, now))
    found = {one: examined(now, config, one, tally) for one in sorted(usable)}
    findings = {one: them for one, them in found.items() if them}
    if config.abnormal is Abnormal.SKIP:
        for one in findings.keys() - {day}:
            usable.discard(one)
            left_out[one] = "abnormal"
    light = config.abnormal is Abnormal.DOWN_WEIGHT
    weights = dict.fromkeys(findings, config.abnormal_weight) if light else {}
    made = updates.plan(store, parent, day, config, days=usable, weights=weights, forced=forced)
    return made, {one.isoformat(): why for one, why in sorted(left_out.items())}, findings


def _reason(store: Store, part: Part) -> str:
    """Why a part that waits cannot be learnt tonight; empty if it can."""
    if not readable(store, part.day):
        return UNPUBLISHED
    return judged.objections(store, part.day)


def examined(
    store: Store, config: UpdateConfig, day: date, tally: Callable[[date], Mapping[str, float]]
) -> tuple[Finding, ...]:
    """In what a day is unlike the days before it that passed quality.

    Args:
        store: says which passed.
        config: how many are asked, and what is unlike.
        day: the day.
        tally: what quality counted of a day.
    """
    today = tally(day)
    before: list[Mapping[str, float]] = []
    for back in range(1, 2 * config.abnormal_days + 1):
        one = day - timedelta(days=back)
        if len(before) < config.abnormal_days and not judged.objections(store, one):
            before.append(tally(one))
    found = abnormal.judge(
        today,
        before,
        volume_ratio=config.abnormal_volume_ratio,
        mix_distance=config.abnormal_mix_distance,
    )
    for finding in found:
        logger.warning("%s is abnormal: %s", day, finding.sentence)
    return found


def _tally(store: Store, day: date) -> dict[str, float]:
    """What quality counted of a day's events and samples."""
    tally: dict[str, float] = {}
    for of in judged.GROUPS:
        partition = store.partition("quality", day, of)
        if partition.exists():
            tally |= measuring.read(partition)
    return tally


def _nothing(
    key: str,
    parent: Partition,
    why: str,
    findings: Mapping[date, Sequence[Finding]] | None = None,
) -> Mapping[str, Any]:
    logger.info("%s: nothing to do", why)
    return {
        "run": key,
        "parent": run_key.of_checkpoint(parent.key),
        "outcome": (Learnt.FINISHED_BEFORE if key else Learnt.SKIPPED).value,
        "why": why,
        "abnormal": _sentences(findings or {}),
    }


def _summary(
    plan: Plan,
    fitted: Fitted,
    left_out: Mapping[str, str],
    findings: Mapping[date, Sequence[Finding]],
) -> Mapping[str, Any]:
    return {
        "run": fitted.run_name,
        "parent": plan.parent_key,
        "outcome": Learnt.TRAINED.value,
        "mlflow_run": fitted.run_id,
        "moments": plan.moments,
        "parts": [f"{part.day} {part.share} {part.moments}" for part in plan.parts],
        "left_out": dict(left_out),
        "abnormal": _sentences(findings),
        "seconds": round(fitted.seconds, 1),
        "moments_per_s": round(fitted.moments_per_s, 1),
        **{name: round(value, 5) for name, value in fitted.metrics.items()},
    }


def _sentences(findings: Mapping[date, Sequence[Finding]]) -> str:
    return " ".join(f"{day}: {one.sentence}" for day, found in findings.items() for one in found)


def _plain(findings: Mapping[date, Sequence[Finding]]) -> dict[str, Any]:
    return {day.isoformat(): [asdict(one) for one in found] for day, found in findings.items()}
