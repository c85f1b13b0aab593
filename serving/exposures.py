"""What was shown, written as raw `impressions` that the next night reads: the loop is closed.

Each process appends lines to a spool file of its own; `flush` moves the whole file under
`raw/dt=D/impressions/` in one put, so nobody sees half a file. A spool that a killed process left
behind is moved at the next start. Beside the columns of `impressions` a line has the model version,
the line, the scores, the predicted price level and the latency, for the A/B read-out.
"""

import json
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np

from features.property import EPOCH, LocalClock
from infra.store import Store


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """One page."""

    request_id: str
    user_id: str
    ts: int
    """UTC milliseconds."""
    scenario: str
    query: str | None
    item_ids: Sequence[str]
    """In the order shown: position 0 first."""
    variant: str
    model_version: str
    line: str
    ctr: Sequence[float]
    l2r: Sequence[float]
    price_level: int
    """The level that PPP finds likeliest, 1..7."""
    latency_ms: float | None = None
    """Of the ranking."""


class ExposureLog:
    """Exposures of one process.

    Args:
        store: under whose `raw/` they appear.
        spool: a folder of this machine that survives the process.
        zone: the data set's time zone, in which a day ends at midnight.
    """

    def __init__(self, store: Store, spool: Path, zone: str) -> None:
        self.store = store
        self.spool = spool
        self.clock = LocalClock(zone)
        self._lock = threading.Lock()
        self._number = 0
        spool.mkdir(parents=True, exist_ok=True)
        self.recover()

    def add(self, exposure: Exposure) -> None:
        """Note a page; it is on disk when this returns."""
        day = int(self.clock.parts(np.array([exposure.ts])).day[0])
        line = json.dumps(asdict(exposure), separators=(",", ":"))
        with self._lock, self._file(day).open("a") as out:
            out.write(line + "\n")

    def flush(self) -> int:
        """Move what this process has noted under `raw/`; how many files."""
        with self._lock:
            files = sorted(self.spool.glob(f"{os.getpid()}-*.jsonl"))
            self._number += 1
        return self._move(files)

    def recover(self) -> int:
        """Move what processes that are gone have left."""
        gone = [f for f in sorted(self.spool.glob("*.jsonl")) if not _alive(f)]
        return self._move(gone)

    def _file(self, day: int) -> Path:
        return self.spool / f"{os.getpid()}-{day}-{self._number}.jsonl"

    def _move(self, files: Sequence[Path]) -> int:
        for file in files:
            day = date.fromordinal(EPOCH.toordinal() + int(file.stem.split("-")[1]))
            name = f"served-{file.stem}-{time.time_ns()}.jsonl"
            folder = self.store.partition("raw", day, "impressions").key
            self.store.put(f"{folder}/{name}", file.read_bytes())
            file.unlink()
        return len(files)


def _alive(file: Path) -> bool:
    pid = int(file.stem.split("-")[0])
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()
