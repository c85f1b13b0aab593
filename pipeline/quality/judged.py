"""Which days quality found good, as they are published now: nothing else is learnt from.

Judged by `pipeline.quality.checks`, whose report of a day names the publications that it is of.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from features.quality import figures
from features.raw.raw_table import TABLES
from infra import store as stored
from infra.record import as_object, reading
from infra.store import Partition, Store

LEFT_OUT = "was left out by a person (leave_out)"
UNJUDGED = "never came before quality"
CHANGED = "changed after quality had judged"
"""How the objection begins to what was published again since."""
GROUPS = {"events": figures.EVENT_TABLES, "samples": ("samples", "catalog")}
"""Tables whose rows are measured."""
ASKED = {**GROUPS, "events": TABLES}
"""Tables whose publications a report is of: users, icons and shops are judged by their counts."""


def is_current(store: Store, day: date, of: str) -> bool:
    """Whether the report is good and of exactly what is published now, nothing swept or added."""
    told = read(store, day, of) or {}
    return bool(told.get("passed")) and told.get("inputs") == _stamps(store, of, day, told)


def stopped(store: Store, day: date, of: str) -> bool:
    """Whether the report says that something critical failed."""
    told = read(store, day, of)
    return told is not None and not told["passed"]


def passed(store: Store, day: date, of: str) -> bool:
    """Whether the day was judged as it is published now, and found good."""
    return not objection(store, day, of)


def objection(store: Store, day: date, of: str) -> str:
    """Why nothing may be learnt from the day, as the end of a sentence; "" where all is good.

    Tables that were swept since they were judged are not asked.
    """
    told = read(store, day, of)
    if told is None:
        return UNJUDGED
    if not told["passed"]:
        return "did not pass quality"
    judged = told.get("inputs")  # reports of older versions have none
    if judged is None:
        return ""
    now = _stamps(store, of, day, told)
    anew = [key for key, stamp in now.items() if judged.get(key) != stamp]
    return f"{CHANGED} ({anew[0]} is another)" if anew else ""


def read(store: Store, day: date, of: str) -> dict[str, Any] | None:
    """The report of a group on a day, if there is one.

    Raises:
        RecordCorrupt: it cannot be read.
    """
    content = store.get(report(day, of))
    if content is None:
        return None
    with reading(report(day, of), again(day.isoformat(), of)):
        told = as_object(content)
        return {**told, "passed": bool(told["passed"])}


def again(day: str, of: str) -> str:
    """What to do about a report that cannot be read."""
    return f"Run `dupn quality --day {day} --of {of}` again."


def stamps(store: Store, of: str, day: date, names: Sequence[str]) -> dict[str, str]:
    """What is published of some tables of a group now."""
    return stored.stamps(table(store, of, day, name) for name in names)


def _stamps(store: Store, of: str, day: date, told: Mapping[str, Any]) -> dict[str, str]:
    """Of the tables that a report is of; those of older versions do not say, and knew fewer."""
    return stamps(store, of, day, told.get("tables", GROUPS[of]))


def is_left_out(store: Store, day: date) -> bool:
    """Whether a person leaves the day out, whatever was judged."""
    return bool(store.get(_order(day)))


def leave_out(store: Store, day: date, *, out: bool) -> None:
    """Note that a person leaves a day out of what is learnt; or, with False, that nobody does."""
    if out or store.get(_order(day)):
        store.put(_order(day), LEFT_OUT if out else "")


def objections(store: Store, day: date) -> str:
    """Those to both groups in one clause: "events and samples did not pass quality"."""
    return LEFT_OUT if is_left_out(store, day) else _clause(store, day)


def unjudged(store: Store, day: date) -> str:
    """Of a day that was made again since and that nobody has judged so, how it is; else empty.

    Nights leave it out. Of one that a person left out nobody asks.
    """
    if is_left_out(store, day):
        return ""
    told = {of: objection(store, day, of) for of in GROUPS}
    return " ".join(
        f"{day}: {of} {why}, so no night learns the day. `dupn quality --of {of} --day {day}` "
        "judges it."
        for of, why in told.items()
        if why.startswith(CHANGED)
    )


def _clause(store: Store, day: date, but: str = "") -> str:
    found: dict[str, list[str]] = {}
    for of in GROUPS:
        found.setdefault(objection(store, day, of), []).append(of)
    told = ((why, groups) for why, groups in found.items() if why not in ("", but))
    return ", ".join(f"{' and '.join(groups)} {why}" for why, groups in told)


def known_bad(store: Store, day: date) -> str:
    """The same, but for what never came before quality: nobody has found anything wrong with it.

    A day that was left out and has passed since, as one that is mended by a backfill, is not bad.
    """
    if is_left_out(store, day) and _clause(store, day):
        return LEFT_OUT
    return _clause(store, day, but=UNJUDGED)


def _order(day: date) -> str:
    return f"reports/quality/left_out/{day.isoformat()}"


def report(day: date, of: str) -> str:
    """The key of the report of a group on a day."""
    return f"reports/quality/{of}/{day.isoformat()}.json"


def table(store: Store, of: str, day: date, name: str) -> Partition:
    """A table of a group."""
    return store.partition(name, day) if of == "samples" else store.partition(of, day, name)
