"""Long work shows a bar on a terminal and log sentences elsewhere.

Rates and the time left come from the same counters in both, so that a nightly log says what a
person at a terminal would have seen.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

logger = logging.getLogger(__name__)

SENTENCE_EVERY_S = 30.0


class Progress(Protocol):
    """What the worker calls as it goes."""

    def advance(self, done: int = 1, **figures: float) -> None:
        """Count `done` more units; `figures` (a loss, a second rate) are shown as they stand."""
        ...


ProgressBar = Callable[..., AbstractContextManager[Progress]]
"""`track`, or `quiet` for work inside other work that shows its own."""


@contextmanager
def track(
    description: str, total: int | None = None, *, unit: str = "rows", done: int = 0
) -> Iterator[Progress]:
    """A bar if standard error is a terminal, else a log sentence twice a minute and at the end.

    Args:
        description: what is being done, as a stage word or a short phrase.
        total: units of the whole work; None if it is not known.
        unit: plural noun of one unit.
        done: units finished by an earlier run that this one resumes; not counted in the rate.
    """
    console = Console(stderr=True)
    count = _Count(description, total, unit, done)
    # Both: FORCE_COLOR makes Rich take a file for a terminal.
    if not (console.is_terminal and sys.stderr.isatty()):
        sentences = _Sentences(count)
        yield sentences
        logger.info("%s", count.sentence(finished=True))
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console, transient=False) as bar:
        task = bar.add_task(description, total=total, completed=done, figures="")
        yield _OnTerminal(bar, task, count)


@dataclass
class _Count:
    description: str
    total: int | None
    unit: str
    resumed: int = 0
    done: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    start: float = field(default_factory=time.monotonic)

    def add(self, done: int, figures: dict[str, float]) -> None:
        self.done += done
        self.figures.update(figures)

    @property
    def elapsed_s(self) -> float:
        return max(time.monotonic() - self.start, 1e-9)

    def rates(self) -> str:
        shown = [_rate(self.done / self.elapsed_s, self.unit)]
        shown += [_figure(name, value) for name, value in self.figures.items()]
        return ", ".join(shown)

    def sentence(self, *, finished: bool = False) -> str:
        at = self.resumed + self.done
        if finished:
            return (
                f"{self.description}: {at:,} {self.unit} in {self.elapsed_s:,.1f} s "
                f"({self.rates()})"
            )
        if not self.total:
            return f"{self.description}: {at:,} {self.unit} so far, {self.rates()}"
        left_s = (self.total - at) * self.elapsed_s / max(self.done, 1)
        return (
            f"{self.description}: {at:,} of {self.total:,} {self.unit} ({at / self.total:.0%}), "
            f"{self.rates()}, {left_s:,.0f} s left"
        )


class _Sentences:
    def __init__(self, count: _Count) -> None:
        self.count = count
        self.said = time.monotonic()

    def advance(self, done: int = 1, **figures: float) -> None:
        self.count.add(done, figures)
        now = time.monotonic()
        if now - self.said >= SENTENCE_EVERY_S:
            self.said = now
            logger.info("%s", self.count.sentence())


class _OnTerminal:
    def __init__(self, bar: Bar, task: TaskID, count: _Count) -> None:
        self.bar = bar
        self.task = task
        self.count = count

    def advance(self, done: int = 1, **figures: float) -> None:
        self.count.add(done, figures)
        self.bar.update(self.task, advance=done, figures=self.count.rates())


def _rate(per_s: float, unit: str) -> str:
    """What takes longer than a second is counted by the minute."""
    return f"{per_s:,.0f} {unit}/s" if per_s >= 1 else f"{per_s * 60:,.1f} {unit}/min"


def _figure(name: str, value: float) -> str:
    """`candidates_per_s` as a rate, anything else as name and value."""
    if name.endswith("_per_s"):
        return _rate(value, name.removesuffix("_per_s").replace("_", " "))
    shown = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4f}"
    return f"{name.replace('_', ' ')} {shown}"


@contextmanager
def quiet(*_: object, **__: object) -> Iterator[Progress]:
    """Like `track`, but nothing is shown: work inside other work that shows its own."""
    yield _Silent()


class _Silent:
    def advance(self, done: int = 1, **figures: float) -> None:
        """Nothing."""
