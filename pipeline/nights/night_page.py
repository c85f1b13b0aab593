"""The page of nights, drawn from what is kept: the watched ones, and what became of the others.

A night that quality stopped, or that a person left out, was never watched: its record
(`pipeline.nights.nightly`) and the reports of its quality say how far it came.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from posixpath import relpath

from evaluation import filed, nights
from evaluation.nights import Links, Unwatched
from evaluation.rendering import beside
from infra import run_key
from infra.errors import RecordCorrupt
from infra.ledger import Ledger
from infra.store import Store
from pipeline.nights import nightly
from pipeline.nights.nightly import State
from pipeline.quality import judged, quality_page
from pipeline.settings import Settings


def draw(settings: Settings, line: str = "") -> str:
    """Draw it again; its address, or "" where no night was watched yet.

    Args:
        settings: whose `line` a night's record may lie under.
        line: whose nights; the settings' own by default. After an experiment has shipped it is
            another than the one that records lie under.
    """
    store, line = settings.store, line or settings.line
    newest = nights.read(store, line, date.max, settings.watch.page_nights)
    if not newest:
        return ""
    first, others = date.fromisoformat(newest[0].day), dict[str, Unwatched]()
    for one in dict.fromkeys((*nights.lines(store), settings.line)):
        days = [day for day in store.dates(filed.nightly(one)) if day > first]
        others |= dict(_told(settings.model_copy(update={"line": one}), days))
    runs = {day: run_key.of(line, date.fromisoformat(day)) for day in others} | {
        night.day: night.run for night in newest
    }
    return nights.write_page(store, line, newest, others, _links(store, line, runs))


def draw_unwatched(settings: Settings, day: date) -> None:
    """Draw it again for a night that has ended, or stopped, before it was watched."""
    with beside("the page of nights"):
        if not nights.watched(settings.store, day):
            draw(settings, champions_line(settings))


def champions_line(settings: Settings) -> str:
    """Whose nights they are: the champion's, as the ledger has it, or the settings' line."""
    entries = Ledger(settings.store).entries()
    return (entries[-1].facts.get("line", "") if entries else "") or settings.line


def there(store: Store, line: str) -> str:
    """Its address, or "" where there is none."""
    folder = filed.nightly(line)
    return store.address(folder, nights.PAGE) if nights.PAGE in store.names(folder) else ""


def _links(store: Store, line: str, runs: Mapping[str, str]) -> Links:
    """To what there is of each day: a home that is moved takes them along."""
    here, judgements = filed.nightly(line), quality_page.places(store)
    kept = [day for day, run in runs.items() if filed.PAGE in store.names(filed.offline(run))]
    return Links(
        judgements={day: relpath(judgements[day], here) for day in runs if day in judgements},
        reports={day: relpath(filed.page(runs[day]), here) for day in kept},
    )


def _told(settings: Settings, days: list[date]) -> Iterator[tuple[str, Unwatched]]:
    for day in days:
        try:
            night = nightly.read(settings, day)
        except RecordCorrupt:
            yield day.isoformat(), Unwatched(words="its record cannot be read", stopped=False)
            continue
        if night is None or nights.watched(settings.store, day):
            continue
        by = _stopped_by(settings.store, day)
        if night.state is State.ENDED:
            words = f"ended, not watched: {night.outcome}"
        elif night.state is State.WAITING:
            words = "waits for an older night"
        elif by:
            words = f"stopped by quality of {by[-1]}; not ended"
        else:
            words = f"begun {night.at}; not ended"
        stopped = bool(by) and night.state is State.BEGUN
        yield day.isoformat(), Unwatched(words=words, stopped=stopped)


def _stopped_by(store: Store, day: date) -> list[str]:
    """Whose reports stopped the day; one that cannot be read has its row on the quality page."""
    found = []
    for of in judged.GROUPS:
        with suppress(RecordCorrupt):
            found += [of] if judged.stopped(store, day, of) else []
    return found
