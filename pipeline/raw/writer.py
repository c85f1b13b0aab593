"""Many days of raw written at once, in bounded memory.

A log may be sorted by user, so every block of it may hold rows of every day. Rows wait per day;
when too many wait, the largest days are written out. Nothing is visible before all of it is.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from features.raw import raw_names
from features.raw.dataset import Dataset
from features.raw.raw_table import LISTED, LOGS
from infra.errors import InputError
from infra.files import sha256, writing
from infra.store import Attempt, FileEntry, Partition, Store
from pipeline.raw import one_log, replaced

logger = logging.getLogger(__name__)

BLOCK_ROWS = 262_144
HELD_BYTES = 512 * 2**20
"""Of rows, as Arrow has them, kept in memory before the largest days are written out."""


@dataclass(frozen=True)
class Source:
    """A file, the table that it belongs to, and the name that rows keep of it."""

    path: Path
    table: str
    name: str

    def digest(self) -> str:
        """SHA-256 of its bytes."""
        with self.path.open("rb") as stream:
            return sha256(stream)


@dataclass
class _Day:
    attempt: Attempt
    held: list[pa.Table] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    written: list[FileEntry] = field(default_factory=list)
    before: int = 0
    """Rows that are published there now."""


class RawWriter:
    """Days being written; beside the block that comes in, about HELD_BYTES of them in memory."""

    def __init__(
        self,
        store: Store,
        dataset: Dataset,
        sources: Sequence[Source],
        stack: ExitStack,
        *,
        replace: bool,
    ) -> None:
        self.store, self.dataset, self.stack, self.replace = store, dataset, stack, replace
        self.brings_log = any(source.table in LOGS for source in sources)
        if self.brings_log and not replace:  # days that go are known when all rows are read
            one_log.require(store, dataset.name)
        self.files: dict[str, dict[str, str]] = {source.table: {} for source in sources}
        for source in sorted(sources, key=lambda source: source.name):
            self.files[source.table][source.name] = source.digest()
        self.open: dict[tuple[str, date], _Day] = {}
        self.former: dict[str, list[set[str]]] = {}  # digests of files that days were imported from
        self.held = 0
        self.recorded = False
        stack.push(self._discard)  # before the attempts: it comes after them

    def add(self, name: str, day: date, rows: pa.Table) -> None:
        """Take rows of one day."""
        at = self.open.get((name, day)) or self._begin(name, day)
        at.held.append(rows)
        at.rows += rows.num_rows
        at.bytes += rows.nbytes
        self.held += rows.nbytes
        if self.held > HELD_BYTES:
            for entry in sorted(self.open.values(), key=lambda d: -d.bytes):
                if self.held <= HELD_BYTES // 2:
                    break
                self._write(entry)

    def flush(self) -> None:
        """Write everything that is held."""
        for day in self.open.values():
            self._write(day)

    def record(self) -> None:
        """Note the files; leaving the stack then publishes the days.

        Raises:
            InputError: since its writing began a day got rows of other files, or files; or the
                home holds days of another data set.
        """
        for (name, of), day in self.open.items():
            day.attempt.record(day.written)
            rows = sum(entry.rows for entry in day.written)
            if name in LOGS and 2 * rows < day.before:
                logger.warning(
                    "raw/dt=%s/%s had %s rows and gets %s: was a straggler of another day's file "
                    "put in its place? To mend it, import all files of that day with --replace.",
                    of, name, f"{day.before:,}", f"{rows:,}",
                )  # fmt: skip
        if self.brings_log:
            days = [of for name, of in self.open if name == "behaviors"]
            one_log.require(self.store, self.dataset.name, days)
        for name, of in self.open:  # last: minutes may have gone by since `_begin`
            self._refuse(name, of)
        self.recorded = True

    def take_back(self) -> None:
        """Take back days of logs that these files gave before and, read now, no longer have.

        Another time zone moves rows to other days: what stayed behind would count twice. A product
        table stays wherever it is, since it may be meant for several days. To be called once the
        days are published.
        """
        for name in [name for name in LOGS if name in self.files]:
            mine = set(self.files[name].values())
            for day in self.store.days("raw", name):
                partition = self.store.partition("raw", day, name)
                before = partition.manifest().lineage
                theirs = set(before.get("sha256", {}).values())
                same = before.get("dataset") == self.dataset.name and theirs and theirs <= mine
                if same and (name, day) not in self.open:
                    partition.take_back()
                    logger.warning(
                        "%s is taken back: it held rows of these files, which have none of that "
                        "day any more. What was made of it stays; make the days after it anew.",
                        partition.key,
                    )

    def rows_of_days(self) -> dict[date, int]:
        """Rows of logs by day so far, in the order of days."""
        found: Counter[date] = Counter()
        for (name, day), at in self.open.items():
            if name in LOGS:
                found[day] += at.rows + sum(entry.rows for entry in at.written)
        return dict(sorted(found.items()))

    def counts(self) -> dict[str, int]:
        """`<table>_rows` and `<table>_days`."""
        found: Counter[str] = Counter()
        for (name, _), day in self.open.items():
            found[f"{name}_rows"] += sum(entry.rows for entry in day.written)
            found[f"{name}_days"] += 1
        return dict(sorted(found.items()))

    def told(self) -> dict[str, list[str]]:
        """As `note`, and as warnings, what the published days leave as it was, if anything."""
        written: dict[str, set[date]] = {}
        for name, day in self.open:
            written.setdefault(name, set()).add(day)
        # a day that is new is of a log that goes on: what lies before it is not withdrawn
        former = {name: set().union(*days) for name, days in self.former.items() if all(days)}
        found = replaced.sentences(self.store, written, former, replace=self.replace)
        for sentence in found:
            logger.warning("%s", sentence)
        return {"note": found} if found else {}

    def _discard(self, _: object, error: BaseException | None, __: object) -> None:
        """Leave nothing of an import that ended before any of its days was published.

        After Ctrl-C, too: its notes go then, and no sweep could tell whose the files are.
        """
        if error is not None and not self.recorded:
            for day in self.open.values():
                day.attempt.discard()

    def _begin(self, name: str, day: date) -> _Day:
        partition = self._refuse(name, day)
        lineage = {
            "dataset": self.dataset.name,
            "files": list(self.files[name]),
            "sha256": self.files[name],
            "description": self.dataset.text,
            "described_in": str(Path(self.dataset.source).absolute()),
        }
        attempt = self.stack.enter_context(partition.publish(**lineage))
        before = partition.manifest() if partition.exists() else None
        mine = before.lineage.get("sha256", {}).values() if before else ()
        self.former.setdefault(name, []).append({*mine})
        self.open[name, day] = _Day(attempt, before=before.rows if before else 0)
        return self.open[name, day]

    def _refuse(self, name: str, day: date) -> Partition:
        """The partition, if what it holds may be replaced."""
        partition = self.store.partition("raw", day, name)
        if self.replace:
            return partition
        if partition.exists():
            _refuse_others(partition, self.dataset.name, self.files[name])
        else:
            _refuse_plain(partition)
        return partition

    def _write(self, day: _Day) -> None:
        if not day.held:
            return
        by_schema: dict[str, list[pa.Table]] = {}
        for rows in day.held:
            by_schema.setdefault(str(rows.schema.remove_metadata()), []).append(rows)
        for alike in by_schema.values():
            name = f"{LISTED}part-{len(day.written):05d}"
            whole = pa.concat_tables(alike)
            day.written.append(day.attempt.write_table(name, whole, row_group_size=BLOCK_ROWS))
        self.held -= day.bytes
        day.held, day.rows, day.bytes = [], 0, 0


def _refuse_plain(partition: Partition) -> None:
    """Refuse a day whose files lie there as they came: what is imported would hide them.

    Raises:
        InputError: naming them.
    """
    found = filter(raw_names.is_data, partition.files())
    plain = [one for one in found if not raw_names.is_served(one)]
    if plain:
        raise InputError(
            f"{partition.key} already holds files that were put there: "
            f"{raw_names.some(plain)}. They are read where they lie, and would not be beside "
            "imported ones. Give --replace to read the imported ones alone; to have both, put "
            "these files beside them instead of importing them."
        )


def _refuse_others(partition: Partition, dataset: str, files: Mapping[str, str]) -> None:
    """Refuse a day that holds rows of anything but these very files.

    Raises:
        InputError: naming what is there, how it differs, and how to replace it or add to it.
    """
    manifest = partition.manifest()
    before = manifest.lineage
    if before.get("dataset") == dataset and before.get("sha256") == files:
        return
    held = ", ".join(before.get("files", ())) or f"data set {before.get('dataset')}"
    raise InputError(
        f"{partition.key} already holds rows of {held} ({manifest.rows:,} rows)"
        f"{_difference(before, files)}. {_late(partition)}Give --replace with all files of the day "
        f"together to add to them; with these alone it takes the place of its {manifest.rows:,} "
        "rows."
    )


def _late(partition: Partition) -> str:
    """What a shop that imports day by day does with a file that has late rows of a former day."""
    name = partition.key.rpartition("/")[2]
    if name not in LOGS:
        return ""
    return (
        "If what these files have of it came late, in a file of a later day, put that file as it "
        f"is into raw/dt=DAY/{name} of the day on which it came, instead of importing it: there "
        "late rows are taken. "
    )


def _difference(before: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """What tells files of the same name apart, where that is not plain from their names."""
    known = before.get("sha256", {})
    for name, digest in files.items():
        there = known.get(name, digest)
        if there != digest:
            return f", and {name} is another file (SHA-256 {digest[:12]}, there {there[:12]})"
    return ""


class Spill:
    """Rows put aside on disk, in files of one schema each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def __enter__(self) -> "Spill":
        with writing(str(self.folder)):
            self.folder.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def add(self, rows: pa.Table) -> None:
        """Put rows aside."""
        with writing(str(self.folder)):
            pq.write_table(rows, self.folder / f"{self.count:06d}.parquet")
        self.count += 1


def read_back(folder: Path) -> Iterator[pa.Table]:
    """What a `Spill` put aside, in its order."""
    for path in sorted(folder.iterdir()):
        yield pq.read_table(path)
