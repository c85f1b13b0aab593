"""Whether the history store answers the requests of a process, and since when it does not.

While it is away each page is a 503, of which its caller alone knows why; nothing else would show an
operator that the store is the reason, since the service itself is ready.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from infra.errors import ServingUnavailable

logger = logging.getLogger(__name__)

READ, WRITTEN = "read", "written"
"""What is asked of a store: on a full disk one still works."""
LINE_S = 60
"""Seconds between two lines of the log, however many requests are refused."""


@dataclass(frozen=True)
class Outage:
    """Requests of a kind that failed, one after the other."""

    since: datetime
    failed: int
    why: str
    """Of the last."""


@dataclass
class Outages:
    """Of one process."""

    _now: dict[str, Outage] = field(default_factory=dict)
    """By what fails."""
    _said: float = -LINE_S
    """When the log was told last."""

    @contextmanager
    def watch(self, what: str) -> Iterator[None]:
        """A block that asks the store; that it is refused is noted, and goes on."""
        try:
            yield
        except ServingUnavailable as error:
            self._note(what, str(error))
            raise
        if self._now:  # hardly ever
            self._now.pop(what, None)

    @property
    def seconds(self) -> float:
        """For how long the store has refused; 0 where it answered at last."""
        begun = [one.since for one in tuple(self._now.values())]
        return (datetime.now(UTC) - min(begun)).total_seconds() if begun else 0.0

    @property
    def told(self) -> str:
        """A sentence where it refuses; empty where it answered at last."""
        return " ".join(
            f"not {what} since {one.since.isoformat(timespec='seconds')}: {one.why}"
            for what, one in tuple(self._now.items())
        )

    def _note(self, what: str, why: str) -> None:
        before = self._now.get(what)
        since, failed = (before.since, before.failed) if before else (datetime.now(UTC), 0)
        self._now[what] = Outage(since, failed + 1, why)
        if time.monotonic() - self._said >= LINE_S:
            self._said = time.monotonic()
            logger.warning(
                "histories were not %s (%d requests since %s, answered with 503): %s",
                what, failed + 1, since.isoformat(timespec="seconds"), why,
            )  # fmt: skip
