"""Whether the history store answers the requests of a process, and since when it does not.

While it is away each page is a 503, of which its caller alone knows why; nothing else would show an
operator that the store is the reason, since the service itself is ready.
"""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from infra.errors import ServingUnavailable

logger = logging.getLogger(__name__)

READ, WRITTEN = "read", "written"
"""What is asked of a store: on a full disk one still works."""
LINE_S = 60
"""Seconds between two lines of the log, however many requests are refused."""
QUIET_S = 300.0
"""Seconds after which a refusal says nothing of now: nobody has asked this process since."""


@dataclass(frozen=True)
class Outage:
    """Requests of a kind that failed, one after the other.

    Seconds are those of a clock that nobody sets.
    """

    since: datetime
    began_s: float
    last_s: float
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
        """From the first to the last request that was refused; 0 where it answered at last."""
        return max((one.last_s - one.began_s for one in self._lasting().values()), default=0.0)

    @property
    def told(self) -> str:
        """A sentence where it refuses; empty where it answered at last."""
        return " ".join(
            f"not {what} since {one.since.isoformat(timespec='seconds')}: {one.why}"
            for what, one in self._lasting().items()
        )

    def _lasting(self) -> Mapping[str, Outage]:
        """What is refused here is tried again elsewhere: one that nobody asks may not go on."""
        now_s = time.monotonic()
        asked = tuple(self._now.items())
        return {what: one for what, one in asked if now_s - one.last_s < QUIET_S}

    def _note(self, what: str, why: str) -> None:
        now_s = time.monotonic()
        first = Outage(datetime.now(UTC), now_s, now_s, 0, why)
        before = self._lasting().get(what, first)
        self._now[what] = replace(before, last_s=now_s, failed=before.failed + 1, why=why)
        if now_s - self._said >= LINE_S:
            self._said = now_s
            logger.warning(
                "histories were not %s (%d requests since %s, answered with 503): %s",
                what, before.failed + 1, before.since.isoformat(timespec="seconds"), why,
            )  # fmt: skip
