"""A folder of the store that is whole or absent: its manifest says what counts.

A small picklable value, so that Beam workers can read through it.
"""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from infra.attempt import FOLDER, Attempt
from infra.errors import PartitionCorrupt, PartitionMissing
from infra.files import (
    ABSENT,
    files_in,
    filesystem,
    is_local,
    local,
    lying,
    modified,
    names_in,
    sha256,
    there,
    writing,
)
from infra.installed import CODE, code
from infra.manifest import MANIFEST, FileEntry, Manifest, digest_of, mend, remedy
from infra.reading import Opened, require_spoilt, unreadable

Lying = dict[str, list[dict[str, Any]]]
"""Addresses of files and of folders that are part of a partition -> the files behind each."""


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
        """Whether it is published.

        Raises:
            StoreError: its folder may not be entered, so nobody knows.
        """
        return there(filesystem(self.root), f"{self.path}/{MANIFEST}")

    def names(self) -> list[str]:
        """Names of what lies directly in the folder, published or not, sorted."""
        return names_in(filesystem(self.root), self.path)

    def files(self) -> list[str]:
        """Those of them that are files: no folders, no pipes."""
        return list(files_in(filesystem(self.root), self.path))

    def manifest(self) -> Manifest:
        """The manifest of a published partition.

        Raises:
            PartitionMissing: nothing is published under this key.
            PartitionCorrupt: what is in the manifest cannot be read.
            StoreError: nobody gets at it.
        """
        path = f"{self.path}/{MANIFEST}"
        try:
            raw = filesystem(self.root).cat_file(path)
        except ABSENT:
            raise PartitionMissing(
                f"{self.key} is not published under {self.root}. {remedy(self.key)}"
            ) from None
        except OSError as error:
            raise unreadable(path, error) from error
        try:
            return Manifest.read(raw)
        except (ValueError, TypeError, KeyError) as error:
            raise PartitionCorrupt(
                f"{self.key}/{MANIFEST} cannot be read ({error}). {mend(self.key)}"
            ) from None

    def stamp(self) -> str:
        """`Manifest.stamp`, or an empty text where nothing is published."""
        try:
            return self.manifest().stamp
        except PartitionMissing:
            return ""

    def remove(self) -> int:
        """Take the partition back: manifest first, then its files; the bytes that came free.

        Partitions inside its folder stay. A reader that has resolved the manifest already may
        find its files gone, so this is for what no reader wants any more.

        Raises:
            StoreError: the disk is read-only, it is not permitted, and the like.
        """
        fs = filesystem(self.root)
        if not there(fs, self.path):
            return 0
        if self.exists():
            self._remove(f"{self.path}/{MANIFEST}")
        freed = 0
        for path, files in self.lying().items():
            self._remove(path)
            freed += sum(int(info.get("size") or 0) for info in files)
        if is_local(fs) and not lying(fs, self.path):
            with writing(self.path):
                fs.rmdir(self.path)
        return freed

    def take_back(self) -> None:
        """Publish it no more: manifest first, then the files that it lists; others there stay.

        Raises:
            StoreError: as of `remove`.
        """
        for name in (MANIFEST, *(entry.name for entry in self.manifest().files)):
            self._remove(f"{self.path}/{name}")

    def _remove(self, path: str) -> None:
        """Take away what lies there, unless somebody else has."""
        fs = filesystem(self.root)
        with writing(path), suppress(*ABSENT):
            fs.rm(path, recursive=True) if path.endswith(FOLDER) else fs.rm_file(path)

    def require(self) -> "Partition":
        """Itself, or `PartitionMissing`."""
        self.manifest()
        return self

    def resolved(self) -> "Partition":
        """Itself as it is published now: what is published later does not mix in.

        Raises:
            PartitionMissing: nothing is published under this key.
        """
        return _Resolved(self.root, self.key, self.manifest())

    @contextmanager
    def publish(self, **lineage: Any) -> Iterator[Attempt]:
        """Write files through the attempt; they become the partition if the block succeeds."""
        attempt = Attempt(partition=self, id=uuid.uuid4().hex[:10])
        start = time.monotonic()
        with attempt.begun():
            yield attempt
        attempt.commit({**lineage, CODE: code(), "wall_s": round(time.monotonic() - start, 3)})

    def open(self, entry: FileEntry) -> IO[bytes]:
        """One file of the partition, for reading.

        Raises:
            PartitionCorrupt: it is gone.
            StoreError: it cannot be opened; so does every read that fails.
        """
        path = f"{self.path}/{entry.name}"
        try:
            return cast(IO[bytes], Opened(filesystem(self.root).open(path, "rb"), path))
        except FileNotFoundError:
            raise PartitionCorrupt(
                f"{self.key} lists {entry.name}, which is gone. {mend(self.key)}"
            ) from None
        except OSError as error:
            raise unreadable(path, error) from error

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
        wanted = list(columns) if columns else None
        tables = []
        for entry in chosen:
            with self.open(entry) as source, self._sound(entry):
                tables.append(
                    pq.read_table(source, columns=wanted, page_checksum_verification=True, **read)
                )
        if not tables:
            return pa.table({})
        return pa.concat_tables(tables) if len(tables) > 1 else tables[0]

    def batches(self, entry: FileEntry, size: int, *groups: int) -> Iterator[pa.RecordBatch]:
        """Rows of a file, or of row `groups` of it, `size` at most at a time: memory is one group.

        Raises:
            PartitionCorrupt: a byte is not what was written.
        """
        with self.open(entry) as source, self._sound(entry):
            file = pq.ParquetFile(source, page_checksum_verification=True)
            for group in groups or range(file.num_row_groups):
                yield from file.iter_batches(batch_size=size, row_groups=[group])

    def footer(self, entry: FileEntry) -> pq.FileMetaData:
        """What a Parquet file says of itself: its row groups, and how many values each column has.

        Raises:
            PartitionCorrupt: it cannot be read.
        """
        with self.open(entry) as source, self._sound(entry):
            return pq.read_metadata(source)

    @contextmanager
    def _sound(self, entry: FileEntry) -> Iterator[None]:
        """A block in which what Arrow cannot read of a file becomes a `PartitionCorrupt`.

        What a store says, with a number or without one, stays a `StoreError`: it may answer later.
        """
        try:
            yield
        except (pa.ArrowInvalid, OSError) as error:
            require_spoilt(error, f"{self.path}/{entry.name}")
            said = str(error).rstrip(".")
            raise PartitionCorrupt(
                f"{self.key}/{entry.name} cannot be read: {said}. {mend(self.key)}"
            ) from None

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

    def sweep(
        self,
        older_than_s: float = 86_400,
        ours: Callable[[str], bool] = lambda _: True,
        lying: Lying | None = None,
    ) -> int:
        """Remove files that the manifest does not list and no running attempt can still own.

        Where nothing is published, that is every old file. A store that does not tell when a file
        was changed keeps all of them. The manifest is read only where there is an old file.

        Args:
            older_than_s: age in seconds below which an attempt may still want its files.
            ours: whether a file of that name is one of an attempt, where others lie beside them.
            lying: what lies here, of one who knows.

        Raises:
            StoreError: as of `remove`.
        """
        now = time.time()
        old = {
            path: name
            for path, found in (self.lying() if lying is None else lying).items()
            if (name := path.rsplit("/", 1)[-1]) != MANIFEST and ours(name)
            if now - max(modified(info) for info in found).timestamp() > older_than_s
        }
        try:
            files = self.manifest().files if old else ()
        except PartitionMissing:
            files = ()
        keep = {entry.name.partition("/")[0] for entry in files}
        lost = [path for path, name in old.items() if name not in keep]
        for path in lost:
            self._remove(path)
        return len(lost)

    def lying(self) -> Lying:
        """What lies here and is no partition of its own: addresses -> the files behind them."""
        fs = filesystem(self.root)
        found: Lying = {}
        for info in lying(fs, self.path):
            if info["type"] == "file":
                found[info["name"]] = [info]
            elif info["name"].rstrip("/").endswith(FOLDER):
                path = info["name"].rstrip("/")
                found[path] = list(fs.find(path, detail=True).values()) or [info]
        return found


@dataclass(frozen=True)
class _Resolved(Partition):
    """A partition whose manifest has been read, whoever looks into it and however often."""

    known: Manifest = field(repr=False, compare=False)

    def exists(self) -> bool:
        """It was."""
        return True

    def manifest(self) -> Manifest:
        """The one that was read."""
        return self.known
