"""The file of live behaviours as SQLite has it: a connection a thread, and what failures mean."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from infra.errors import ServingUnavailable

LONG_S = 10.0
"""Seconds that a start, or the taking over of a snapshot, waits for others that write."""

BRIEFLY_S = 0.1
"""Seconds for which the log waits for others: those that write wait with it."""

_Identity = tuple[int, int]

_LOOKS, _LOOK_S = 5, 0.02
"""At a log that is not there, and seconds after each: who just opens or closes the file ends."""


class LiveFile:
    """A SQLite database that the worker processes of a machine share."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.log = file.with_name(f"{file.name}-wal")
        self.index = file.with_name(f"{file.name}-shm")
        self._is: tuple[int, int] | None = None
        self._local = threading.local()
        self._is_stuck = False

    @contextmanager
    def transaction(self, patience_s: float | None = None) -> Iterator[sqlite3.Connection]:
        """This thread's connection; what is done with it counts whole, or not at all.

        Args:
            patience_s: for how long a request waits for others that write; `LONG_S` for what is
                no request. After one that waited in vain the next wait a tenth of it, until one
                gets through: each of them holds up everybody who only asks.

        Raises:
            ServingUnavailable: the disk is full, the file is locked for too long, it is spoilt, it
                is not the one of this process's first transaction, its log is not the one of this
                connection's, and the like.
        """
        self._require_same()
        self._require_same_log()
        wait_s = LONG_S if patience_s is None else patience_s / (10 if self._is_stuck else 1)
        try:
            with self.connection(wait_s) as database:
                yield database
                self._is_stuck &= not database.in_transaction  # a write has got through
            if getattr(self._local, "beside", None) is None:
                self._local.beside = self._beside()
        except sqlite3.DatabaseError as error:
            self._is_stuck |= getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            remedy = "Ask again; if it stays so, see to the disk of serve.work."
            if type(error) is sqlite3.DatabaseError:  # itself: the content is no database any more
                remedy = (
                    f"It is spoilt: stop the service, move {self.file.name}* away, and start it "
                    "again; what came in since the newest `sequences` is unknown then."
                )
            elif not isinstance(error, sqlite3.OperationalError):
                raise  # our own mistake
            raise ServingUnavailable(
                f"{self.file} could not be read or written: {error}. {remedy}"
            ) from error

    def empty_log(self) -> None:
        """Take into the file what stands in the log beside it, and cut that off.

        Its old pages hold what has been forgotten. Where others read on for longer than a request
        waits it stays, and the next call does it.
        """
        with self.transaction(BRIEFLY_S) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def connection(self, wait_s: float = LONG_S) -> sqlite3.Connection:
        """This thread's, which waits so long for others that write."""
        found: sqlite3.Connection | None = getattr(self._local, "database", None)
        if found is None:
            self._require_log()
            found = self._opened(LONG_S)
            found.execute("PRAGMA journal_mode=WAL")
            found.execute("PRAGMA synchronous=NORMAL")
            found.execute("PRAGMA secure_delete=ON")  # what is forgotten is on no page any more
            self._local.database = found
        if getattr(self._local, "wait_s", None) != wait_s:
            found.execute(f"PRAGMA busy_timeout = {round(1000 * wait_s)}")
            self._local.wait_s = wait_s
        return found

    def _opened(self, wait_s: float) -> sqlite3.Connection:
        there = f"{self.file.absolute().as_uri()}?mode=rw"  # an absent one is made by nobody
        return sqlite3.connect(there, timeout=wait_s, uri=True)

    def _beside(self) -> tuple[_Identity | None, _Identity | None]:
        """The log and its index, which has the locks, as they lie there."""
        return _identity(self.log), _identity(self.index)

    def _require_log(self) -> None:
        """Refuse to open the file where others have it open and its log, or the index, is gone.

        SQLite keeps both there until the last of them closes. Whoever opens the file without makes
        another one, sees no lock of theirs, and they spoil the file together.
        """
        for _ in range(_LOOKS):
            if all(self._beside()) or not self._is_open():
                return
            time.sleep(_LOOK_S)
        raise ServingUnavailable(self._lost("who has it open keeps what it held"))

    def _is_open(self) -> bool:
        """Whether anybody has the file open, in whichever process: it cannot be had alone."""
        with closing(self._opened(0.0)) as database:
            try:
                database.execute("PRAGMA locking_mode=EXCLUSIVE")
                database.execute("SELECT 1 FROM sqlite_master").fetchone()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                return True
        return False

    def _require_same_log(self) -> None:
        """Refuse to go on where the log that this thread's connection has open is not there.

        What it holds counts for nobody else, and is lost with the last who has it open. So it is
        taken into the file, unless another lies there: whose pages are where is unknown then. The
        same goes for the index.
        """
        mine = getattr(self._local, "beside", None)
        if mine is None or (found := self._beside()) == mine:
            return
        kept = False
        with suppress(sqlite3.Error):  # others may hold it up: the next call does it
            if all(now in (None, then) for now, then in zip(found, mine, strict=True)):
                cut_off = self._local.database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                kept = cut_off.fetchone()[0] == 0
        told = f"what it held stands in {self.file.name}" if kept else "what it held may be lost"
        raise ServingUnavailable(self._lost(told))

    def _lost(self, told: str) -> str:
        return (
            f"{self.log} or {self.index.name} was moved, removed or replaced while the service ran "
            f"({told}): stop the service, put neither there, and start it again."
        )

    def _require_same(self) -> None:
        """Refuse to go on where the file's name leads to another one now, or to none.

        A connection works on in a file that was removed: what it takes there is lost with it, and
        a process that starts meanwhile makes a file that the others do not see.
        """
        found = _identity(self.file)
        self._is = self._is or found
        if found is None or found != self._is:
            raise ServingUnavailable(
                f"{self.file} was moved, removed or replaced while the service ran: stop it, put "
                "the file back if it was moved away, and start it again; else what came in since "
                "the newest `sequences` is unknown then."
            )


def _identity(file: Path) -> _Identity | None:
    """Of the file that a name leads to; None where it leads to none."""
    try:
        stat = file.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
