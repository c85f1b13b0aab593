"""A day is measured, judged and reported: a failed critical expectation stops the run.

The figures are computed over all rows by Beam (`pipeline.jobs.quality`), because Great
Expectations reads neither Arrow nor nested columns and a day need not fit in memory; the
expectations judge the one-row table of those figures. There are three suites: of events (with the
catalog snapshots that came that day), and, once samples are built, of samples and of the catalog
that they point into. The figures and the verdict of each day stand under `reports/quality/<of>/`,
`index.html` beside them is of the newest days, Data Docs are under `reports/quality/gx`.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from itertools import islice
from typing import Any

from features.quality import changes, joined, requests
from features.quality import figures as quality
from features.quality.changes import Changed
from features.quality.figures import QualityConfig
from features.quality.joined import Joined
from features.quality.measured import Tally
from features.quality.requests import Named
from features.raw.dataset import load as load_dataset
from features.raw.raw_table import LOGS, SNAPSHOTS, TABLES
from features.raw.rejects import Reason
from infra.errors import ConfigError, PartitionCorrupt, QualityFailed, RecordCorrupt
from infra.files import writing
from infra.store import Store
from pipeline.jobs import quality as job
from pipeline.quality import judged, quality_page
from pipeline.quality.expectations import Expected, Failure, judge
from pipeline.raw import rawday
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

SUITES = {"events": ("events",), "samples": ("samples", "catalog")}
"""Great Expectations suites of a group."""
OPTIONAL = ("items.", "catalog.")
"""Tables whose attributes may be absent (never the ids of an item)."""
LOST = "lost_parts"
"""Files, or row groups of one, that could not be read to their end: each is one refused row, so no
share would show them."""
TOLD = (quality.AMBIGUOUS, quality.ABSENT, quality.ONLY_CLICKS, quality.REPEATED)
"""Metrics of what is told and stops nothing, as a night may be meant to go on without a table."""
AGAIN = "a moment is learnt as often as it stands there; build the day anew with `dupn samples`"
"""What an id of a sample that stands there again means."""
BROKEN_OFF = "look whether the day was delivered to its end"
"""What a last row long before the day's end means."""
OF_PAGES = {
    f"{table}.ts.stale_h": "page_stale_h" for table in ("impressions", "follows", "samples")
}
"""Last rows that have a limit of their own: behaviours may have gone on."""
ONLY_TOLD = (
    *OF_PAGES,
    *(f"samples.{column}.drift" for column in ("price_level", "seq_type")),
)
"""Figures that have a limit to warn at and none that stops: some shops close in the afternoon, and
on a sale day others buy other things."""
ELSEWHERE = ("rows", "longest", joined.METRIC, changes.METRIC, requests.METRIC)
"""Metrics that are judged one by one, or of which only the volume is."""
LACKING = "the days before had some: look whether it was delivered"
"""What a table, or prices, that came until now and is not there means."""
UNVARIED = (
    "every candidate was clicked: look whether the log holds what was shown and not clicked; "
    "without it nothing is learnt of clicks, and the gate lets nobody pass"
)
"""What a day of clicks alone means."""
TWICE = "of an hour that its clock shows twice the earlier was taken; write UTC, or offsets (%z)"
"""What ambiguous times mean."""
_UNREAD = f"rejected_{Reason.BAD_FILE}"
_SNAPSHOT_ROWS = tuple(f"{name}.rows" for name in SNAPSHOTS)
_WITHOUT_LIMIT = (*_SNAPSHOT_ROWS, f".{LOST}")
"""Ends of figures of which no setting under [quality] says where they stop the run."""


