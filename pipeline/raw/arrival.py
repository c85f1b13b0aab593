"""Whether the raw data of a day has arrived: whole, in pieces, again.

A table that `import` or `simulate` wrote is whole, because its manifest is. Plain files are whole
with `_SUCCESS` beside them (in the table's folder or the day's), else when nothing has changed for
a while. What a night has read is kept as one mark a table, so that a second arrival is noticed:
other files, or pages that the service added to a published table.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from features.carry import ONE_DAY
from features.raw import raw_names
from features.raw.raw_table import LOGS, TABLES
from infra.errors import PartitionCorrupt
from infra.store import Partition, Store
from pipeline.nights.config import NightlyConfig
from pipeline.raw import rawfiles

SUCCESS = "_SUCCESS"
LOOK_BACK = 40
"""Days that whoever asks how things stand looks at."""
AHEAD = (
    "dated ahead of this machine's clock (set the clock right, `touch` the files, or put "
    f"`{SUCCESS}` beside them)"
)
"""What is wrong with files of the future, and what to do."""
SKEW = timedelta(minutes=1)
"""That the clock of a disk or a store elsewhere may differ by, and nobody has to be told."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is there of one raw table."""

    name: str
    files: int
    bytes: int
    changed: datetime | None
    """Last change of a plain file; None where a manifest or `_SUCCESS` says that it is whole."""
    beside: tuple[str, ...] = ()
    """Plain files that are not read, since the table was imported."""
    lacking: bool = False
    """The service alone wrote to it, and the day before had the shop's own: that may yet come."""

    def whole(self, now: datetime, settle: timedelta) -> bool:
        """Whether nothing more is expected of it."""
        return self.changed is None or now - self.changed >= settle

    def said(self, now: datetime, settle: timedelta) -> str:
        """`impressions (2 files, 1.4 MB, changed 12 s ago)`."""
        size = f"{self.files} file{'s' * (self.files != 1)}, {self.bytes / 1e6:.1f} MB"
        if self.changed is None or self.whole(now, settle):
            return f"{self.name} ({size})"
        age_s = (now - self.changed).total_seconds()
        if self.ahead(now):
            return f"{self.name} ({size}, dated {-age_s / 3600:.1f} h ahead)"
        return f"{self.name} ({size}, changed {max(age_s, 0):.0f} s ago)"

    def ahead(self, now: datetime) -> bool:
        """Whether it is dated in the future, so that it would be waited for until then."""
        return self.changed is not None and self.changed - now > SKEW


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """What has arrived of a day, and what a night waits for."""

    day: date
    here: tuple[Table, ...]
    missing: tuple[str, ...]
    """Expected tables without a file."""
    moving: tuple[str, ...]
    """Tables whose files may still grow."""
    sentence: str

    @property
    def ready(self) -> bool:
        """Whether the night may begin."""
        return not self.missing and not self.moving


def judge(
    day: date,
    here: Sequence[Table],
    expected: Sequence[str],
    now: datetime,
    settle: timedelta,
    skipped: Mapping[str, Sequence[str]],
) -> Arrival:
    """What is missing or moving, in one sentence that names it.

    Args:
        day: the data day.
        here: its raw tables.
        expected: those that a night waits for.
        now: of the look.
        settle: how long plain files must have been still.
        skipped: by table, what is not read for its suffix or since it is no file.
    """
    names = {table.name for table in here if not table.lacking}
    missing = tuple(name for name in expected if name not in names)
    moving = tuple(
        table.name for table in here if table.name not in missing and not table.whole(now, settle)
    )
    said = ", ".join(table.said(now, settle) for table in here) or "nothing"
    unread = [name for table in missing for name in skipped.get(table, ())]
    why = f" ({raw_names.not_read(unread)})" if unread else ""
    if any(table.name in missing for table in here):
        why = f" but for pages that `dupn serve` wrote{why}"
    wanting = [f"{', '.join(missing)} not there{why}"] if missing else []
    ahead = [table.name for table in here if table.name in moving and table.ahead(now)]
    changing = [name for name in moving if name not in ahead]
    wanting += [f"{', '.join(changing)} still changing"] if changing else []
    wanting += [f"{', '.join(ahead)} {AHEAD}"] if ahead else []
    left = {table.name: raw_names.not_read_beside(table.beside) for table in here if table.beside}
    for table, files in skipped.items():
        if files and table not in missing:
            left[table] = raw_names.not_read(files)
    aside = "".join(f" {table}: {files}." for table, files in left.items())
    what = f"raw/dt={day}: {'; '.join(wanting)}. So far: {said}.{aside}" if wanting else ""
    return Arrival(
        day=day,
        here=tuple(here),
        missing=missing,
        moving=moving,
        sentence=what or f"raw/dt={day} is complete: {said}.{aside}",
    )


