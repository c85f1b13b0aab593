"""The one place where paths are joined: partitions that are whole or absent.

**The manifest is the partition.** A writer puts files under names unique to its attempt and
then replaces `_manifest.json` in one atomic write (a rename on a local disk, a single put on an
object store). The manifest lists the files that count, their rows and SHA-256, counts, and the
lineage. Readers resolve it once and read just those files; so a rerun replaces a partition, a
killed writer leaves nothing visible, and of two writers at once the last wins whole. Files of
lost attempts are swept later (`Partition.sweep`).

The root is a local path or any fsspec URI (`s3://bucket/prefix`). `Partition` and `Attempt` are
small picklable values, so that Beam workers can write through them.
"""

import hashlib
import io
import json
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import PartitionCorrupt, PartitionMissing
from infra.files import filesystem, is_local, local, modified, put, put_new, sha256, writing
from infra.manifest import MANIFEST, FileEntry, Manifest, digest_of, mend, remedy

__all__ = ["MANIFEST", "Attempt", "FileEntry", "Manifest", "Partition", "Store"]

ROW_GROUP_BYTES = 16 * 2**20
"""Size of a Parquet row group, before compression."""

FOLDER = ".folder"
"""End of the name of a folder that is part of a partition (`Attempt.folder`)."""


class Store:
    """`DUPN_HOME`: everything the project writes.

    Args:
        root: a local path or an fsspec URI.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        text = os.fspath(root)
        self.root = text.rstrip("/") if "://" in text else str(Path(text).absolute())

    def partition(self, stage: str, day: date | None = None, *names: str) -> "Partition":
        """`stage/dt=day/names...`; nothing is touched."""
        parts = [stage, *([f"dt={day.isoformat()}"] if day else []), *names]
        return Partition(root=self.root, key="/".join(parts))

    def days(self, stage: str, *names: str) -> list[date]:
        """Days for which `stage` is published, oldest first."""
        days = self.dates(stage)
        return [day for day in days if self.partition(stage, day, *names).exists()]

    def dates(self, folder: str) -> list[date]:
        """Days that have a folder below `folder`, published or not, oldest first."""
        return sorted(day for name in self.names(folder) if (day := _day(name)))

    def latest(self, stage: str, at_or_before: date, *names: str) -> "Partition | None":
        """The newest published partition of `stage` that is not after the day, or None."""
        for day in reversed(self.dates(stage)):  # looks at one or two days, not at all history
            partition = self.partition(stage, day, *names)
            if day <= at_or_before and partition.exists():
                return partition
        return None

    def put(self, key: str, content: bytes | str) -> str:
        """Write one file whole (reports, ledgers); its full address comes back."""
        data = content.encode() if isinstance(content, str) else content
        path = f"{self.root}/{key}"
        put(filesystem(self.root), path, data)
        return path

    def put_new(self, key: str, content: bytes | str) -> bool:
        """Write one file only if there is none under `key`; False if there was one."""
        data = content.encode() if isinstance(content, str) else content
        return put_new(filesystem(self.root), f"{self.root}/{key}", data)

    def get(self, key: str) -> bytes | None:
        """The content of one file, or None."""
        fs = filesystem(self.root)
        path = f"{self.root}/{key}"
        return fs.cat_file(path) if fs.exists(path) else None

    def names(self, folder: str) -> list[str]:
        """Names of what lies directly in `folder`, sorted; none if it is absent."""
        fs = filesystem(self.root)
        path = f"{self.root}/{folder}"
        if not fs.exists(path):
            return []
        return sorted(item.rstrip("/").rsplit("/", 1)[-1] for item in fs.ls(path, detail=False))

    def listing(self, folder: str) -> dict[str, tuple[int, datetime]]:
        """Files that lie directly in `folder`: bytes, and when each was last changed (UTC)."""
        fs = filesystem(self.root)
        path = f"{self.root}/{folder}"
        if not fs.exists(path):
            return {}
        found = [info for info in fs.ls(path, detail=True, refresh=True) if info["type"] == "file"]
        names = [info["name"].rsplit("/", 1)[-1] for info in found]
        return {
            name: (int(info["size"]), modified(info))
            for name, info in sorted(zip(names, found, strict=True), key=lambda pair: pair[0])
        }

    def address(self, *parts: str) -> str:
        """The full address of something below the root (for messages, MLflow, scratch space)."""
        return "/".join([self.root, *parts])

    @property
    def is_local(self) -> bool:
        """Whether the root is a path of this machine."""
        return "://" not in self.root


@dataclass(frozen=True)
class Partition:
    """A folder whose manifest says what counts."""

    root: str
    key: str

    @property
    def path(self) -> str:
        """Full address of the folder."""
        return f"{self.root}/{self.key}"

    def exists(self) -> bool:
        """Whether it is published."""
        return bool(filesystem(self.root).exists(f"{self.path}/{MANIFEST}"))

    def names(self) -> list[str]:
        """Names of what lies directly in the folder, published or not, sorted."""
        return Store(self.root).names(self.key)

    def manifest(self) -> Manifest:
        """The manifest of a published partition.

        Raises:
            PartitionMissing: nothing is published under this key.
            PartitionCorrupt: the manifest cannot be read.
        """
        fs = filesystem(self.root)
        try:
            raw = fs.cat_file(f"{self.path}/{MANIFEST}")
        except FileNotFoundError:
            raise PartitionMissing(
                f"{self.key} is not published under {self.root}. {remedy(self.key)}"
            ) from None
        try:
            return Manifest.read(raw)
        except (ValueError, TypeError, KeyError) as error:
            raise PartitionCorrupt(
                f"{self.key}/{MANIFEST} cannot be read ({error}). {mend(self.key)}"
            ) from None

    def stamp(self) -> str:
        """`Manifest.stamp`, or an empty text where nothing is published."""
        return self.manifest().stamp if self.exists() else ""

    def remove(self) -> int:
        """Take the partition back: manifest first, then its files; the bytes that came free.

        Partitions inside its folder stay. A reader that has resolved the manifest already may
        find its files gone, so this is for what no reader wants any more.
        """
        fs = filesystem(self.root)
        if not fs.exists(self.path):
            return 0
        if self.exists():
            fs.rm_file(f"{self.path}/{MANIFEST}")
        freed = 0
        for path, files in self._lying().items():
            fs.rm(path, recursive=True) if path.endswith(FOLDER) else fs.rm_file(path)
            freed += sum(int(info.get("size") or 0) for info in files)
        if is_local(fs) and not fs.ls(self.path, detail=False):
            fs.rmdir(self.path)
        return freed

    def require(self) -> "Partition":
        """Itself, or `PartitionMissing`."""
        self.manifest()
        return self

    @contextmanager
    def publish(self, **lineage: Any) -> Iterator["Attempt"]:
        """Write files through the attempt; they become the partition if the block succeeds."""
        attempt = Attempt(partition=self, id=uuid.uuid4().hex[:10])
        start = time.monotonic()
        yield attempt
        attempt.commit({**lineage, "wall_s": round(time.monotonic() - start, 3)})

    def open(self, entry: FileEntry) -> IO[bytes]:
        """One file of the partition, for reading."""
        path = f"{self.path}/{entry.name}"
        try:
            return filesystem(self.root).open(path, "rb")
        except FileNotFoundError:
            raise PartitionCorrupt(
                f"{self.key} lists {entry.name}, which is gone. {mend(self.key)}"
            ) from None

    def table(
        self,
        columns: Sequence[str] | None = None,
        entries: Sequence[FileEntry] | None = None,
        **read: Any,
    ) -> pa.Table:
        """The rows of `entries` (default: all files) in manifest order; grows with what is asked.

        Args:
            columns: names to read; all by default.
            entries: a subset of `manifest().files`.
            read: passed to `pyarrow.parquet.read_table`.
        """
        chosen = self.manifest().files if entries is None else entries
        names = list(columns) if columns else None
        tables = []
        for entry in chosen:
            with self.open(entry) as source:
                try:
                    tables.append(
                        pq.read_table(
                            source, columns=names, page_checksum_verification=True, **read
                        )
                    )
                except (pa.ArrowInvalid, OSError) as error:
                    if isinstance(error, OSError) and error.errno:
                        raise  # the disk's own words; Arrow's about the content have no number
                    said = str(error).rstrip(".")
                    raise PartitionCorrupt(
                        f"{self.key}/{entry.name} cannot be read: {said}. {mend(self.key)}"
                    ) from None
        if not tables:
            return pa.table({})
        return pa.concat_tables(tables) if len(tables) > 1 else tables[0]

    def verify(self) -> None:
        """Read every byte and compare with the manifest.

        Raises:
            PartitionCorrupt: naming the first file that differs.
        """
        for entry in self.manifest().files:
            with self.open(entry) as source:
                self._compare(entry, source)

    def folder(self, scratch: Path) -> Path:
        """The folder that was published (`Attempt.folder`), every byte compared, on this machine.

        Args:
            scratch: where it is copied from an object store; on a local disk nothing is copied.

        Raises:
            PartitionCorrupt: naming the first file that differs.
        """
        files = [entry for entry in self.manifest().files if "/" in entry.name]
        if not files:
            raise PartitionCorrupt(f"{self.key} holds no folder. {mend(self.key)}")
        fs = filesystem(self.root)
        here = local(fs, self.path) if is_local(fs) else scratch
        for entry in files:
            if here is scratch:
                (scratch / entry.name).parent.mkdir(parents=True, exist_ok=True)
                fs.get_file(f"{self.path}/{entry.name}", str(scratch / entry.name))
            with (here / entry.name).open("rb") as source:
                self._compare(entry, source)
        return here / files[0].name.partition("/")[0]

    def _compare(self, entry: FileEntry, source: IO[bytes]) -> None:
        found = sha256(source)
        if found != entry.sha256:
            raise PartitionCorrupt(
                f"{self.key}/{entry.name} is not the file that was published "
                f"(SHA-256 {found[:12]}, manifest {entry.sha256[:12]}). {mend(self.key)}"
            )

    def digest(self) -> str:
        """SHA-256 over the rows in order, whatever files they lie in (equal data, equal digest).

        Reads the whole partition into memory: for tests and small tables.
        """
        return digest_of(self.table())

    def sweep(self, older_than_s: float = 86_400) -> int:
        """Remove files that the manifest does not list and no running attempt can still own.

        Where nothing is published, that is every old file: never to be called on raw.
        """
        fs = filesystem(self.root)
        files = self.manifest().files if self.exists() else ()
        keep = {entry.name.partition("/")[0] for entry in files} | {MANIFEST}
        removed = 0
        for path, found in self._lying().items():
            youngest = max((_stamp(info) for info in found), default=0.0)
            if path.rsplit("/", 1)[-1] not in keep and time.time() - youngest > older_than_s:
                fs.rm(path, recursive=True) if path.endswith(FOLDER) else fs.rm_file(path)
                removed += 1
        return removed

    def _lying(self) -> dict[str, list[dict[str, Any]]]:
        """What lies here and is no partition of its own: addresses -> the files behind them."""
        fs = filesystem(self.root)
        found = {}
        for info in fs.ls(self.path, detail=True, refresh=True):
            if info["type"] == "file":
                found[info["name"]] = [info]
            elif info["name"].rstrip("/").endswith(FOLDER):
                path = info["name"].rstrip("/")
                found[path] = list(fs.find(path, detail=True).values()) or [info]
        return found


@dataclass(frozen=True)
class Attempt:
    """One try at writing a partition; picklable, so that workers write through it."""

    partition: Partition
    id: str

    def write_table(
        self,
        name: str,
        table: pa.Table,
        *,
        low: int | None = None,
        high: int | None = None,
        counts: Mapping[str, int] | None = None,
        **options: Any,
    ) -> FileEntry:
        """Write one Parquet file and return its entry. Hand the entry to `record` (once).

        Args:
            name: a stem that is unique within the partition and sorts as the rows should.
            table: the rows.
            low: smallest user hash that may be in the file.
            high: one past the largest.
            counts: figures of this file; the manifest holds their sums over files.
            options: passed to `pyarrow.parquet.write_table`.
        """
        options = {
            "compression": "zstd",
            "compression_level": 1,
            "row_group_size": _row_group_rows(table),
            "write_page_checksum": True,  # a rotten byte is an error, never another number
            **options,
        }
        sink = io.BytesIO()
        pq.write_table(table, sink, **options)
        entry = self.write_bytes(f"{name}.parquet", sink.getbuffer(), rows=table.num_rows)
        return FileEntry(
            **{**asdict(entry), "low": low, "high": high, "counts": dict(counts or {})}
        )

    def write_bytes(self, name: str, data: bytes | memoryview, *, rows: int = 0) -> FileEntry:
        """Write one file of any format and return its entry."""
        stem, dot, suffix = name.rpartition(".")
        unique = f"{stem}-{self.id}.{suffix}" if dot else f"{name}-{self.id}"
        put(filesystem(self.partition.root), f"{self.partition.path}/{unique}", data)
        digest = hashlib.sha256(data).hexdigest()
        return FileEntry(name=unique, rows=rows, bytes=len(data), sha256=digest)

    def write_file(self, name: str, source: Path, *, rows: int = 0) -> FileEntry:
        """Upload a local file (checkpoints, memory maps) and return its entry."""
        return self.write_bytes(name, source.read_bytes(), rows=rows)

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A local folder to write in; its files are recorded, under their paths, when it is left.

        For what is read as files of a disk (memory maps, an index). On a local store it lies in
        the partition from the start, so that nothing is copied; elsewhere it is uploaded.
        """
        fs = filesystem(self.partition.root)
        unique = f"{name}-{self.id}{FOLDER}"
        path = f"{self.partition.path}/{unique}"
        place = local(fs, path) if is_local(fs) else Path(tempfile.mkdtemp())
        with writing(path):
            place.mkdir(parents=True, exist_ok=True)
        try:
            yield place
            entries = [_entry(unique, place, file) for file in sorted(place.rglob("*"))]
            written = [entry for entry in entries if entry is not None]
            if not is_local(fs):
                for entry in written:
                    inner = entry.name.partition("/")[2]
                    fs.put_file(str(place / inner), f"{path}/{inner}")
            self.record(written)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        if not is_local(fs):
            shutil.rmtree(place)

    def record(self, entries: Sequence[FileEntry], **facts: Any) -> None:
        """Note files (and facts for the lineage) that belong to this attempt."""
        content = {"files": [asdict(entry) for entry in entries], "facts": facts}
        name = f"_entries-{self.id}-{uuid.uuid4().hex[:8]}.json"
        path = f"{self.partition.path}/{name}"
        put(filesystem(self.partition.root), path, json.dumps(content).encode())

    def recorded(self) -> list[FileEntry]:
        """What has been recorded so far, so that counts can be checked before the commit."""
        return self._noted(self._notes())[0]

    def commit(self, lineage: Mapping[str, Any]) -> Manifest:
        """Make every recorded file the partition, in one atomic write."""
        fs = filesystem(self.partition.root)
        notes = self._notes()
        entries, facts = self._noted(notes)
        manifest = Manifest.of(entries, {**lineage, **facts}, self._schema(entries))
        path = f"{self.partition.path}/{MANIFEST}"
        put(fs, path, manifest.written().encode(), durable=True)
        with writing(self.partition.path):
            for note in notes:
                fs.rm_file(note)
        return manifest

    def _notes(self) -> list[str]:
        fs = filesystem(self.partition.root)
        return sorted(fs.glob(f"{self.partition.path}/_entries-{self.id}-*.json"))

    def _noted(self, notes: Sequence[str]) -> tuple[list[FileEntry], dict[str, Any]]:
        """The recorded entries in the order of their names, and the recorded facts."""
        fs = filesystem(self.partition.root)
        entries: dict[str, FileEntry] = {}
        facts: dict[str, Any] = {}
        for note in notes:
            content = json.loads(fs.cat_file(note))
            entries.update({entry["name"]: FileEntry(**entry) for entry in content["files"]})
            facts.update(content["facts"])
        return sorted(entries.values(), key=lambda entry: entry.name), facts

    def _schema(self, files: Sequence[FileEntry]) -> str:
        own = (entry for entry in files if "/" not in entry.name)
        parquet = next((entry for entry in own if entry.name.endswith(".parquet")), None)
        if parquet is None:
            return ""
        with self.partition.open(parquet) as source:
            return pq.read_schema(source).remove_metadata().to_string()