def run(settings: Settings, day: date, of: str) -> Mapping[str, Any]:
    """Measure, judge, write the report.

    Raises:
        QualityFailed: a critical expectation failed; the sentence names day, table, column and
            figure, and the report is written all the same.
    """
    if of not in judged.GROUPS:
        raise ConfigError(f"quality of {of} is not known. Say events or samples.")
    store = settings.store
    tables = {name: judged.table(store, of, day, name) for name in judged.GROUPS[of]}
    next(iter(tables.values())).require()
    inputs = judged.stamps(store, of, day, judged.ASKED[of])
    counts = _counted(store, day) if of == "events" else {}
    known = {f"sum:{name}": rows for name, rows in quality.kept(counts).items()}
    tally = job.run(tables, store.partition("quality", day, of), settings.beam, known)
    zone = load_dataset(settings.dataset).time_zone
    before = _before(store, day, of, settings.quality.history_days)
    joins = joined.of_day(store, day, settings.sequences.moments) if of == "events" else []
    window_ms = settings.sequences.window_ms
    figures = quality.metrics(tally, counts, day, zone, before, window_ms) | _lost(counts)
    changed = changes.of_day(store, day) if of == "events" else []
    named = requests.of_tally(tally) if any(one.sampled for one in joins) else []
    told: list[Joined | Changed | Named] = [*joins, *changed, *named]
    figures |= {one.figure: one.share for one in told}
    expected, failures = [], []
    with writing(store.address("reports/quality")):  # Great Expectations writes on its own
        for name in SUITES[of]:
            asked = suite(name, figures, settings.quality) + _of_joins(joins, settings.quality)
            asked += _of_changes(changed, settings.quality) + _of_named(named, settings.quality)
            expected += asked
            failures += judge(store, f"{name}_{day.isoformat()}", name, figures, asked)
    meanings = _meanings(figures) | {one.figure: one.meaning for one in told}
    failures = _explained(failures, meanings | _lost_files(store, day, failures))
    critical = [failure for failure in failures if failure.critical]
    report = {
        "day": day.isoformat(),
        "of": of,
        "passed": not critical,
        "figures": [_figure(name, value, of, day) for name, value in figures.items()],
        "expected": [asdict(one) for one in expected],
        "failures": [asdict(failure) for failure in failures],
        "tables": list(judged.ASKED[of]),
        "inputs": inputs,
        "judged_on": "metrics over all rows, computed by Beam",
    }
    store.put(judged.report(day, of), json.dumps(_finite(report), indent=1))
    page = quality_page.write(store, SUITES)
    for failure in failures:
        logger.warning("%s", failure.sentence)
    if critical:
        unlimited = all(one.figure.endswith(_WITHOUT_LIMIT) for one in critical)
        remedy = "." if unlimited else ", or change the limit under [quality]."
        raise QualityFailed(
            " ".join(f.sentence for f in critical)
            + f" See {page}; mend the raw day and run it again{remedy}"
        )
    return {"checks": len(expected), "warnings": len(failures), "passed": True}


def suite(of: str, figures: Mapping[str, float], config: QualityConfig) -> list[Expected]:
    """The expectations that apply to the figures that a day has."""
    rows = "behaviors.rows" if of == "events" else f"{of}.rows"
    found = [Expected(figure=rows, low=config.min_rows, setting="min_rows")]
    found += [Expected(figure=one, low=1) for one in _SNAPSHOT_ROWS]
    tables = TABLES if of == "events" else (of,)
    for name in figures:
        if name.partition(".")[0] in tables:
            found += _of_figure(name, config)
    if of == "samples":
        found.append(Expected(figure="samples.seq_item.longest", high=quality.LONGEST))
    return [one for one in found if one.figure in figures or one.figure == rows]


def _of_figure(name: str, config: QualityConfig) -> list[Expected]:
    optional = name.startswith(OPTIONAL) and ".item_id" not in name
    table = {
        "reject_share": (config.warn_reject_share, config.max_reject_share),
        "duplicate_share": (config.warn_duplicate_share, config.max_duplicate_share),
        "drift": (config.warn_drift, config.max_drift),
        "stale_h": (config.warn_stale_h, config.max_stale_h),
        "page_stale_h": (config.warn_page_stale_h, math.inf),
        "bad_price_share": (config.warn_bad_price_share, config.max_bad_price_share),
    }
    metric = OF_PAGES.get(name, name.rsplit(".", 1)[-1])
    if name.endswith("price.bad_share"):
        metric = "bad_price_share"
    warns, stops = (
        partial(Expected, figure=name, setting=f"{w}_{metric}") for w in ("warn", "max")
    )
    if metric == "volume_ratio":
        warn, stop = config.warn_volume_ratio, config.max_volume_ratio
        return [warns(low=1 / warn, high=warn, critical=False), stops(low=1 / stop, high=stop)]
    if metric in table:
        warn, stop = table[metric]
        found = [warns(high=warn, critical=False)]
        twice = metric == "duplicate_share" and not name.startswith(LOGS)  # a catalog may say so
        return found if twice or name in ONLY_TOLD else [*found, stops(high=stop)]
    if name == "samples.seq_item.empty.bad_share":
        most, setting = config.warn_empty_history_share, "warn_empty_history_share"
        return [Expected(figure=name, high=most, critical=False, setting=setting)]
    if metric == "null_share" and optional:
        return [warns(high=config.warn_null_share, critical=False)]
    if metric in ("null_share", "bad_share", LOST, *TOLD):
        return [Expected(figure=name, high=0.0, critical=metric not in TOLD)]
    assert metric in ELSEWHERE, f"{name} is held against nothing: say in `_of_figure` against what"
    return []


