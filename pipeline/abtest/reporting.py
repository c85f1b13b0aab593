"""`dupn abtest report`: the page of a day of an experiment, logged to MLflow.

Looks of the days before are read as they were kept; a day without one is looked at now, and so is
one up to which something was read out again since its verdict. Every experiment has one MLflow run,
named by its id, under the project's experiment; figures are logged with the number of the day as
their step.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluation.abtest import price_levels, report, summary
from evaluation.abtest.experiment import Experiment
from evaluation.abtest.sufficient import READOUT
from evaluation.abtest.summary import AbtestReport
from features.abtest import readout
from infra.scratch import scratch_folder
from infra.store import Partition, Store
from infra.tracking import MlflowTracker
from pipeline.abtest import experiments, looks, verdicts
from pipeline.abtest.experiments import Registered
from pipeline.jobs.readout import is_without_pages
from pipeline.settings import Settings

logger = logging.getLogger(__name__)


def write(settings: Settings, experiment: str, day: date) -> Mapping[str, Any]:
    """Put `reports/abtest/<id>/dt=D/report.{json,html}` in the store and log them.

    Raises:
        PartitionMissing: a day up to then was not read out.
    """
    store = settings.store
    mine = experiments.find(store, experiment)
    whole = made(settings, mine, day)
    folder = verdicts.folder(store, experiment, day)
    address = report.write(store, folder, whole)
    logged = f"report/{folder.rpartition('/')[2]}"  # every day keeps its own
    run = _log(settings, whole, folder, logged)
    logger.info("%s on %s: %s", experiment, day, address)
    return {
        "id": experiment,
        "day": day.isoformat(),
        "outcome": whole.outcome,
        "report": address,
        "mlflow_run": run,
        "mlflow_page": f"{logged}/report.html",
        "figures": [figure.model_dump() for figure in whole.figures],
    }


def made(settings: Settings, found: Registered, day: date) -> AbtestReport:
    """The report of a day, as a record."""
    store, experiment = settings.store, found.experiment
    told = verdicts.verdict(settings, experiment.id, day)
    parts = looks.read(store, experiment, day)
    rows = looks.together(parts["readout"], READOUT)
    bought = looks.together(parts["readout"], _only(readout.READOUT, price_levels.COLUMNS))
    days = [experiment.first_day + timedelta(n) for n in range(experiment.day_number(day))]
    now = store.resolved()  # each day asks for the stamps of all before it
    kept = [verdicts.look_of_now(now, experiment, one) for one in days]
    seen = [one or looks.look(settings, experiment, at) for at, one in zip(days, kept, strict=True)]
    whole = AbtestReport(
        id=experiment.id,
        day=day.isoformat(),
        digest=experiment.digest(),
        declared=_declared(experiment),
        outcome=told["outcome"],
        reasons=tuple(told["reasons"]),
        concluded=concluded(found.ended) if found.ended else "",
        look=seen[-1],
        looks=tuple(seen),
        table=summary.table(rows, experiment, day),
        levels=price_levels.of_arms(bought, tuple(experiment.arms)),
        answered=_answered(parts["hours"]),
        lineage=_lineage(settings, parts["readout"], found.at),
    )
    return whole.model_copy(update={"figures": summary.figures(whole)})


def concluded(ended: Mapping[str, Any]) -> str:
    """How an experiment ended: by the verdict of a day, or by a person."""
    when = f" on {ended['at'][:10]}" if "at" in ended else ""
    how = (
        f"by the verdict on {ended['day']}" if ended["day"] else f"by hand{when}, without a verdict"
    )
    return f"Concluded {how}: {ended['outcome']}. {' '.join(ended['reasons'])}"


def _answered(hours: list[Partition]) -> dict[str, dict[str, int]]:
    table = looks.together(hours, _only(readout.HOURS, ("arm", "model_version", "requests")))
    grouped = table.group_by(["arm", "model_version"], use_threads=False)
    rows = grouped.aggregate([("requests", "sum")]).sort_by(
        [("arm", "ascending"), ("model_version", "ascending")]
    )
    found: dict[str, dict[str, int]] = {}
    for row in rows.to_pylist():  # an arm and a version each
        version = row["model_version"] or "not logged"
        found.setdefault(row["arm"], {})[version] = row["requests_sum"]
    return found


def _only(schema: pa.Schema, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in columns])


def _declared(experiment: Experiment) -> dict[str, str]:
    rule = experiment.rule
    guards = ", ".join(f"{name} -{100 * drop:g}%" for name, drop in rule.guardrails.items())
    return {
        "Arms": ", ".join(f"{arm} {100 * share:g}%" for arm, share in experiment.arms.items()),
        "Salt": experiment.traffic.salt,
        "Days": f"{experiment.first_day} to {experiment.last_day} ({experiment.planned_days})",
        "Before": f"{experiment.before_days} days",
        "Decides": f"{rule.primary}, ships above +{100 * rule.ship_above:g}%",
        "Minimum effect": f"+{100 * rule.minimum_effect:g}%",
        "Guardrails": guards or "none",
        "Errors, slow pages": f"+{100 * rule.max_error_rise:g}%, "
        f"+{100 * rule.max_slow_rise:g}% over {experiment.latency_budget_ms:g} ms",
        "Error rate": f"{100 * rule.alpha:g} % over all looks",
        "A person is asked": "yes" if experiment.approval else "no",
    }


def _lineage(settings: Settings, days: list[Partition], registered: str) -> dict[str, str]:
    below = sum(one.manifest().counts.get("orders_below_zero", 0) for one in days)
    lost = [one.key[-10:] for one in days if is_without_pages(one)]
    return {
        "Data set": settings.dataset,
        "Registered": registered,
        "Read-outs": ", ".join(f"{one.key[-10:]} {one.stamp()}" for one in days),
        **({"Without sales": f"{below:,} orders of a price below zero"} if below else {}),
        **({"Without pages": f"{', '.join(lost)}: those of all arms are lost"} if lost else {}),
    }


def _log(settings: Settings, whole: AbtestReport, folder: str, logged: str) -> str:
    """Figures at the day's step; JSON, page and pictures in a folder of the run."""
    store: Store = settings.store
    tracker = MlflowTracker(settings.tracking, store)
    known = store.get(f"{folder.rpartition('/')[0]}/mlflow_run")
    run = tracker.start(f"abtest-{whole.id}", known.decode() if known else None)
    store.put(f"{folder.rpartition('/')[0]}/mlflow_run", run)
    tracker.metrics(whole.metrics, whole.look.number)
    with scratch_folder() as scratch:
        for name in store.names(folder):
            if Path(name).suffix in (".html", ".json", ".png"):
                (scratch / name).write_bytes(store.get(f"{folder}/{name}") or b"")
        tracker.file(scratch, logged)
    tracker.end()
    return run
