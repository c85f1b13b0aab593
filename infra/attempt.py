"""One try at writing a partition: files under names of its own, then one atomic manifest.

A small picklable value, so that Beam workers can write through it. A file is written from memory,
whole: a table as its Parquet bytes, a checkpoint as all of its bytes. Only `folder` is not.
"""

import hashlib
import io
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra.errors import StoreError
from infra.files import filesystem, is_local, local, names_in, put, settle, sha256, writing
from infra.manifest import MANIFEST, FileEntry, Manifest
from infra.scratch import scratch_folder

if TYPE_CHECKING:
    from infra.partition import Partition

ROW_GROUP_BYTES = 16 * 2**20
"""Size of a Parquet row group, before compression."""

FOLDER = ".folder"
"""End of the name of a folder that is part of a partition (`Attempt.folder`)."""


@dataclass(frozen=True)
class Attempt:
    """One try at writing a partition; picklable, so that workers write through it."""

    partition: "Partition"
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

    @contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A local folder to write in; its files are recorded, under their paths, when it is left.

        For what is read as files of a disk (memory maps, an index). On a local store it lies in
        the partition from the start, so that nothing is copied; elsewhere it is uploaded.
        """
        fs = filesystem(self.partition.root)
        unique = f"{name}-{self.id}{FOLDER}"
        path = f"{self.partition.path}/{unique}"
        if not is_local(fs):
            with scratch_folder() as place:
                yield place
                written = _entries(unique, place)
                for entry in written:
                    inner = entry.name.partition("/")[2]
                    fs.put_file(str(place / inner), f"{path}/{inner}")
                self.record(written)
            return
        place = local(fs, path)
        with writing(path):
            place.mkdir(parents=True, exist_ok=True)
        try:
            yield place
            self.record(_entries(unique, place))
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Put the first note, the oldest of them: if notes are swept away, so is this one.

        A block that fails takes it back.
        """
        self._note("begun", {"files": [], "facts": {}})
        try:
            yield
        except BaseException:
            with suppress(OSError, StoreError):  # the error to tell is the block's
                filesystem(self.partition.root).rm_file(self._path("begun"))
            raise

    def discard(self) -> None:
        """Remove all that it wrote, of an attempt that fails: no sweep has to come first."""
        fs, path = filesystem(self.partition.root), self.partition.path
        with suppress(OSError, StoreError):  # the error to tell is that of the attempt
            for name in names_in(fs, path):
                if f"-{self.id}" in name:
                    fs.rm(f"{path}/{name}", recursive=name.endswith(FOLDER))

    def record(self, entries: Sequence[FileEntry], **facts: Any) -> None:
        """Note files (and facts for the lineage) that belong to this attempt."""
        content = {"files": [asdict(entry) for entry in entries], "facts": facts}
        self._note(uuid.uuid4().hex[:8], content)

    def recorded(self) -> list[FileEntry]:
        """What has been recorded so far, so that counts can be checked before the commit."""
        return self._noted(self._notes())[0]

    def commit(self, lineage: Mapping[str, Any]) -> Manifest:
        """Make every recorded file the partition, in one atomic write.

        A local disk holds the files before it holds the manifest, so that no power cut leaves one
        that lists files without their bytes.

        Raises:
            StoreError: the notes are gone, so nobody knows what was written.
        """
        fs = filesystem(self.partition.root)
        notes = self._notes()
        if self._path("begun") not in notes:
            raise StoreError(
                f"{self.partition.key} was swept while it was written, so what is there is not "
                "whole. Run again; what was published before still holds. If its writer takes "
                "longer than retention.attempt_hours, raise that."
            )
        entries, facts = self._noted(notes)
        manifest = Manifest.of(entries, {**lineage, **facts}, self._schema(entries))
        settle(fs, self.partition.path, [entry.name for entry in entries])
        path = f"{self.partition.path}/{MANIFEST}"
        put(fs, path, manifest.written().encode(), durable=True)
        with writing(self.partition.path):
            for note in notes:
                fs.rm_file(note)
        return manifest

    def _path(self, name: str) -> str:
        return f"{self.partition.path}/_entries-{self.id}-{name}.json"

    def _note(self, name: str, content: Mapping[str, Any]) -> None:
        put(filesystem(self.partition.root), self._path(name), json.dumps(content).encode())

    def _notes(self) -> list[str]:
        path = self.partition.path
        names = names_in(filesystem(self.partition.root), path)  # no pattern: a path may hold [1]
        return [f"{path}/{name}" for name in names if name.startswith(f"_entries-{self.id}-")]

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


def _entries(folder: str, place: Path) -> list[FileEntry]:
    """The files of a folder, without the locks of those who wrote there."""
    files = [
        one for one in sorted(place.rglob("*")) if one.is_file() and not one.name.endswith(".lock")
    ]
    return [_entry(f"{folder}/{one.relative_to(place).as_posix()}", one) for one in files]


def _entry(name: str, file: Path) -> FileEntry:
    with file.open("rb") as source:
        digest = sha256(source)
    return FileEntry(name=name, rows=0, bytes=file.stat().st_size, sha256=digest)


def _row_group_rows(table: pa.Table) -> int:
    """Rows of `ROW_GROUP_BYTES`: readers that stream hold one row group, wide or narrow."""
    each = table.nbytes / max(table.num_rows, 1)
    return max(1024, min(1024 * 1024, int(ROW_GROUP_BYTES / max(each, 1))))
