"""The story: one short function per box of the flow, in the order in which they run.

raw -> events -> quality -> vocabulary -> statistics -> sequences -> samples -> quality
    -> train, or update -> evaluate -> bundle -> gate -> canary -> register -> promote -> check
    -> refresh -> represent -> watch (the last three of a night alone)

A step reads published partitions, publishes its own, can be run again, and returns a small
JSON-able summary. It does no work itself. From `evaluate` on, a step takes the candidate's run key
(`run`); without it, it is tonight's update, else the newest model trained before the day. Heavy
imports stand inside, so that a DAG task or a command pays only for what it uses.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from features import inputs
from features.carry import ONE_DAY, yesterday
from infra.errors import QualityFailed
from infra.progress import ProgressBar, track
from pipeline.days import span
from pipeline.settings import Settings

DATA = ("events", *inputs.STAGES)
"""The steps that make a day's data, in their order."""
Summary = Mapping[str, Any]


def simulate(
    settings: Settings,
    first: date,
    days: int,
    spoil: float = 0.0,
    progress: ProgressBar = track,
) -> Summary:
    """A seeded marketplace -> raw logs and the truth; `spoil`: share of behaviours broken after."""
    from evaluation.marketplace.run import simulate as live
    from evaluation.marketplace.spoil import spoil_day
    from evaluation.marketplace.state import DATASET
    from pipeline.raw import one_log

    wanted = span(first, days)
    one_log.require(settings.store, DATASET)
    made = live(settings.store, first, days, settings.marketplace, settings.seed, progress)
    broken = sum(spoil_day(settings.store, day, spoil, settings.seed) for day in wanted if spoil)
    return {**made, "spoilt": broken} if spoil else made


def import_log(
    settings: Settings,
    dataset: str,
    files: Sequence[Path],
    *,
    day: date | None = None,
    replace: bool = False,
) -> Summary:
    """Your files -> raw partitions by arrival day, as received."""
    from features.raw.dataset import load
    from pipeline.raw.importing import import_files

    return import_files(
        settings.store, load(dataset), files, day=day, replace=replace, progress=track
    )


def raw(settings: Settings, day: date) -> Summary:
    """What has arrived of a day's raw data, and what a night still waits for."""
    from pipeline.nights import nightly
    from pipeline.raw import arrival

    seen = nightly.look(settings, day, timedelta())
    found = arrival.say(arrival.look(settings.store, day, settings.nightly))
    missing = [] if seen.ready else found["missing"]  # of a day that is simulated next nothing is
    return {**found, "missing": missing, "complete": seen.ready, "sentence": seen.sentence}


def events(settings: Settings, day: date) -> Summary:
    """Raw rows -> canonical, deduplicated events; refused rows -> rejects."""
    from features.raw.dataset import load
    from pipeline.jobs.events import run

    dataset = load(settings.dataset)
    return run(settings.store, day, dataset=dataset, config=settings.events, beam=settings.beam)


def quality(settings: Settings, day: date, of: str) -> Summary:
    """Great Expectations over a day of events or samples; a critical failure stops the run."""
    from pipeline.quality.checks import run

    try:
        return run(settings, day, of)
    except QualityFailed:
        from pipeline.nights import night_page

        night_page.draw_unwatched(settings, day)
        raise


def vocabulary(settings: Settings, day: date) -> Summary:
    """Yesterday's vocabulary and catalog + today's events -> grown, append-only."""
    from pipeline.jobs.vocabulary import run

    return run(settings.store, day, config=settings.vocabulary, beam=settings.beam)


def statistics(settings: Settings, day: date) -> Summary:
    """Counts, conversions, price quantiles and LR-CTR weights from days up to this one."""
    from pipeline.jobs.statistics import run

    return run(
        settings.store,
        day,
        config=settings.statistics,
        beam=settings.beam,
        moments=settings.sequences.moments,
    )


def sequences(settings: Settings, day: date) -> Summary:
    """Yesterday's sequences + today's events -> the last 100 behaviours of every user."""
    from features.raw.dataset import load
    from pipeline.jobs.sequences import run

    zone = load(settings.dataset).time_zone
    return run(settings.store, day, config=settings.sequences, time_zone=zone, beam=settings.beam)


def samples(settings: Settings, day: date) -> Summary:
    """Moments whose attribution window closes today, with histories cut strictly before them."""
    from features.raw.dataset import load
    from pipeline.jobs.samples import run

    zone = load(settings.dataset).time_zone
    return run(
        settings.store,
        day,
        config=settings.samples,
        time_zone=zone,
        beam=settings.beam,
        seed=settings.seed,
    )


def rebuild(settings: Settings, day: date) -> Summary:
    """State of a day that is missing or spoilt <- events, by the jobs of the nights before."""
    from pipeline.upkeep.rebuilding import run

    return run(settings, day)


