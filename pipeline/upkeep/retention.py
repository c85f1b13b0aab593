"""Which partitions have had their day: what `dupn sweep` removes, as plain rules over days.

State (sequences, statistics) is read by the night after and the one after that, so a few days are
enough; a night sweeps when it ends, and must find what it read if it is run again. Vocabulary and
catalog of a day are what its samples are trained and asked with: they stay as long as the samples
of that day may be used. Raw is never touched.
"""

from collections.abc import Iterable
from datetime import date, timedelta

from pydantic import Field

from infra.config import CENTURY, Config

LEAST = 3
"""Days of state that a night has a hand in: its own, yesterday's, and statistics of the day before,
which its samples read."""


class RetentionConfig(Config):
    """How long what can be built again is kept, counted back from the newest day of samples."""

    state_days: int = Field(14, ge=LEAST, le=CENTURY)
    """Days of sequences and statistics. `dupn rebuild` builds older ones again, from events."""
    tables_days: int = Field(60, ge=LEAST, le=CENTURY)
    """Days of vocabulary and catalog: samples of older days need `dupn rebuild` to be trained.
    Those stay that what champion, challenger or previous has still to learn is read with, days
    that were left out among it."""
    samples_days: int | None = Field(None, ge=LEAST, le=CENTURY)
    """Days of samples; none: for ever. What champion, challenger or previous has still to learn
    stays. A champion of further back may lack days that have gone; the night tells which."""
    events_days: int | None = Field(None, ge=LEAST, le=CENTURY)
    """Days of events and rejects; none: for ever. State that is lost later is built from those of
    all days before: `dupn events` reads from raw again what has gone."""
    bundle_days: int = Field(14, ge=LEAST, le=CENTURY)
    """Days of disassembled bundles, by the day of their tables. Those of champion, previous and
    challenger stay, and those of versions that `serve.shares` names; `dupn bundle --version N`
    builds an older one again, unless its run key was bundled anew since."""
    attempt_hours: float = Field(24.0, gt=0)
    """Files of attempts that never became a partition are removed when they are older."""

    def days_of(self, stage: str) -> int | None:
        """How many days of a stage stay; None: all."""
        if stage in ("vocabulary", "catalog"):
            return max(self.tables_days, self.state_days)
        if stage == "samples":
            return self.samples_days
        if stage == "bundles":
            return self.bundle_days
        if stage in ("events", "rejects"):
            return None if self.events_days is None else max(self.events_days, self.state_days + 1)
        return self.state_days


def outdated(days: Iterable[date], newest: date, keep: int | None) -> list[date]:
    """Days that lie `keep` days or more before `newest`; none where all are kept."""
    if keep is None:
        return []
    return sorted(day for day in days if day <= newest - timedelta(days=keep))
