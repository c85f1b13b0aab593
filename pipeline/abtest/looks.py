"""A day of an experiment: read out by the job, and looked at by its statistics.

`readout` publishes `experiments/<id>/{readout,hours}/dt=D` (and, the first time, the pre-period);
`look` reads all days so far and says what is known at the end of one; `contradictions` has what the
counts of the job say about the log itself.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from evaluation.abtest import power
from evaluation.abtest.experiment import Experiment
from evaluation.abtest.health import HEALTH
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.readout import CAPPED, ReadOut, read_out
from evaluation.abtest.sufficient import READOUT
from features.abtest.readout import BEFORE
from features.carry import ONE_DAY
from features.raw.dataset import load as load_dataset
from infra.errors import ConfigError, PartitionMissing
from infra.store import Partition, Store, stamps
from pipeline.abtest import experiments
from pipeline.abtest.contradictions import broken
from pipeline.jobs import before as before_job
from pipeline.jobs import readout as job
from pipeline.jobs.readout import Asked, place
from pipeline.quality import judged
from pipeline.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What a log says of the users that are to come."""

    traffic: power.Traffic
    correlation: float
    """With the pre-period."""


def readout(settings: Settings, experiment: str, day: date) -> Mapping[str, Any]:
    """Read a day of an experiment out.

    Raises:
        ConfigError: there is no such experiment, or the day is not of it.
        PartitionMissing: what the day rests on is not published.
    """
    mine = experiments.find(settings.store, experiment).experiment
    require_day(mine, day)
    waited_for = settings.nightly.tables
    lost = bool(waited_for) and "impressions" not in waited_for
    asked = replace(asked_of(mine), without_pages=lost)
    zone, window = load_dataset(settings.dataset).time_zone, settings.sequences.window_ms
    known = place(settings.store, experiment, "before")
    if not _holds(known, asked, window, _before(settings.store, mine)):
        before_job.run(settings.store, asked, mine.before_days, window, zone, settings.beam)
    counts = job.run(settings.store, day, asked, window, zone, settings.beam)
    told = {"id": experiment, "day": day.isoformat(), **counts}
    if job.is_without_pages(place(settings.store, experiment, "readout", day)):
        told["note"] = (
            f"events/dt={day} has no impressions, for which nightly.tables does not wait: the day "
            f"is read out without its pages. If they come after all, `dupn backfill --day {day}` "
            "takes them in, and a look names the days to read out again."
        )
        logger.warning("%s", told["note"])
    return told


def look(settings: Settings, experiment: Experiment, day: date) -> ReadOut:
    """What is known at the end of a day of the experiment.

    Raises:
        PartitionMissing: a day up to then, or the pre-period, was not read out, or something that
            it rests on was made again since.
    """
    require_day(experiment, day)
    parts = read(settings.store, experiment, day)
    require_fresh(settings.store, experiment, parts["readout"])
    before = place(settings.store, experiment.id, "before").require()
    return read_out(
        together(parts["readout"], READOUT),
        experiment,
        day,
        before=together([before], pa.schema([BEFORE.field(name) for name in CAPPED])),
        hours=hours(parts["hours"]),
        broken=[*doubted(settings.store, experiment, day), *broken(parts["readout"], experiment)],
    )


def read(store: Store, experiment: Experiment, day: date) -> Mapping[str, list[Partition]]:
    """The read-outs and hours of all days up to one, oldest first.

    Raises:
        PartitionMissing: naming the first day that was not read out.
    """
    days = days_of(experiment, day)
    found: dict[str, list[Partition]] = {"readout": [], "hours": []}
    for one in days:
        for name, parts in found.items():
            part = place(store, experiment.id, name, one)
            if not part.exists():
                raise PartitionMissing(
                    f"{part.key} is not published. "
                    f"Run `dupn abtest readout --id {experiment.id} --day {one}` first."
                )
            parts.append(part)
    return found


def require_fresh(store: Store, experiment: Experiment, days: Sequence[Partition]) -> None:
    """Refuse read-outs of what is not published any more as they read it, or by another window.

    Raises:
        PartitionMissing: naming the first day that has to be read out again.
    """
    _require_one_window(experiment, days)
    before = place(store, experiment.id, "before")
    known = changed(before, _before(store, experiment)) if before.exists() else ""
    for one, part in zip(days_of(experiment, experiment.last_day), days, strict=False):
        other = known or changed(part, [*job.inputs(store, one), before])
        if other:
            raise PartitionMissing(
                f"{part.key} rests on {other} as it was before it was made again. "
                f"Run `dupn abtest readout --id {experiment.id} --day {one}` first."
            )


def _require_one_window(experiment: Experiment, days: Sequence[Partition]) -> None:
    """An action counts for its page, and a page on its day, by one attribution window on all days.

    A release that did not write down the window of a day says nothing of it.

    Raises:
        PartitionMissing: naming the first day that was read out by another one than the last.
    """
    windows: list[int] = [one.manifest().lineage.get("window_ms", 0) for one in days]
    newest, last = windows[-1], days[-1].key
    for part, then in zip(days, windows, strict=True):
        if then and newest and then != newest:
            raise PartitionMissing(
                f"{part.key} was read out with an attribution window of {then / 60_000:g} minutes "
                f"(sequences.window_minutes), {last} with {newest / 60_000:g}. Run `dupn abtest "
                f"readout --id {experiment.id} --day {part.key[-10:]}` first, and so for every "
                f"other such day. Or set it back, and read {last[-10:]} out again."
            )


