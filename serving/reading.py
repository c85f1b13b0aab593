"""Whether the registry answers a service's looks, and since when it does not.

A service goes on with what it serves while MLflow is away, so nothing else would show that a
rollback does not reach it; one that has served nothing yet says that. The log has that at the first
look, the second, the fourth, and so on.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

logger = logging.getLogger(__name__)


@dataclass
class Reading:
    """Of one process."""

    why: str = ""
    """What went wrong at the last look; empty: nothing."""
    serves: bool = False
    """Whether anything is served; who looks says so."""
    since: datetime | None = None
    """Of the first of the looks that failed one after the other."""
    _began_s: float = 0.0
    """The same by a clock that nobody sets."""
    _failed: int = 0

    @contextmanager
    def look(self) -> Iterator[None]:
        """A block that reads the registry; what it raises is noted, and goes on."""
        try:
            yield
        except Exception as error:
            self._miss(error)
            raise
        if self.since is not None:
            logger.info("the registry answers again, after %d looks that failed", self._failed)
        self.why, self.since, self._failed = "", None, 0

    @property
    def unread_s(self) -> float:
        """Seconds for which the registry was not read; 0 where the last look was answered."""
        return 0.0 if self.since is None else time.monotonic() - self._began_s

    @property
    def told(self) -> str:
        """A sentence where it was not read; empty where it was."""
        since = self.since
        return f"not read since {since.isoformat(timespec='seconds')}: {self.why}" if since else ""

    def _miss(self, error: Exception) -> None:
        self._failed += 1
        self.why = str(error)
        if self.since is None:
            self.since, self._began_s = datetime.now(UTC), time.monotonic()
        if self._failed.bit_count() == 1:  # 1, 2, 4, ...: one look in seconds is many a night
            on = "what is served goes on, and a moved alias is not seen"
            meanwhile = on if self.serves else "nothing is served yet"
            logger.warning(
                "the registry was not read (look %d that fails): %s. %s",
                *(self._failed, meanwhile, error),
            )