def look(store: Store, day: date, config: NightlyConfig, now: datetime | None = None) -> Arrival:
    """What has arrived of `day` by now."""
    found = [_table(store, day, name) for name in TABLES]
    return judge(
        day,
        [table for table in found if table],
        expected(store, day, config),
        now or datetime.now(UTC),
        timedelta(minutes=config.settle_minutes),
        {name: rawfiles.skipped(store.partition("raw", day, name)) for name in TABLES},
    )


def is_there(store: Store, day: date) -> bool:
    """Whether there are behaviours of the day: published whole, or as plain files."""
    return _table(store, day, "behaviors") is not None


def expected(store: Store, day: date, config: NightlyConfig) -> tuple[str, ...]:
    """Tables that a night waits for: behaviors and, as set, others, or the logs of the day before.

    What the service alone wrote was sent by nobody: none may ever come, nor does it end the waiting
    for a log that was sent the day before.
    """
    before = [name for name in LOGS if not config.tables and _was_sent(store, day - ONE_DAY, name)]
    return tuple(dict.fromkeys(["behaviors", *config.tables, *before]))


def say(found: Arrival) -> Mapping[str, Any]:
    """What has arrived, as a command's answer."""
    return {
        "day": found.day.isoformat(),
        "complete": found.ready,
        "missing": list(found.missing),
        "still changing": list(found.moving),
        "here": [f"{table.name} ({table.files} files)" for table in found.here],
        "sentence": found.sentence,
    }


def marks(store: Store, day: date) -> Mapping[str, str]:
    """One mark a raw table that is there; it changes when the table's content does.

    Of plain files it has the time to the second: `tar` keeps no more of it.
    """
    return _marks(store, day)


def _marks(store: Store, day: date, fraction: str = "seconds") -> Mapping[str, str]:
    found = {name: _mark(store, day, name, fraction) for name in TABLES}
    return {name: mark for name, mark in found.items() if mark}


def arrived_again(store: Store, days: Sequence[date]) -> list[date]:
    """Days whose raw data is not what their events were made of."""
    return [day for day in days if _is_other(store, day)]


def unread(store: Store) -> list[str]:
    """One sentence for each table of the newest days that has files which are not read.

    Of one whose manifest cannot be read, that it cannot.
    """
    days = store.dates("raw")[-LOOK_BACK:]
    tables = [store.partition("raw", day, name) for day in days for name in TABLES]
    return [said for one in tables if (said := _unread(one))]


def _unread(table: Partition) -> str:
    try:
        said = rawfiles.unread(table)
    except PartitionCorrupt as error:
        return str(error)
    return f"{table.key}: {said}." if said else ""


def _is_other(store: Store, day: date) -> bool:
    partition = store.partition("events", day, "behaviors")
    read = partition.manifest().lineage.get("raw", {}) if partition.exists() else {}
    now = marks(store, day)
    # Without a mark (made by an older version), or when raw was removed, nothing can be said; nor,
    # without behaviours, does anything read again what is left.
    if not read or "behaviors" not in now or dict(read) == now:
        return False
    return dict(read) != _marks(store, day, "auto")  # as older versions made them


def _was_sent(store: Store, day: date, name: str) -> bool:
    partition = store.partition("raw", day, name)
    plain = (file for file in partition.files() if raw_names.is_data(file))
    return partition.exists() or any(not raw_names.is_served(file) for file in plain)


def _table(store: Store, day: date, name: str) -> Table | None:
    partition = store.partition("raw", day, name)
    listed = store.listing(partition.key)
    if partition.exists():
        files = partition.manifest().files
        served = [size for file, (size, _) in listed.items() if raw_names.is_served(file)]
        size = sum(entry.bytes for entry in files) + sum(served)
        return Table(
            name=name,
            files=len(files) + len(served),
            bytes=size,
            changed=None,
            beside=tuple(rawfiles.beside(partition)),
        )
    data = {file: facts for file, facts in listed.items() if raw_names.is_data(file)}
    if not data:
        return None
    whole = SUCCESS in listed or SUCCESS in store.listing(store.partition("raw", day).key)
    size = sum(size for size, _ in data.values())
    changed = None if whole else store.touched(partition.key)
    alone = all(raw_names.is_served(file) for file in data)
    lacking = alone and SUCCESS not in listed and _was_sent(store, day - ONE_DAY, name)
    return Table(name=name, files=len(data), bytes=size, changed=changed, lacking=lacking)


def _mark(store: Store, day: date, name: str, fraction: str) -> str:
    partition = store.partition("raw", day, name)
    stamp = partition.stamp()
    counts = raw_names.is_served if stamp else raw_names.is_data
    plain = [
        f"{file} {size} {when.isoformat(timespec=fraction)}"
        for file, (size, when) in store.listing(partition.key).items()
        if counts(file)
    ]
    if not plain:
        return stamp
    told = "\n".join([stamp, *plain] if stamp else plain)
    return hashlib.sha256(told.encode(errors="surrogateescape")).hexdigest()[:16]