def _holds(known: Partition, asked: Asked, window_ms: int, rests_on: Sequence[Partition]) -> bool:
    """Whether the pre-period is this experiment's, of what is published and of this window.

    One of an earlier release does not tell its window; of one that cannot be made again any has to
    do: what was known before the first exposure favours no arm, however it was counted.
    """
    if not known.exists():
        return False
    lineage = known.manifest().lineage
    if lineage["experiment"] != asked.digest or changed(known, rests_on):
        return False
    return lineage.get("window_ms", window_ms) == window_ms or _swept(known, rests_on)


def changed(made: Partition, rests_on: Sequence[Partition]) -> str:
    """The first thing that is published otherwise than it was read; "" if there is none.

    Nothing has changed for a partition of which something that it rests on was swept: what could
    not be made again has to do.
    """
    if _swept(made, rests_on):
        return ""
    then: Mapping[str, str] = made.manifest().lineage["inputs"]
    now = stamps(rests_on)
    return next((key for key, stamp in now.items() if then.get(key) != stamp), "")


def _swept(made: Partition, rests_on: Sequence[Partition]) -> bool:
    """Whether something that it was made of is there no more."""
    there = {one.key for one in rests_on if one.exists()}
    return bool(made.manifest().lineage["inputs"].keys() - there)


def _before(store: Store, experiment: Experiment) -> list[Partition]:
    """What the pre-period rests on."""
    return before_job.rests_on(
        store, before_job.span_of(experiment.first_day, experiment.before_days)
    )


def together(days: Sequence[Partition], schema: pa.Schema) -> pa.Table:
    """The rows of all days; a day on which no arm showed anything has no file, and so no rows."""
    rows = [one.table(schema.names) for one in days if one.manifest().files]
    return pa.concat_tables([schema.empty_table(), *rows])


def hours(days: Sequence[Partition]) -> pa.Table:
    """The hours of all days; one read out before `reported` was counted says nothing of failures.

    An experiment that was under way then goes on, and its old days need not be read out again.
    """
    rows = [one.table() for one in days if one.manifest().files]
    unknown = HEALTH.field("reported")
    told = [
        table
        if unknown.name in table.column_names
        else table.append_column(unknown, pa.array([0] * len(table), unknown.type))
        for table in rows
    ]
    return pa.concat_tables([HEALTH.empty_table(), *(table.select(HEALTH.names) for table in told)])


def traffic(settings: Settings, experiment: str, metric: str = "") -> Seen:
    """What the read-outs of an earlier experiment, all arms as one, say for the plan of another.

    Args:
        settings: whose store.
        experiment: the id.
        metric: to plan for; empty: the primary of that experiment.

    Raises:
        ConfigError: there is no such experiment or metric, or nothing of it was counted.
        PartitionMissing: no day was read out, or one by another attribution window than the last.
    """
    mine = experiments.find(settings.store, experiment).experiment
    name = metric or mine.rule.primary
    if name not in METRICS:
        raise ConfigError(f"{name} is no metric. Give one of {', '.join(METRICS)}.")
    last = mine.first_day
    while place(settings.store, mine.id, "readout", last + ONE_DAY).exists():
        last += ONE_DAY
    days = read(settings.store, mine, last)["readout"]
    _require_one_window(mine, days)
    rows = together(days, READOUT)
    arms, planned = tuple(mine.arms), METRICS[name]
    return Seen(power.of_log(rows, planned, arms), power.correlation_of(rows, planned, arms))


def doubted(store: Store, experiment: Experiment, until: date) -> Iterator[str]:
    """A sentence for every day of the experiment that quality, or a person, has refused.

    What is lost of such a day may be lost of one arm more than of the other.
    """
    for one in days_of(experiment, until):
        if why := judged.known_bad(store, one):
            yield f"{one}: {why}."


def days_of(experiment: Experiment, until: date) -> list[date]:
    """The days of the experiment up to one."""
    return [experiment.first_day + timedelta(n) for n in range(experiment.day_number(until))]


def asked_of(experiment: Experiment) -> Asked:
    """What the job has to know."""
    return Asked(
        traffic=experiment.traffic,
        digest=experiment.digest(),
        first_day=experiment.first_day,
        budget_ms=experiment.latency_budget_ms,
    )


def require_day(experiment: Experiment, day: date) -> None:
    """Refuse a day that is not of the experiment.

    Raises:
        ConfigError: it lies before the first or after the last one.
    """
    if not experiment.runs(day):
        raise ConfigError(
            f"{day} is not a day of experiment {experiment.id}, which runs from "
            f"{experiment.first_day} to {experiment.last_day}. Give one of its days."
        )
