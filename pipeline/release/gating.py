"""From a judged candidate to one that may be promoted, and whether the champion answers.

bundle -> gate -> canary -> (`pipeline.release.promotion`) -> check. Each step takes the
candidate's run key, keeps what it found under `bundles/<run key>` or `reports/gate/<run key>.json`,
and may be run again.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from evaluation import compatibility, filed, predictions, weighed
from evaluation import gate as gating
from evaluation import report as pages
from evaluation.gate import Check, Evidence, Verdict
from evaluation.results import OfflineReport
from features.raw.dataset import load as load_dataset
from infra.errors import DupnError, PartitionCorrupt, PartitionMissing, RegistryError
from infra.mlflow_client import answering
from infra.record import reading
from infra.registry import MODEL, Registry, Version
from infra.scratch import scratch_folder
from infra.store import Partition
from infra.tracking import tracking_uri
from pipeline.learn import learning
from pipeline.learn.learning import Candidate
from pipeline.quality import judged
from pipeline.release import bundling, moved_away, recording, verdicts
from pipeline.release.fresh_process import heard
from pipeline.release.incumbent import registry_of, role, vacancy
from pipeline.settings import Settings
from serving import bundle as bundles
from training import checkpoint as checkpoints

logger = logging.getLogger(__name__)

UNPACKED = "The gate does not let the candidate pass, so nothing was packed: it says why."


def bundle(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Pack the candidate with the tables of the day and log it to its MLflow run.

    Of a day that has nothing to record, only the gate's own answer is left, if it is a no.

    Raises:
        PartitionMissing: there is nothing to record, and the gate would let the candidate pass.
    """
    from serving import pyfunc

    store = settings.store
    mine = learning.askable(settings, day, run)
    final = checkpoints.final(store, mine.key)
    weights, model = final.stamp(), checkpoints.load_model(final)
    zone = load_dataset(settings.dataset).time_zone
    report = report_on(settings, mine, day)
    answered = predictions.load(learning.answers(store, mine.key))
    recorded = recording.record(store, day, zone, answered, settings.canary.requests)
    if not recorded:
        more = moved_away.checks(registry_of(settings), mine)
        if _decide(settings, day, mine, report, more).promoted:
            raise recording.missing(day)
        return {"run": mine.key, "recorded": 0, "note": f"{recording.missing(day)} {UNPACKED}"}
    registry = registry_of(settings)  # also points MLflow at the tracking server
    run_id = _run_id(mine, registry)
    place = _place(settings, mine)
    with scratch_folder() as scratch:
        folder = scratch / "bundle"
        bundles.write(folder, model, store, day, key=mine.key, zone=zone)
        (folder / bundles.RECORDED).write_text(json.dumps(recorded))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        lineage = {"run": mine.key, "run_id": run_id, "day": day.isoformat()}
        lineage["digest"] = bundles.digest(folder)
        uri = _logged(place, registry, lineage)
        known = place.manifest().lineage.get("weights") if uri else None
        if not uri:
            with answering(tracking_uri(settings.tracking, store)):
                asked = recorded[0]["question"]
                uri = pyfunc.log(folder, run_id, asked, lineage["digest"])
        if known != weights:
            with place.publish(model_uri=uri, weights=weights, **lineage) as out:
                content = json.dumps(recorded).encode()
                out.record([out.write_bytes(bundles.RECORDED, content, rows=len(recorded))])
    return {"run": mine.key, "model_uri": uri, "bytes": size, "recorded": len(recorded)}


def _logged(place: Partition, registry: Registry, lineage: Mapping[str, str]) -> str:
    """The address of the model if this very bundle was logged before: a rerun adds no twin."""
    if not place.exists():
        return ""
    try:
        known = place.manifest().lineage
    except PartitionCorrupt:  # MLflow is asked for the model by its digest instead
        return ""
    same = all(known.get(name) == value for name, value in lineage.items())
    return known["model_uri"] if same and registry.holds(known["model_uri"]) else ""


