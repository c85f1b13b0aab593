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
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import PartitionCorrupt, PartitionMissing, StoreError

MANIFEST = "_manifest.json"
ROW_GROUP_BYTES = 16 * 2**20
"""Size of a Parquet row group, before compression."""


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file that counts; `low`/`high` bound the user hashes inside (None: not bucketed)."""

    name: str
    rows: int
    bytes: int
    sha256: str
    low: int | None = None
    high: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a published partition holds. `counts` is the sum of the files' counts."""

    files: tuple[FileEntry, ...]
    rows: int
    counts: Mapping[str, int]
    lineage: Mapping[str, Any]
    schema: str = ""
    written_at: str = ""


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
        fs = _filesystem(self.root)
        folder = f"{self.root}/{stage}"
        if not fs.exists(folder):
            return []
        found = []
        for path in fs.ls(folder, detail=False):
            name = path.rstrip("/").rsplit("/", 1)[-1]
            if name.startswith("dt="):
                day = date.fromisoformat(name[3:])
                if self.partition(stage, day, *names).exists():
                    found.append(day)
        return sorted(found)

    def latest(self, stage: str, at_or_before: date, *names: str) -> "Partition | None":
        """The newest published partition of `stage` that is not after the day, or None."""
        days = [day for day in self.days(stage, *names) if day <= at_or_before]
        return self.partition(stage, days[-1], *names) if days else None

    def put(self, key: str, content: bytes | str) -> str:
        """Write one file whole (reports, ledgers); its full address comes back."""
        data = content.encode() if isinstance(content, str) else content
        path = f"{self.root}/{key}"
        _put(_filesystem(self.root), path, data)
        return path

    def put_new(self, key: str, content: bytes | str) -> bool:
        """Write one file only if there is none under `key`; False if there was one."""
        data = content.encode() if isinstance(content, str) else content
        return _put_new(_filesystem(self.root), f"{self.root}/{key}", data)

    def get(self, key: str) -> bytes | None:
        """The content of one file, or None."""
        fs = _filesystem(self.root)
        path = f"{self.root}/{key}"
        return fs.cat_file(path) if fs.exists(path) else None

    def names(self, folder: str) -> list[str]:
        """Names of what lies directly in `folder`, sorted; none if it is absent."""
        fs = _filesystem(self.root)
        path = f"{self.root}/{folder}"
        if not fs.exists(path):
            return []
        return sorted(item.rstrip("/").rsplit("/", 1)[-1] for item in fs.ls(path, detail=False))

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
        return bool(_filesystem(self.root).exists(f"{self.path}/{MANIFEST}"))

    def names(self) -> list[str]:
        """Names of what lies directly in the folder, published or not, sorted."""
        return Store(self.root).names(self.key)

    def manifest(self) -> Manifest:
        """The manifest of a published partition.

        Raises:
            PartitionMissing: nothing is published under this key.
            PartitionCorrupt: the manifest cannot be read.
        """
        fs = _filesystem(self.root)
        try:
            raw = fs.cat_file(f"{self.path}/{MANIFEST}")
        except FileNotFoundError:
            raise PartitionMissing(
                f"{self.key} is not published under {self.root}. {_remedy(self.key)}"
            ) from None
        try:
            data = json.loads(raw)
            files = tuple(FileEntry(**entry) for entry in data.pop("files"))
            return Manifest(files=files, **data)
        except (ValueError, TypeError, KeyError) as error:
            raise PartitionCorrupt(
                f"{self.key}/{MANIFEST} cannot be read ({error}). {_remedy(self.key)}"
            ) from None

    def require(self) -> "Partition":
        """Itself, or `PartitionMissing`."""
        self.manifest()
        return self

    @contextmanager
    def publish(self, **lineage: Any) -> Iterator["Attempt"]:
        """Write files through the attempt; they become the partition if the block succeeds."""
        attempt = Attempt(partition=self, id=uuid.uuid4().hex[:10])
        start = time.monotonic()
        try:
            yield attempt
            seconds = round(time.monotonic() - start, 3)
            attempt.commit({**lineage, "wall_s": seconds})
        except OSError as error:
            raise StoreError(
                f"{self.key} could not be written: {error}. Free space or mend the permissions "
                "and run the step again; what was published before still holds."
            ) from error

    def open(self, entry: FileEntry) -> IO[bytes]:
        """One file of the partition, for reading."""
        path = f"{self.path}/{entry.name}"
        try:
            return _filesystem(self.root).open(path, "rb")
        except FileNotFoundError:
            raise PartitionCorrupt(
                f"{self.key} lists {entry.name}, which is gone. {_remedy(self.key)}"
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
        tables = []
        for entry in chosen:
            with self.open(entry) as source:
                try:
                    tables.append(
                        pq.read_table(source, columns=list(columns) if columns else None, **read)
                    )
                except pa.ArrowInvalid as error:
                    raise PartitionCorrupt(
                        f"{self.key}/{entry.name} cannot be read: {error}. {_remedy(self.key)}"
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
                found = _sha256(source)
            if found != entry.sha256:
                raise PartitionCorrupt(
                    f"{self.key}/{entry.name} is not the file that was published "
                    f"(SHA-256 {found[:12]}, manifest {entry.sha256[:12]}). {_remedy(self.key)}"
                )

    def digest(self) -> str:
        """SHA-256 over the rows in order, whatever files they lie in (equal data, equal digest).

        Reads the whole partition into memory: for tests and small tables.
        """
        table = self.table().combine_chunks().unify_dictionaries()
        sink = io.BytesIO()
        plain = table.replace_schema_metadata(None)
        # Parquet, because an Arrow stream also holds whatever lies in memory under a null.
        rows = max(plain.num_rows, 1)
        pq.write_table(plain, sink, compression="none", store_schema=False, row_group_size=rows)
        return hashlib.sha256(sink.getvalue()).hexdigest()

    def sweep(self, older_than_s: float = 86_400) -> int:
        """Remove files that the manifest does not list and no running attempt can still own."""
        fs = _filesystem(self.root)
        keep = {entry.name for entry in self.manifest().files} | {MANIFEST}
        removed = 0
        for info in fs.ls(self.path, detail=True):
            name = info["name"].rsplit("/", 1)[-1]
            modified = info.get("mtime") or info.get("LastModified") or 0
            stamp = modified.timestamp() if isinstance(modified, datetime) else float(modified)
            if info["type"] == "file" and name not in keep and time.time() - stamp > older_than_s:
                fs.rm_file(info["name"])
                removed += 1
        return removed


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
        _put(_filesystem(self.partition.root), f"{self.partition.path}/{unique}", data)
        digest = hashlib.sha256(data).hexdigest()
        return FileEntry(name=unique, rows=rows, bytes=len(data), sha256=digest)

    def write_file(self, name: str, source: Path, *, rows: int = 0) -> FileEntry:
        """Upload a local file (checkpoints, memory maps) and return its entry."""
        return self.write_bytes(name, source.read_bytes(), rows=rows)

    def record(self, entries: Sequence[FileEntry], **facts: Any) -> None:
        """Note files (and facts for the lineage) that belong to this attempt."""
        content = {"files": [asdict(entry) for entry in entries], "facts": facts}
        name = f"_entries-{self.id}-{uuid.uuid4().hex[:8]}.json"
        path = f"{self.partition.path}/{name}"
        _put(_filesystem(self.partition.root), path, json.dumps(content).encode())

    def recorded(self) -> list[FileEntry]:
        """What has been recorded so far, so that counts can be checked before the commit."""
        fs = _filesystem(self.partition.root)
        found: dict[str, FileEntry] = {}
        for note in fs.glob(f"{self.partition.path}/_entries-{self.id}-*.json"):
            content = json.loads(fs.cat_file(note))
            found.update({entry["name"]: FileEntry(**entry) for entry in content["files"]})
        return sorted(found.values(), key=lambda entry: entry.name)

    def commit(self, lineage: Mapping[str, Any]) -> Manifest:
        """Make every recorded file the partition, in one atomic write."""
        fs = _filesystem(self.partition.root)
        notes = fs.glob(f"{self.partition.path}/_entries-{self.id}-*.json")
        entries: dict[str, FileEntry] = {}
        facts: dict[str, Any] = {}
        for note in notes:
            content = json.loads(fs.cat_file(note))
            entries.update({entry["name"]: FileEntry(**entry) for entry in content["files"]})
            facts.update(content["facts"])
        files = tuple(sorted(entries.values(), key=lambda entry: entry.name))
        counts: dict[str, int] = {}
        for entry in files:
            for name, count in entry.counts.items():
                counts[name] = counts.get(name, 0) + count
        manifest = Manifest(
            files=files,
            rows=sum(entry.rows for entry in files),
            counts=dict(sorted(counts.items())),
            lineage={**lineage, **facts},
            schema=self._schema(files),
            written_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        text = json.dumps(asdict(manifest), indent=1, default=str)
        _put(fs, f"{self.partition.path}/{MANIFEST}", text.encode())
        for note in notes:
            fs.rm_file(note)
        return manifest

    def _schema(self, files: Sequence[FileEntry]) -> str:
        parquet = next((entry for entry in files if entry.name.endswith(".parquet")), None)
        if parquet is None:
            return ""
        with self.partition.open(parquet) as source:
            return pq.read_schema(source).remove_metadata().to_string()


@dataclass(frozen=True)
class _Root:
    root: str

    @cached_property
    def fs(self) -> Any:
        return fsspec.core.url_to_fs(self.root)[0]


_ROOTS: dict[tuple[int, str], _Root] = {}


def _filesystem(root: str) -> Any:
    """One filesystem object per process and root (S3 clients do not survive a fork)."""
    known = _ROOTS.setdefault((os.getpid(), root), _Root(root))
    return known.fs


def _put(fs: Any, path: str, data: bytes | memoryview) -> None:
    if not _is_local(fs):
        fs.pipe_file(path, bytes(data))
        return
    target = Path(fs._strip_protocol(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with scratch.open("wb") as sink:
            sink.write(data)
            sink.flush()
            if target.name == MANIFEST:
                os.fsync(sink.fileno())
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)


def _put_new(fs: Any, path: str, data: bytes) -> bool:
    if not _is_local(fs):
        try:
            fs.pipe_file(path, data, mode="create")
        except FileExistsError:
            return False
        return True
    target = Path(fs._strip_protocol(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    scratch.write_bytes(data)
    try:
        os.link(scratch, target)  # fails if the name is taken: create-if-absent, content whole
    except FileExistsError:
        return False
    finally:
        scratch.unlink()
    return True


def _sha256(source: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := source.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _row_group_rows(table: pa.Table) -> int:
    """Rows of `ROW_GROUP_BYTES`: readers that stream hold one row group, wide or narrow."""
    each = table.nbytes / max(table.num_rows, 1)
    return max(1024, min(1024 * 1024, int(ROW_GROUP_BYTES / max(each, 1))))


def _is_local(fs: Any) -> bool:
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def _remedy(key: str) -> str:
    """The command that publishes `key`."""
    stage, _, rest = key.partition("/")
    day = rest[3:13] if rest.startswith("dt=") else ""
    commands = {
        "raw": "import or dupn simulate",
        "rejects": "events",
        "catalog": "vocabulary",
        "truth": "simulate",
        "checkpoints": "train",
        "bundles": "bundle",
        "reports": {"offline": "evaluate"}.get(rest.partition("/")[0], rest.partition("/")[0]),
    }
    command = commands.get(stage, stage)
    if stage == "raw":
        return f"Run `dupn {command}`, or put the day's files there."
    return f"Run `dupn {command}{f' --day {day}' if day else ''}` first."
