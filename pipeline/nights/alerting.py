"""What people are told of a night, a first training or an experiment, by DAGs or the command.

Whom to tell is in the settings (`alerts`); docs/operations.md says what to do about each kind.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any

from infra import alerts
from infra.alerts import Alert, Kind
from infra.errors import OutOfTurn, QualityFailed
from pipeline.settings import Settings

KINDS: Mapping[type[Exception], Kind] = {
    QualityFailed: Kind.QUALITY,
    OutOfTurn: Kind.OUT_OF_TURN,
}
"""Errors that have a kind of alert of their own; any other is `failed`."""

Words = tuple[Kind, str, str]
"""Kind, title, text."""


def late(day: date, missing: str) -> Words:
    """Raw data, past the deadline."""
    return Kind.LATE, f"raw data of {day} is late", missing


def left_out(day: date, why: str) -> Words:
    """Quality failed, and the day goes on unlearnt."""
    return Kind.QUALITY, f"{day} is left out of what is learnt", why


def abnormal(day: date, why: str) -> Words:
    """Volume or mix."""
    return Kind.ABNORMAL, f"{day} is unlike the days before", why


def lost(day: date, why: str) -> Words:
    """Days that the night's update could not learn: their samples are gone."""
    return Kind.QUALITY, f"the night of {day} left days out of what is learnt", why


def of_update(day: date, learnt: Mapping[str, Any]) -> Iterator[Words]:
    """All that is told of what an update answered."""
    for name, words in (("abnormal", abnormal), ("lost", lost)):
        if learnt.get(name):
            yield words(day, learnt[name])


def of_gate(judged: Mapping[str, Any]) -> Iterator[Words]:
    """What is told of a verdict: that it is against the candidate, and who stays in place."""
    if judged["promoted"]:
        return
    role, outcome = judged["role"], str(judged["outcome"])
    what = f"kept the {role} {judged['champion']}" if role else "let no first model through"
    title = (
        f"the gate {what} on {judged['day']} ({outcome.replace('champion', role or 'champion')})"
    )
    yield Kind.GATE, title, f"{judged['run']}: {' '.join(judged['failed'])}"


def of_watch(day: date, seen: Mapping[str, Any]) -> Iterator[Words]:
    """What is told of a night that was watched: in what champion or challenger does worse."""
    for sentence in seen["alerts"]:
        yield Kind.AUC, f"watch {day}", sentence


def changed(sentences: Sequence[str]) -> Words:
    """Days to make again (`pipeline.upkeep.afterwards`)."""
    return Kind.ARRIVED_AGAIN, "what nights were made of has changed", " ".join(sentences)


def concluded(done: Mapping[str, Any]) -> Words:
    """An experiment whose final verdict was made so."""
    title = f"experiment {done['id']}: {done['outcome']} on {done['day']}"
    return Kind.VERDICT, title, " ".join(done["reasons"])


def unlooked(day: date, why: str) -> Words:
    """The night goes on without its experiment."""
    return Kind.FAILED, f"no look at the experiment on {day}", why


def tell(settings: Settings, day: date, words: Words) -> None:
    """Send an alert of what a command runs."""
    kind, title, text = words
    alerts.send(Alert(kind=kind, title=title, text=text, day=day.isoformat()), settings.alerts)


@contextmanager
def failures(settings: Settings, day: date, what: str) -> Iterator[None]:
    """An error that leaves the block is told of `what`, and goes on; Ctrl-C is no error."""
    try:
        yield
    except Exception as error:
        kind = KINDS.get(type(error), Kind.FAILED)
        tell(settings, day, (kind, f"{what} failed", str(error)))
        raise
