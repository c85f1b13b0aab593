"""What `dupn abtest` works on: the A/A study and plans of experiments, kept as reports.

Statistics are `evaluation.abtest`; here is only where the reports go.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from evaluation import filed
from evaluation.abtest import aa_study, power
from evaluation.results import Figure
from infra.progress import track
from pipeline.settings import Settings


def aa(settings: Settings, experiments: int, *, quick: bool) -> Mapping[str, Any]:
    """Simulated experiments in which the truth is known; the report.

    Args:
        settings: where the report goes, and the seed.
        experiments: A/A experiments.
        quick: a size that only shows that it runs, reported under `aa-quick`.
    """
    shape = aa_study.QUICK if quick else replace(aa_study.Shape(), experiments=experiments)
    started = time.perf_counter()
    with track("abtest aa", total=shape.total, unit="experiments") as progress:
        figures = aa_study.run(shape, settings.seed, advance=progress.advance)
    report = {
        "study": "abtest aa",
        "quick": quick,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - started, 1),
        "world": asdict(shape.world),
        "figures": [figure.model_dump() for figure in figures],
    }
    key = "aa-quick" if quick else "aa"
    settings.store.put(f"{filed.EXPERIMENTS}/{key}.json", json.dumps(report, indent=1))
    return {name: value for name, value in report.items() if name != "world"}


def plan(traffic: power.Traffic, wanted: power.Wanted) -> Mapping[str, Any]:
    """What the traffic can answer, as a sentence and as figures."""
    found = power.plan(traffic, wanted)
    asked = f"{wanted.effect:+.2%}, power {wanted.power:.0%}"
    planned = f"{asked}, {wanted.days} days"
    enough = f"{asked}, in the length that would do, were it planned"

    def figure(
        name: str, value: float | None, unit: str, protocol: str = planned
    ) -> dict[str, Any]:
        return Figure(
            name=f"abtest_plan_{name}", value=value, unit=unit, protocol=protocol
        ).model_dump()

    figures = [figure("error", found.planned_error, "ratio")]
    for kind, answer in (("always", found.always), ("once", found.fixed)):
        figures += [
            figure(f"{kind}_power", answer.power, "share"),
            figure(f"{kind}_detectable", answer.detectable, "ratio"),
            figure(f"{kind}_users", answer.users, "users", enough),
            figure(f"{kind}_days", answer.days, "days", enough),
        ]
    return {"answer": found.sentence, "answers": found.answers, "figures": figures}