def _of_joins(joins: Sequence[Joined], config: QualityConfig) -> list[Expected]:
    limits = [one.limit(1 - config.warn_null_share, config.min_joined_share) for one in joins]
    return [
        Expected(
            figure=one.figure,
            low=low,
            critical=critical,
            setting="min_joined_share" if one.sampled else "warn_null_share",
        )
        for one, (low, critical) in zip(joins, limits, strict=True)
    ]


def _of_changes(changed: Sequence[Changed], config: QualityConfig) -> list[Expected]:
    return [
        Expected(
            figure=one.figure,
            high=config.warn_changed_share * one.days,
            critical=False,
            setting="warn_changed_share",
        )
        for one in changed
    ]


def _of_named(named: Sequence[Named], config: QualityConfig) -> list[Expected]:
    return [
        Expected(
            figure=one.figure,
            low=config.min_joined_share,
            critical=False,
            setting="min_joined_share",
        )
        for one in named
        if one.judged
    ]


def _finite(report: Any) -> Any:
    """JSON has no infinity and no NaN: null stands for both."""
    if isinstance(report, float):
        return report if math.isfinite(report) else None
    if isinstance(report, Mapping):
        return {name: _finite(value) for name, value in report.items()}
    return [_finite(one) for one in report] if isinstance(report, list) else report


def _figure(name: str, value: float, of: str, day: date) -> dict[str, Any]:
    metric = name.rpartition(".")[2]
    unit = quality.UNITS.get(metric, "share")
    protocol = f"all rows of {of} of {day}, counted by Beam"
    if metric == joined.METRIC:
        protocol = f"up to {joined.SAMPLE:,} keys of {of} of {day}, drawn by hash"
    elif metric == changes.METRIC:
        protocol = f"users known to both snapshots, of about {changes.SAMPLE:,} drawn by hash"
    uncertain = {"low": None, "high": None}
    return {"name": name, "value": value, **uncertain, "unit": unit, "protocol": protocol}


def _counted(store: Store, day: date) -> dict[str, int]:
    """What the events step counted of all tables of the day, the snapshots of users among them."""
    parts = [store.partition("events", day, name) for name in TABLES]
    counts = [part.manifest().counts for part in parts if part.exists()]
    return {name: count for one in counts for name, count in one.items()}


def _lost(counts: Mapping[str, int]) -> dict[str, float]:
    """Of every table of the day, how many parts of its files could not be read."""
    there = [name for name in TABLES if f"{name}_read" in counts]
    return {f"{name}.{LOST}": float(counts.get(f"{name}_{_UNREAD}", 0)) for name in there}


def _lost_files(store: Store, day: date, failures: Sequence[Failure]) -> dict[str, str]:
    """By figure that failed for it, the files of which something could not be read."""
    rejects = store.partition("rejects", day)
    if not any(one.figure.endswith(LOST) for one in failures) or not rejects.exists():
        return {}
    lost = rawday.lost_parts(rejects)
    return {f"{name}.{LOST}": "; ".join(files[:3]) for name, files in lost.items()}


def _meanings(figures: Mapping[str, float]) -> dict[str, str]:
    """By figure, what its failing means."""
    by_end = {
        quality.REPEATED: AGAIN,
        ".stale_h": BROKEN_OFF,
        quality.AMBIGUOUS: TWICE,
        quality.ABSENT: LACKING,
        quality.ONLY_CLICKS: UNVARIED,
    }
    return {
        name: meaning for end, meaning in by_end.items() for name in figures if name.endswith(end)
    }


def _explained(failures: Sequence[Failure], more: Mapping[str, str]) -> list[Failure]:
    """The failures; those of figures that there is more to say of say it."""
    return [
        replace(one, sentence=f"{one.sentence.rstrip('.')}: {more[one.figure]}.")
        if one.figure in more
        else one
        for one in failures
    ]


def _before(store: Store, day: date, of: str, limit: int) -> list[Tally]:
    """Of the newest good days before one, oldest first."""
    known = (_good(store, d, of) for d in store.backwards("quality", of) if d < day)
    return list(islice((tally for tally in known if tally is not None), limit))[::-1]


def _good(store: Store, day: date, of: str) -> Tally | None:
    """The tally of a day that passed. What cannot be read of it keeps no other day from quality."""
    try:
        good = judged.passed(store, day, of)
        return job.read(store.partition("quality", day, of)) if good else None
    except (RecordCorrupt, PartitionCorrupt) as error:
        logger.warning("%s is compared with nothing: %s", day, error)
        return None
