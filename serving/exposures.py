"""What was shown, written as raw `impressions` that the next night reads: the loop is closed.

Each process appends lines to a spool file of its own, which it holds locked meanwhile; `flush`
moves the whole file under `raw/dt=D/impressions/` in one put, so nobody sees half a file. A spool
that nobody holds any more was left by a killed process and is moved at the next start or flush of
another; a process's number would not tell, since it is soon another's, in containers at once. What
can never be moved is set aside under another name. Where the spool's folder is removed it is made
anew, with what was open in it. A line has the columns of `impressions`, the model version, the
line, the predicted price level and the latency among them, and beside them the scores, for the A/B
read-out.
"""

import fcntl
import logging
import os
import re
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path

import numpy as np
import orjson

from features.property import EPOCH, LocalClock, day_number
from features.raw.raw_table import SERVED
from infra.errors import InputError, StoreError
from infra.store import Store
from serving.accepting import Trouble

logger = logging.getLogger(__name__)

DAYS_AHEAD = 2
"""Of a caller's own clock: clocks and time zones differ, but not by more."""
ASIDE = ".aside"
"""Added to the name of a spool file that cannot be moved: nobody tries it again."""
_WAIT = "exposures wait for the next flush, %d times since this was last said: %s"
_LOST = (
    "pages are answered and not logged, %d since this was last said: %s. Make room there, or see "
    "who may write."
)
_SPOOLED = re.compile(r"[0-9a-f]+-(?P<day>-?\d+)-\d+")
"""A spool file's name: its writer, days since 1970 (negative before it), number of the flush."""


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
    """From when the request came in to its ranked page, wait in the queue included."""


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
        self._wait = Trouble(time.monotonic, _WAIT)
        self._lost = Trouble(time.monotonic, _LOST)
        self._writer = uuid.uuid4().hex[:12]
        self._number = 0
        self._open: dict[int, tuple[int, Path]] = {}
        """Day -> its spool file, as a descriptor: open, and locked, until it is flushed."""
        spool.mkdir(parents=True, exist_ok=True)
        self.recover()

    def add(self, exposure: Exposure) -> bool:
        """Note a page; it outlives this process when this returns (not a loss of power).

        A disk that does not take it must not take the search down as well: the page is answered,
        and its exposure is lost, which comes back as False and is logged once in a while.
        """
        day = self._day(exposure.ts)
        line = orjson.dumps(exposure, option=orjson.OPT_APPEND_NEWLINE)
        try:
            with self._lock:
                _append(self._file(day), line)
        except OSError as error:
            self._lost.tell(f"{self.spool} cannot be written ({error.strerror or error})")
            return False
        return True

    def require(self, ts: int, newest: date, now: int) -> None:
        """Refuse the moment of a page for whose day no night would come.

        From the newest night's day, whose pages may come in late, up to DAYS_AHEAD days after it or
        after today, whichever is later: a marketplace may live in days of its own.

        Args:
            ts: of the page, UTC milliseconds.
            newest: the day of the newest night; EPOCH before any.
            now: UTC milliseconds.

        Raises:
            InputError: naming `ts` and the days that are taken.
        """
        today = self._day(now)
        known = today if newest == EPOCH else day_number(newest)
        first, last = known, max(known, today) + DAYS_AHEAD
        if newest == EPOCH:
            first -= DAYS_AHEAD
        day = self._day(ts)
        if not first <= day <= last:
            days = [date.fromordinal(EPOCH.toordinal() + number) for number in (first, last)]
            raise InputError(
                f"ts: a page that is logged must be of {days[0]} to {days[1]} ({self.clock.zone}). "
                'Send its own time, or "page": false for a question about another time.'
            )

    def flush(self) -> int:
        """Move what this process has noted, and what others left, under `raw/`; how many files.

        A file that the store does not take now stays for the next flush, whoever wrote it.
        """
        with self._lock:
            for day in tuple(self._open):
                with suppress(OSError):  # it stays open, with its pages: the next page or flush
                    self._file(day)
                    os.close(self._open.pop(day)[0])
            mine = set(self.spool.glob(f"{self._writer}-*.jsonl"))
            mine -= {path for _, path in self._open.values()}
            self._number += 1
        return self._move(mine | self._left())

    def recover(self) -> int:
        """Move what processes that are gone have left."""
        return self._move(self._left())

    def _left(self) -> set[Path]:
        return {file for file in self.spool.glob("*.jsonl") if _is_left(file)}

    def _day(self, ts: int) -> int:
        return int(self.clock.parts(np.array([ts])).day[0])

    def _file(self, day: int) -> int:
        """The day's spool file: it lies where the next flush looks, whatever became of the folder.

        What was written into one that was removed, or moved away, is written again.
        """
        before, path = self._open.get(day, (None, None))
        if before is not None and path is not None and _is_at(before, path):
            return before
        path = self.spool / f"{self._writer}-{day}-{self._number}.jsonl"
        self.spool.mkdir(exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            if before is not None:
                _append(file, os.pread(before, os.fstat(before).st_size, 0))
                os.close(before)
        except OSError:
            os.close(file)  # unlocked it would pass for one that was left
            raise
        self._open[day] = file, path
        return file

    def _move(self, files: Iterable[Path]) -> int:
        """Of a day that the store does not take the rest waits; it may take another day's."""
        moved = waiting = 0
        why = ""
        for _, of_day in groupby(sorted(files, key=_named_day), _named_day):
            rest = list(of_day)
            try:
                while rest:
                    moved += self._is_moved(rest[-1])
                    rest.pop()
            except StoreError as error:
                waiting, why = waiting + len(rest), str(error)
        if waiting:
            self._wait.tell(f"{self.spool} holds {waiting} such files. {why}")
        return moved

    def _is_moved(self, file: Path) -> bool:
        """Whether it was moved; what can never be is set aside. Raises: StoreError."""
        try:
            self._put(file)
        except FileNotFoundError:
            return False  # another process that has just started moved it
        except (OSError, ValueError, OverflowError) as error:
            _set_aside(file, error)
            return False
        return True

    def _put(self, file: Path) -> None:
        """Raises: StoreError, OSError; ValueError or OverflowError where the name says no day."""
        named = _SPOOLED.fullmatch(file.stem)
        if named is None:
            raise ValueError("its name says no day")
        day = date.fromordinal(EPOCH.toordinal() + int(named["day"]))
        # Of the last line, so that a file whose removal failed is put again under the same name.
        written = file.stat().st_mtime_ns
        folder = self.store.partition("raw", day, "impressions").key
        if content := file.read_bytes():  # empty: its only page found no room
            self.store.put(f"{folder}/{SERVED}{file.stem}-{written}.jsonl", content)
        file.unlink()


def _named_day(file: Path) -> str:
    named = _SPOOLED.fullmatch(file.stem)
    return named["day"] if named else ""


def _is_at(file: int, path: Path) -> bool:
    """Whether a name still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _set_aside(file: Path, error: Exception) -> None:
    """Rename a file that will never be moved, so that it neither ends nor delays anything."""
    aside = file.with_name(file.name + ASIDE)
    try:
        file.rename(aside)
        logger.warning("%s could not be moved under raw/: %s. It is now %s.", file, error, aside)
    except OSError as again:
        logger.warning("%s could be neither moved (%s) nor renamed (%s).", file, error, again)


def _append(file: int, line: bytes) -> None:
    """Write a whole line, or nothing: half of one would spoil the next."""
    size = os.fstat(file).st_size
    try:
        while line:  # a disk that gets full takes a part first
            line = line[os.write(file, line) :]
    except OSError:
        with suppress(OSError):
            os.ftruncate(file, size)
        raise


def _is_left(file: Path) -> bool:
    """Whether nobody writes to a spool file any more.

    An empty one is left alone: its writer may not have locked it yet.
    """
    try:
        with file.open("rb") as probe:  # another user's may only be read
            # Shared, since NFS gives no exclusive lock on what is only read; a writer's excludes it
            fcntl.flock(probe, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return os.fstat(probe.fileno()).st_size > 0
    except BlockingIOError:
        return False
    except OSError:
        return True  # whoever moves it says what is wrong with it
