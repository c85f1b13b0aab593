"""The largest memory of everything that a command started, looked at while it works.

Summed over a tree of processes, resident memory counts what they share once each (forks of Airflow
share most of theirs). The kernel's proportional set size divides it among them, so the sum is what
the machine really gave. Looking costs a few milliseconds a process, so it is done every other
second: shorter peaks can be missed.
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any

import psutil

from infra.runtime import NAMES
from infra.services import running

EVERY_S = 2.0
MIB = 2**20


class Peak:
    """The largest sum so far, and of how many processes it was."""

    def __init__(self) -> None:
        self.bytes = 0
        self.processes = 0

    @property
    def mib(self) -> int:
        """Rounded up."""
        return -(-self.bytes // MIB)

    def look(self, home: Path) -> None:
        """Now."""
        sizes = [size for size in map(_size, family(home)) if size]
        if sum(sizes) > self.bytes:
            self.bytes, self.processes = sum(sizes), len(sizes)


def family(home: Path) -> list[psutil.Process]:
    """This process, the services under a home, and all that they started."""
    records = [running(home / name, name) for name in NAMES]
    roots = [os.getpid(), *(record.pid for record in records if record)]
    found: dict[int, psutil.Process] = {}
    for pid in roots:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            found |= {one.pid: one for one in (root, *root.children(recursive=True))}
    return list(found.values())


@contextmanager
def watching(home: str | Path, every_s: float = EVERY_S) -> Iterator[Peak]:
    """The peak of the block, kept up to date by a thread."""
    peak, done = Peak(), threading.Event()

    def watch() -> None:
        while not done.wait(every_s):
            peak.look(Path(home))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak.look(Path(home))


Run = Callable[..., Mapping[str, Any]]


def told(home_of: Callable[..., str]) -> Callable[[Run], Run]:
    """A run whose result also says `peak_memory_mib`.

    Args:
        home_of: the home of a run from its first argument.
    """

    def decorate(run: Run) -> Run:
        @wraps(run)
        def watched(first: Any, *rest: Any, **named: Any) -> Mapping[str, Any]:
            with watching(home_of(first)) as peak:
                result = run(first, *rest, **named)
            return {**result, "peak_memory_mib": peak.mib}

        return watched

    return decorate


def _size(process: psutil.Process) -> int:
    """Proportional set size in bytes; resident size where there is no such thing; 0 if it ended."""
    with suppress(OSError, psutil.Error):
        try:
            lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        except FileNotFoundError:
            return int(process.memory_info().rss)
        found = next((line for line in lines if line.startswith("Pss:")), "")
        return int(found.split()[1]) * 1024 if found else 0
    return 0
