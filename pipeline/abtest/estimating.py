"""What an experiment's own statistics say of a living world: its raw log, read out and looked at.

The very job and the very look of a registered experiment (`pipeline.jobs.readout`,
`evaluation.abtest`), on arms that nobody declared; nothing of the truth is known here.
"""

import hashlib
from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from evaluation.abtest.design import Design
from evaluation.abtest.readout import ReadOut, read_out
from evaluation.abtest.sufficient import READOUT
from evaluation.results import Figure
from features.abtest.readout import BEFORE
from features.abtest.traffic import Traffic
from features.raw.dataset import load as load_dataset
from pipeline.jobs import before, readout
from pipeline.jobs.readout import Asked
from pipeline.settings import Settings

BUDGET_MS = 100.0
METRICS = ("ctr", "sales", "orders", "price_precision")


def looks(settings: Settings, traffic: Traffic, days: Sequence[date]) -> dict[str, ReadOut]:
    """For each arm but the first, which is the control, the look at the end of the last day.

    Args:
        settings: of the home whose events hold the days.
        traffic: how users were split.
        days: of the experiment, without a gap; the pre-period is as long.
    """
    store, zone = settings.store, load_dataset(settings.dataset).time_zone
    design = Design(arms=traffic.shares, first_day=days[0], planned_days=len(days), metrics=METRICS)
    digest = hashlib.sha256(traffic.model_dump_json().encode()).hexdigest()[:12]
    asked = Asked(traffic=traffic, digest=digest, first_day=days[0], budget_ms=BUDGET_MS)
    window, beam = settings.sequences.window_ms, settings.beam
    before.run(store, asked, len(days), window, zone, beam)
    known = readout.place(store, traffic.experiment, "before").table(BEFORE.names)
    for day in days:
        readout.run(store, day, asked, window, zone, beam)
    rows = pa.concat_tables(
        readout.place(store, traffic.experiment, "readout", day).table(READOUT.names)
        for day in days
    )
    return {
        arm: read_out(rows, design, days[-1], treatment=arm, before=known)
        for arm in design.treatments
    }


def figures(seen: ReadOut) -> list[Figure]:
    """Uplift of each metric with its always-valid interval, as `ReadOut.figures` has it."""
    known = {effect.metric: effect for effect in seen.every}
    return [
        Figure(
            name=name,
            value=known[name].uplift.value,
            low=known[name].uplift.low,
            high=known[name].uplift.high,
            unit="ratio",
            protocol=f"{seen.treatment} over {seen.control} minus 1, estimated from the log of one "
            f"world, day {seen.number}; always-valid interval{known[name].uplift.at_level}",
        )
        for name in METRICS
        if name in known
    ]