def backfill(settings: Settings, day: date, last: date | None = None) -> Summary:
    """Past days read again, and redone whatever follows from them and comes out otherwise."""
    from pipeline.upkeep.backfill import run

    return run(settings, day, last)


def sweep(settings: Settings, day: date) -> Summary:
    """State that has grown old and files of lost attempts -> removed."""
    from pipeline.upkeep.sweeping import run

    return run(settings, day)


def train(settings: Settings, until: date, days: int) -> Summary:
    """The network, trained for the first time on `days` days up to and with `until`."""
    from pipeline.learn.learning import train as learn

    return learn(settings, span(until - ONE_DAY * (days - 1), days))


def update(settings: Settings, day: date, *, forced: str = "") -> Summary:
    """The promoted version of the line learns what it has not learnt yet, but for a holdout."""
    from pipeline.learn.updating import update as learn

    return learn(settings, day, forced=forced)


def evaluate(settings: Settings, day: date, run: str = "") -> Summary:
    """Candidate (and champion) on a day that neither trained on -> report and predictions."""
    from pipeline.release.evaluating import evaluate as judge

    return judge(settings, day, run)


def bundle(settings: Settings, day: date, run: str = "", version: str = "") -> Summary:
    """Candidate + the tables it answers with -> a self-contained model, logged to MLflow.

    Of a registered `version` instead: what it is served from -> `bundles/`.
    """
    if version:
        from pipeline.release.bundling import build

        return build(settings, version)
    from pipeline.release.gating import bundle as pack

    return pack(settings, day, run)


def gate(settings: Settings, day: date, run: str = "") -> Summary:
    """Report -> verdict with every failed check."""
    from pipeline.release.gating import gate as judge

    return judge(settings, day, run)


def canary(settings: Settings, day: date, run: str = "") -> Summary:
    """The logged model, loaded in a fresh process, answers recorded moments as evaluation did."""
    from pipeline.release.gating import canary as sing

    return sing(settings, day, run)


def register(settings: Settings, day: date, run: str = "") -> Summary:
    """The logged model -> a version of the registered model, and its bundle -> `bundles/`."""
    from pipeline.release.promotion import register as enter

    return enter(settings, day, run)


def promote(
    settings: Settings,
    day: date,
    version: str = "",
    why: str = "",
    run: str = "",
    *,
    challenger: bool = False,
) -> Summary:
    """Move `champion` to the version (default: the one registered for the day), in the ledger.

    Of another line's `version`, and if so asked, `challenger` instead.
    """
    from pipeline.release import promotion

    if challenger:
        return promotion.challenge(settings, version, why)
    return promotion.promote(settings, day, version, why, run)


def rollback(settings: Settings, why: str) -> Summary:
    """Make the previous champion champion again, in the ledger."""
    from pipeline.release.standing import rollback as undo

    return undo(settings, why)


def check(settings: Settings, day: date, run: str = "") -> Summary:
    """`models:/dupn@champion` loads and answers."""
    from pipeline.release.gating import check as ask

    return ask(settings, day, run)


def watch(settings: Settings, day: date, run: str = "") -> Summary:
    """The night from outside: AUC before learning, staleness, forgetting, volumes, durations."""
    from pipeline.nights.watching import run as look

    return look(settings, day, run)


def refresh(settings: Settings, day: date) -> Summary:
    """The bundles of champion and challenger, published anew with the tables of the day."""
    from pipeline.release.refreshing import run

    return run(settings, day)


def represent(settings: Settings, day: date) -> Summary:
    """The champion's 256 numbers of every user with a behaviour -> `representations/`."""
    from pipeline.represent.representing import run

    return run(settings, day)


def data_days(settings: Settings, first: date, last: date) -> list[date]:
    """The days of a range, oldest first; each must have raw data, the first no gap before it.

    MLflow, which a training needs after hours of other work, is asked here already.

    Raises:
        PartitionMissing: naming the first day without `raw/dt=D/behaviors`, and what may be meant;
            or there is data of days before, but no state of the evening before the first.
        InputError: the home holds days of another data set.
        ConfigError: `tracking.uri` is missing or wrong.
        RegistryUnavailable: MLflow does not answer.
        RegistryError: another home's version is champion there.
        TrainingError: who is in place has learnt the last day, on which both would be judged.
    """
    from features.raw.dataset import load
    from infra import tracking
    from pipeline.raw import arrival, one_log, rawday
    from pipeline.release import incumbent, unlearnt_days

    tracking.require(settings.tracking, settings.store)
    incumbent.require_own(settings)
    one_log.require(settings.store, load(settings.dataset).name)
    unlearnt_days.require(settings, first, last)
    days = [first + ONE_DAY * i for i in range((last - first).days + 1)]
    for day in days:
        if not arrival.is_there(settings.store, day):
            raise rawday.absent_in(settings.store, day, days)
    yesterday(settings.store, "catalog", first, "items")
    return days
