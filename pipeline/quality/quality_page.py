"""The page of the newest days' judgements: which day, which verdict, what failed and how badly.

Drawn from the reports of the days, so that it needs no other file and no internet, in an object
store as well. Data Docs, which take their styles from the internet, show the same day by day, those
of a run under its day; they are linked.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from evaluation.rendering import beside, template
from infra.errors import RecordCorrupt
from infra.files import alone
from infra.record import as_object, reading
from infra.store import Store
from pipeline.quality import judged

logger = logging.getLogger(__name__)

DAYS = 30
"""Newest days of which the page has a row; older ones keep their reports."""
PAGE = "reports/quality/index.html"
UNREAD = "its report cannot be read"
_DOCS = "gx/uncommitted/data_docs/local_site"


@dataclass(frozen=True, kw_only=True)
class Failed:
    """An expectation that did not hold, as a line."""

    severity: str
    column: str
    metric: str
    value: str
    limit: str
    setting: str
    """That holds the limit, if one does."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What was said of one group of tables on one day."""

    day: str
    of: str
    verdict: str
    checks: int | None
    """None where the report cannot be read."""
    failed: tuple[Failed, ...]
    docs: Mapping[str, str]
    """Great Expectations' newest page of every suite, from where this page is."""


def there(store: Store) -> str:
    """The address of the page, or nothing where no day was judged yet."""
    folder, _, name = PAGE.rpartition("/")
    return store.address(PAGE) if name in store.names(folder) else ""


def places(store: Store) -> dict[str, str]:
    """Keys of what is said last of each judged day; none where there is no page.

    On the page, or in the report of a day that it draws no more.
    """
    days = [(day, of) for of in judged.GROUPS for day in _days(store, of)]
    drawn = sorted({day for day, _ in days}, reverse=True)[:DAYS]
    folder = PAGE.rpartition("/")[0]
    found = {
        day: f"{PAGE}#{of}-{day}" if day in drawn else f"{folder}/{of}/{day}.json"
        for day, of in days
    }
    return found if there(store) else {}


def write(store: Store, suites: Mapping[str, tuple[str, ...]]) -> str:
    """Draw the page again from the reports, whatever hinders it; its address comes back.

    Args:
        store: where the reports are.
        suites: Great Expectations suites of a group.
    """
    lock = (
        alone(Path(store.address("reports/quality/judging"))) if store.is_local else nullcontext()
    )
    # of two at once the later one knows the reports of both
    with beside("the quality page"), lock:
        days = sorted({day for of in judged.GROUPS for day in _days(store, of)}, reverse=True)
        rows = [one for day in days[:DAYS] for one in _of_day(store, day, suites)]
        stopped = [one.day for one in rows if one.verdict == "stopped"]
        asking = (day for day in stopped if not judged.is_left_out(store, date.fromisoformat(day)))
        page = template("quality").render(
            rows=rows, days=days[:DAYS], older=days[DAYS:], stopped=next(asking, "")
        )
        store.put(PAGE, page)
    return store.address(PAGE)


def _days(store: Store, of: str) -> list[str]:
    names = store.names(f"reports/quality/{of}")
    return [name.removesuffix(".json") for name in names if name.endswith(".json")]


def _of_day(store: Store, day: str, suites: Mapping[str, tuple[str, ...]]) -> Iterator[Judgement]:
    for of in reversed(judged.GROUPS):  # newest first: samples are judged after events
        place = f"reports/quality/{of}/{day}.json"
        content = store.get(place)
        if content is None:
            continue
        docs = {name: page for name in suites[of] if (page := _docs(store, name, day))}
        try:
            with reading(place, judged.again(day, of)):
                row = _judgement(as_object(content), day, of, docs)
        except RecordCorrupt as error:
            logger.warning("%s", error)
            row = Judgement(day=day, of=of, verdict=UNREAD, checks=None, failed=(), docs=docs)
        yield row


def _judgement(told: Mapping[str, Any], day: str, of: str, docs: Mapping[str, str]) -> Judgement:
    failures = sorted(told.get("failures", []), key=lambda one: not one["critical"])
    return Judgement(
        day=day,
        of=of,
        verdict=_verdict(told),
        checks=len(told.get("expected", [])),
        failed=tuple(_failed(one) for one in failures),
        docs=docs,
    )


def _verdict(told: Mapping[str, Any]) -> str:
    if not told["passed"]:
        return "stopped"
    return "warnings" if told.get("failures") else "passed"


def _failed(failure: Mapping[str, Any]) -> Failed:
    column, _, metric = failure["figure"].rpartition(".")
    value = failure["value"]
    return Failed(
        severity="critical" if failure["critical"] else "warning",
        column=column,
        metric=metric.replace("_", " "),
        value="no number" if value is None else f"{value:.6g}",
        limit=limits(failure["low"], failure["high"]),
        setting=failure.get("setting", ""),  # reports of older versions have none
    )


def limits(low: float | None, high: float | None) -> str:
    """What is asked of a figure, in words."""
    ends = {"at least": low, "at most": high}
    return " and ".join(f"{word} {end:.6g}" for word, end in ends.items() if end is not None)


def _docs(store: Store, suite: str, day: str) -> str:
    """Runs lie under the suite and `<suite>_<day>`, one folder a time; "" where there is none."""
    folder = f"{_DOCS}/validations/{suite}/{suite}_{day}"
    for time in reversed(store.names(f"reports/quality/{folder}")):
        for name in store.names(f"reports/quality/{folder}/{time}"):
            return f"{folder}/{time}/{name}"
    return ""
