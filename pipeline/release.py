"""From a judged candidate to a champion that answers.

bundle -> gate -> canary -> register -> promote -> check. Each step finds the candidate by the
evaluated day, keeps what it found under `bundles/<run key>` or `reports/gate/<run key>.json`, and
may be run again: a model is registered once and promoted once.
"""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from evaluation import gate as gating
from evaluation import predictions
from evaluation.gate import Comparison, Evidence, Verdict
from features.dataset import load as load_dataset
from infra.errors import DupnError, PartitionMissing, RegistryError, RegistryUnavailable
from infra.mlflow_client import answering
from infra.registry import MODEL, Registry
from infra.store import Partition
from infra.tracking import tracking_uri
from pipeline import learning, quality, recording
from pipeline.learning import Candidate
from pipeline.settings import Settings
from serving import bundle as bundles
from serving import canary as canary_script
from training import checkpoint as checkpoints

logger = logging.getLogger(__name__)

RECORDED = "recorded.json"


def bundle(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Pack the candidate with the tables of the day and log it to its MLflow run."""
    from serving import pyfunc

    store = settings.store
    mine = learning.candidate(settings, day, run)
    model = checkpoints.load_model(checkpoints.final(store, mine.key))
    zone = load_dataset(settings.dataset).time_zone
    _report(settings, mine, day)
    answered = predictions.load(learning.answers(store, mine.key))
    recorded = recording.record(store, day, zone, answered, settings.canary.requests)
    if not recorded:
        raise PartitionMissing(
            f"samples/dt={day} has no moment with candidates to record. "
            "Evaluate on a day with clicks."
        )
    registry = _registry(settings)  # also points MLflow at the tracking server
    run_id = _run_id(settings, mine, registry)
    place = _place(settings, mine)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "bundle"
        bundles.write(folder, model, store, day, key=mine.key, zone=zone)
        (folder / RECORDED).write_text(json.dumps(recorded))
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        lineage = {"run": mine.key, "run_id": run_id, "day": day.isoformat()}
        lineage["digest"] = bundles.digest(folder)
        uri = _logged(place, registry, lineage)
        if not uri:
            with answering(tracking_uri(settings.tracking, store)):
                uri = pyfunc.log(folder, run_id, recorded[0]["question"])
            with place.publish(model_uri=uri, **lineage) as out:
                content = json.dumps(recorded).encode()
                out.record([out.write_bytes(RECORDED, content, rows=len(recorded))])
    return {"run": mine.key, "model_uri": uri, "bytes": size, "recorded": len(recorded)}


def _logged(place: Partition, registry: Registry, lineage: Mapping[str, str]) -> str:
    """The address of the model if this very bundle was logged before: a rerun adds no twin."""
    if not place.exists():
        return ""
    known = place.manifest().lineage
    same = all(known.get(name) == value for name, value in lineage.items())
    return known["model_uri"] if same and registry.holds(known["model_uri"]) else ""


def gate(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Decide on the report; the verdict is kept beside it and in the MLflow run."""
    mine = learning.candidate(settings, day, run)
    verdict = _decide(settings, day, mine)
    content = {
        "run": mine.key,
        "day": day.isoformat(),
        "outcome": str(verdict.outcome),
        "promoted": verdict.promoted,
        "failed": list(verdict.failed),
        "checks": [check.model_dump() for check in verdict.checks],
    }
    settings.store.put(f"reports/gate/{mine.key}.json", json.dumps(content, indent=1))
    client = _registry(settings).client
    if mine.run_id:
        client.log_text(mine.run_id, json.dumps(content, indent=1), "report/gate.json")
        client.set_tag(mine.run_id, "gate", str(verdict.outcome))
    logger.info("gate %s: %s. %s", mine.key, verdict.outcome, " ".join(verdict.failed))
    return content


def _decide(settings: Settings, day: date, mine: Candidate) -> Verdict:
    store = settings.store
    report = _report(settings, mine, day)
    beside = json.loads(_kept(settings, f"reports/offline/{mine.key}/comparison.json", day))
    figures = {figure["name"]: figure["value"] for figure in report["figures"]}
    counts = report["counts"]
    candidate = Evidence(figures, counts["clicks"], counts["users"])
    compared = Comparison.model_validate(beside["comparison"]) if beside["comparison"] else None
    failed = [
        f"{of} of {one} did not pass quality."
        for of in ("events", "samples")
        for one in (*mine.days, day)
        if not quality.passed(store, one, of)
    ]
    champion = Evidence({}, 0, 0) if beside["champion"] else None
    return gating.decide(candidate, champion, compared, failed, settings.gate)


def canary(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """A fresh process loads the logged model and answers the recorded questions.

    Raises:
        RegistryError: it did not load, took too long, or answered otherwise than evaluation.
    """
    mine = learning.candidate(settings, day, run)
    place = _bundle_of(settings, mine, day)
    uri = place.manifest().lineage["model_uri"]
    heard = _ask(settings, uri, place)
    if not heard["worst"] <= settings.canary.tolerance:
        raise RegistryError(
            f"the canary heard other scores than evaluation computed: {heard['where']} differs by "
            f"{heard['worst']:.3g} (allowed {settings.canary.tolerance:g}). The model was not "
            "promoted; compare the code and tables of `dupn bundle` with those of `dupn evaluate`."
        )
    return heard


def register(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Enter the logged model in the registry; a model is entered once."""
    mine = learning.candidate(settings, day, run)
    lineage = _bundle_of(settings, mine, day).manifest().lineage
    tags = {
        "run_key": mine.key,
        "line": settings.line,
        "trained_on": f"{mine.days[0]}..{mine.days[-1]}",
        "evaluated_on": day.isoformat(),
        "report": settings.store.address("reports", "offline", mine.key, "report.html"),
    }
    version = _registry(settings).register(lineage["model_uri"], lineage["run_id"], tags)
    return {"model": MODEL, "version": version.number, **tags}


def promote(
    settings: Settings, day: date, version: str = "", why: str = "", run: str = ""
) -> Mapping[str, Any]:
    """Move `champion`; without a version, to the one registered for the evaluated day."""
    if not version:
        _require_passed(settings, day, run)
        registered = register(settings, day, run)
        version = registered["version"]
        why = why or f"{registered['run_key']} passed the gate on {day}"
    entry = _registry(settings).promote(version, why or "promoted by hand")
    return {"champion": entry.aliases["champion"], "why": entry.why, "ledger": entry.number}


def _require_passed(settings: Settings, day: date, run: str) -> None:
    mine = learning.candidate(settings, day, run)
    verdict = json.loads(_kept(settings, f"reports/gate/{mine.key}.json", day))
    if verdict["day"] != day.isoformat():
        raise PartitionMissing(
            f"the gate judged {mine.key} on {verdict['day']}, not on {day}. "
            f"Run `dupn gate --day {day}` first."
        )
    if not verdict["promoted"]:
        raise RegistryError(
            f"the gate did not let {mine.key} pass ({verdict['outcome']}): "
            + " ".join(verdict["failed"])
            + " To promote it all the same, name it: `dupn promote --version N --why ...`."
        )


def rollback(settings: Settings, why: str) -> Mapping[str, Any]:
    """Make the previous champion champion again."""
    entry = _registry(settings).rollback(why)
    return {"champion": entry.aliases["champion"], "why": entry.why, "ledger": entry.number}


def check(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """`models:/dupn@champion` loads in a fresh process and answers the recorded questions."""
    mine = learning.candidate(settings, day, run)
    heard = _ask(settings, f"models:/{MODEL}@champion", _bundle_of(settings, mine, day))
    champion = _registry(settings).version("champion")
    if champion is None:
        raise RegistryError("no version is champion. Run `dupn promote` first.")
    return {"champion": champion.number, "run": champion.tags.get("run_key", ""), **heard}


def status(settings: Settings) -> Mapping[str, Any]:
    """What is published, who is champion, where the reports are."""
    store, registry = settings.store, _registry(settings)
    entries = registry.look()
    stages = ("raw", "events", "samples")
    days = {stage: store.days(stage, *_LEAF[stage]) for stage in stages}
    reports = store.names("reports/offline")
    return {
        "home": store.root,
        **{
            f"{stage} days": f"{found[0]} to {found[-1]} ({len(found)})" if found else "none"
            for stage, found in days.items()
        },
        "aliases": registry.aliases() or "none",
        "last move": f"{entries[-1].at} {entries[-1].why}" if entries else "none",
        "reports": [store.address("reports", "offline", name) for name in reports] or "none",
    }


def log(settings: Settings) -> list[Mapping[str, Any]]:
    """Every move of an alias, oldest first, with the data that the champion was trained on."""
    return [
        {
            "number": entry.number,
            "at": entry.at,
            "action": entry.action,
            "aliases": dict(entry.aliases),
            "trained_on": entry.facts.get("trained_on", ""),
            "why": entry.why,
            "who": entry.who,
        }
        for entry in _registry(settings).look()
    ]


_LEAF = {"raw": ("behaviors",), "events": ("behaviors",), "samples": ()}


def _ask(settings: Settings, uri: str, place: Partition) -> Mapping[str, Any]:
    with place.open(place.manifest().files[0]) as source, tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / RECORDED
        file.write_bytes(source.read())
        # As a script (-P: its folder is not searched), so that the model brings its own code.
        command = [sys.executable, "-P", str(canary_script.__file__), uri, str(file)]
        command.append(tracking_uri(settings.tracking, settings.store))
        limit = settings.canary.timeout_s
        try:
            done = subprocess.run(  # our own interpreter and module
                command, capture_output=True, text=True, timeout=limit, check=True, cwd=scratch
            )
        except subprocess.TimeoutExpired:
            raise RegistryError(
                f"{uri} did not load and answer within {limit:g} s (canary.timeout_s)."
            ) from None
        except subprocess.CalledProcessError as error:
            last = error.stderr.strip().splitlines()[-1:] or ["no message"]
            raise RegistryUnavailable(
                f"{uri} did not answer in a fresh process: {last[0]}"
            ) from None
    heard: Mapping[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return heard


def _registry(settings: Settings) -> Registry:
    return Registry(tracking_uri(settings.tracking, settings.store), settings.store)


def _place(settings: Settings, mine: Candidate) -> Partition:
    return settings.store.partition("bundles", None, mine.key)


def _bundle_of(settings: Settings, mine: Candidate, day: date) -> Partition:
    place = _place(settings, mine)
    if not place.exists():
        raise PartitionMissing(
            f"bundles/{mine.key} is not published. Run `dupn bundle --day {day}` first."
        )
    return place


def _report(settings: Settings, mine: Candidate, day: date) -> Mapping[str, Any]:
    """What evaluation found on that very day."""
    report: Mapping[str, Any] = json.loads(
        _kept(settings, f"reports/offline/{mine.key}/report.json", day)
    )
    if report["day"] != day.isoformat():
        raise PartitionMissing(
            f"{mine.key} was evaluated on {report['day']}, not on {day}. "
            f"Run `dupn evaluate --day {day}` first."
        )
    return report


def _kept(settings: Settings, key: str, day: date) -> bytes:
    content = settings.store.get(key)
    if content is None:
        step = "gate" if key.startswith("reports/gate") else "evaluate"
        raise PartitionMissing(f"{key} is not there. Run `dupn {step} --day {day}` first.")
    return content


def _run_id(settings: Settings, mine: Candidate, registry: Registry) -> str:
    if not mine.run_id:
        raise DupnError(
            f"checkpoints/{mine.key} was trained without MLflow, so there is no run to log to. "
            "Train it again with tracking."
        )
    registry.client.get_run(mine.run_id)
    return mine.run_id