def gate(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Decide on the report; the verdict is kept beside it and in the MLflow run.

    Who was champion and was moved away from is not let pass: a person has decided since. So the
    night of a version that was rolled back ends when it is run again, and that of a line which an
    experiment retired meanwhile. One that was trained anew by force since is another model, and is
    judged.
    """
    mine = learning.askable(settings, day, run)
    of = judged_of(settings, mine, day)
    report = report_on(settings, mine, day)
    registry = registry_of(settings)
    if mine.run_id:
        learning.require_recorded(mine, registry)
    verdict = _decide(settings, day, mine, report, moved_away.checks(registry, mine))
    figures = weighed.figures(report, settings.gate)
    content = {
        "run": mine.key,
        "day": day.isoformat(),
        "champion": report.champion,
        "role": role(registry, report.champion, mine.line),
        **of,
        "outcome": str(verdict.outcome),
        "promoted": verdict.promoted,
        "failed": list(verdict.failed),
        "checks": [check.model_dump() for check in verdict.checks],
        "figures": [figure.model_dump() for figure in figures],
    }
    settings.store.put(verdicts.key(mine.key), json.dumps(content, indent=1))
    page = pages.add_verdict(settings.store, report, verdict)
    client = registry.client
    if mine.run_id:
        client.log_text(mine.run_id, page, "report/report.html")
        client.log_text(mine.run_id, json.dumps(content, indent=1), "report/gate.json")
        client.set_tag(mine.run_id, "gate", str(verdict.outcome))
        for one in figures:
            if one.value is not None and one.name not in report.metrics:  # those are there already
                client.log_metric(mine.run_id, one.name, one.value)
    logger.info("gate %s: %s", mine.key, " ".join([f"{verdict.outcome}.", *verdict.failed]))
    return content


def judged_of(settings: Settings, mine: Candidate, day: date) -> dict[str, str]:
    """What a verdict is about: digests of the report and of the weights that are there now.

    A key that nobody has registered may be trained and evaluated again, with other settings.
    """
    report = kept(settings, filed.report(mine.key), mine, day)
    digest = hashlib.sha256(report).hexdigest()[:16]
    final = checkpoints.final(settings.store, mine.key)
    return {"report_digest": digest, "weights_digest": final.stamp()}


def _decide(
    settings: Settings,
    day: date,
    mine: Candidate,
    report: OfflineReport,
    more: Sequence[Check] = (),
) -> Verdict:
    return gating.decide(
        replace(report.evidence, untrained=mine.untrained),
        _champion(settings, report.champion),
        report.comparison,
        _quality_failures(settings, mine, day),
        settings.gate,
        [*_forced(mine, day), *_frozen(settings, report), *more],
    )


def _champion(settings: Settings, key: str) -> Evidence | None:
    """Of the model that the report holds the candidate against: what it was not trained for."""
    if not key:
        return None
    there = checkpoints.final(settings.store, key).exists()
    untrained = learning.of_run(settings.store, key).untrained if there else frozenset()
    return Evidence({}, 0, 0, 0, untrained=untrained)


def _frozen(settings: Settings, report: OfflineReport) -> list[Check]:
    """Heads that others froze on the champion's representation."""
    found = report.compatibility
    return [] if found is None else compatibility.checks(found, settings.compatibility)


def _quality_failures(settings: Settings, mine: Candidate, day: date) -> list[str]:
    """A sentence for every day that tonight's training or the evaluation read and should not."""
    unforced = {part.day for part in mine.learnt if not part.forced}
    return [
        f"{of} of {one} {objection}."
        for of in judged.GROUPS
        for one in sorted(unforced | {day})
        if (objection := judged.objection(settings.store, one, of))
    ]


def _forced(mine: Candidate, day: date) -> list[Check]:
    """What somebody trained against a rule: said, and not judged."""
    return [
        Check(
            name="forced",
            passed=None,
            sentence=f"{part.day} was trained by force: {part.forced}",
        )
        for part in mine.learnt
        if part.forced and part.day != day
    ]


def canary(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """A fresh process loads the logged model and answers the recorded questions.

    Raises:
        RegistryError: it did not load, took too long, or answered otherwise than evaluation.
    """
    mine = learning.askable(settings, day, run)
    place = packed(settings, mine, day)
    return heard(
        settings,
        place.manifest().lineage["model_uri"],
        _recorded(place),
        "The model was not promoted; compare the code and tables of `dupn bundle` with those of "
        "`dupn evaluate`.",
    )


def check(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Whom `champion` names loads in a fresh process and answers what was recorded for it.

    A candidate of another line than the champion's stands as `challenger`, and is asked there.

    Raises:
        RegistryError: nobody is champion, or somebody whom dupn did not register, or whose logged
            model the store does not know; or it did not load, took too long, or answered otherwise
            than evaluation.
    """
    mine = learning.candidate(settings, day, run)
    report_on(settings, mine, day)
    registry = registry_of(settings)
    champion, rival = registry.champion(), registry.challenger()
    if champion is None:
        raise RegistryError(
            vacancy(registry.look(), registry)
            or "no version is champion. Run `dupn promote` first."
        )
    alias, asked = "champion", champion
    if rival is not None and rival.tags.get("run_key") == mine.key:
        alias, asked = "challenger", rival
    key = asked.tags.get("run_key")
    if not key:
        raise RegistryError(
            f"version {asked.number} ({alias}) was not registered by dupn, so no answers were "
            "recorded that it could be held against. `dupn log` lists the versions that were."
        )
    bundling.require_known(settings.store, asked)
    remedy = (
        "`dupn rollback --why ...` makes the version before champion again."
        if alias == "champion"
        else "The champion is as it was; take the alias away in MLflow, or release the line again."
    )
    told = heard(
        settings,
        f"models:/{MODEL}/{asked.number}",  # no alias: it may have moved since that was looked at
        _recorded_of(settings, registry, asked),
        f"Version {asked.number} is {alias} and answers wrongly now. {remedy}",
    )
    return {alias: asked.number, "run": key, **told}


def _recorded(place: Partition) -> bytes:
    with place.open(place.manifest().files[0]) as source:
        return source.read()


def _recorded_of(settings: Settings, registry: Registry, version: Version) -> bytes:
    """What was recorded for a version, also where its run was packed once more since then."""
    place = settings.store.partition("bundles", None, version.tags["run_key"])
    if place.exists() and place.manifest().lineage["model_uri"] == version.tags.get("model_uri"):
        return _recorded(place)
    with scratch_folder() as scratch:
        file = registry.download(version.number, f"{bundles.LOGGED}/{bundles.RECORDED}", scratch)
        return file.read_bytes()


def _place(settings: Settings, mine: Candidate) -> Partition:
    return settings.store.partition("bundles", None, mine.key)


def bundle_of(settings: Settings, mine: Candidate, day: date) -> Partition:
    """`bundles/<run key>` of the candidate, which must be there."""
    place = _place(settings, mine)
    if not place.exists():
        raise PartitionMissing(
            f"bundles/{mine.key} is not published. Run `dupn bundle --day {day} --run {mine.key}` "
            "first."
        )
    return place


def packed(settings: Settings, mine: Candidate, day: date) -> Partition:
    """The same, where the evaluation and the tables in it are of that very day."""
    place = bundle_of(settings, mine, day)
    report_on(settings, mine, day)
    of = place.manifest().lineage["day"]
    if of != day.isoformat():
        raise PartitionMissing(
            f"bundles/{mine.key} has the tables of {of}, not of {day}. "
            f"Run `dupn bundle --day {day} --run {mine.key}` first."
        )
    return place


def report_on(settings: Settings, mine: Candidate, day: date) -> OfflineReport:
    """What evaluation found on that very day.

    Raises:
        PartitionMissing: it was evaluated on another, or on none.
    """
    key = filed.report(mine.key)
    content = kept(settings, key, mine, day)
    with reading(key, f"Run `dupn evaluate --day {day} --run {mine.key}` again."):
        report = OfflineReport.model_validate_json(content)
    if report.day != day.isoformat():
        raise PartitionMissing(
            f"{mine.key} was evaluated on {report.day}, not on {day}. "
            f"Run `dupn evaluate --day {day} --run {mine.key}` first."
        )
    return report


def kept(settings: Settings, key: str, mine: Candidate, day: date) -> bytes:
    """What a step before this one put under a key for the candidate, which must be there."""
    content = settings.store.get(key)
    if content is None:
        step = "gate" if key == verdicts.key(mine.key) else "evaluate"
        again = f"`dupn {step} --day {day} --run {mine.key}`"
        raise PartitionMissing(f"{key} is not there. Run {again} first.")
    return content


def _run_id(mine: Candidate, registry: Registry) -> str:
    if not mine.run_id:
        raise DupnError(
            f"checkpoints/{mine.key} was trained without MLflow, so there is no run to log to. "
            "Train it again with tracking."
        )
    learning.require_recorded(mine, registry)
    return mine.run_id