def _entry(folder: str, place: Path, file: Path) -> FileEntry | None:
    """A file of a folder; None for folders, and for the locks of those who wrote there."""
    if not file.is_file() or file.name.endswith(".lock"):
        return None
    with file.open("rb") as source:
        digest = sha256(source)
    name = f"{folder}/{file.relative_to(place).as_posix()}"
    return FileEntry(name=name, rows=0, bytes=file.stat().st_size, sha256=digest)


def _stamp(info: Mapping[str, Any]) -> float:
    """When a file was last changed, in seconds; long ago where nobody knows."""
    changed = info.get("mtime") or info.get("LastModified") or 0
    return changed.timestamp() if isinstance(changed, datetime) else float(changed)


def _day(name: str) -> date | None:
    """Of a folder `dt=D`; somebody's `dt=backup` is none of ours."""
    try:
        return date.fromisoformat(name[3:]) if name.startswith("dt=") and len(name) == 13 else None
    except ValueError:
        return None


def _row_group_rows(table: pa.Table) -> int:
    """Rows of `ROW_GROUP_BYTES`: readers that stream hold one row group, wide or narrow."""
    each = table.nbytes / max(table.num_rows, 1)
    return max(1024, min(1024 * 1024, int(ROW_GROUP_BYTES / max(each, 1))))
