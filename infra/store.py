"""Where keys become addresses below the root: partitions that are whole or absent.

Keys of partitions are put together here; that of a single file (`reports/...`) is spelt by one
module: that which writes it or, if many read it, one that all of them may import.

**The manifest is the partition.** A writer puts files under names unique to its attempt and
then replaces `_manifest.json` in one atomic write (a rename on a local disk, a single put on an
object store). The manifest lists the files that count, their rows and SHA-256, counts, and the
lineage. Readers resolve it once and read just those files; so a rerun replaces a partition, a
killed writer leaves nothing visible, and of two writers at once the last wins whole. Files of
lost attempts are swept later (`Partition.sweep`).

The root is a folder whose file system has hard links, or the fsspec URI of a store that can refuse
to write a name twice: `s3://bucket/prefix`, which is tested (the server must honour `If-None-Match`
as AWS does); `memory://` within one process. One whose client cannot is refused
(`infra.elsewhere.require_create`), any other is untried.

`Partition` (`infra.partition`) and `Attempt` (`infra.attempt`) are small picklable values, so that
Beam workers can write through them.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path

from infra.addresses import bare
from infra.attempt import FOLDER, Attempt
from infra.errors import StoreError
from infra.files import (
    ABSENT,
    below,
    files_in,
    filesystem,
    is_local,
    local,
    modified,
    names_in,
    put,
    put_new,
    put_there,
    unreadable,
    writing,
)
from infra.looked import Looked
from infra.manifest import MANIFEST, FileEntry, Manifest
from infra.partition import Lying, Partition

__all__ = [
    "MANIFEST",
    "Attempt",
    "FileEntry",
    "Manifest",
    "Partition",
    "Store",
    "is_published",
    "stamps",
]


_APART = re.compile(r"[/\\\x00]")


class Store:
    """`DUPN_HOME`: everything the project writes.

    Args:
        root: a local path or an fsspec URI, as above.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        text = os.fspath(root)
        self.root = text.rstrip("/") if "://" in text else str(Path(text).absolute())

    def partition(self, stage: str, day: date | None = None, *names: str) -> Partition:
        """`stage/dt=day/names...`; nothing is touched.

        Raises:
            StoreError: a name would lead to another folder, or out of the store.
        """
        for name in names:
            if name in ("", ".", "..") or _APART.search(name):
                raise StoreError(
                    f"{name!r} cannot be a partition of {stage}: it names another folder. Give it "
                    "a name without a slash."
                )
        parts = [stage, *([f"dt={day.isoformat()}"] if day else []), *names]
        return Partition(root=self.root, key="/".join(parts))

    def days(self, stage: str, *names: str) -> list[date]:
        """Days for which `stage` is published, oldest first."""
        days = self.dates(stage)
        return [day for day in days if self.partition(stage, day, *names).exists()]

    def backwards(self, stage: str, *names: str) -> Iterator[date]:
        """The same, newest first; of a day is asked when it is its turn, not of all history."""
        days = reversed(self.dates(stage))
        return (day for day in days if self.partition(stage, day, *names).exists())

    def dates(self, folder: str) -> list[date]:
        """Days that have a folder below `folder`, published or not, oldest first."""
        return sorted(day for name in self.names(folder) if (day := _day(name)))

    def newest(self, stage: str, *names: str) -> date | None:
        """The newest day for which `stage` is published."""
        return next(self.backwards(stage, *names), None)

    def latest(self, stage: str, at_or_before: date, *names: str) -> Partition | None:
        """The newest published partition of `stage` that is not after the day, or None.

        Day by day: of a table that few days have, ask `features.held`.
        """
        for day in reversed(self.dates(stage)):
            partition = self.partition(stage, day, *names)
            if day <= at_or_before and partition.exists():
                return partition
        return None

    def resolved(self) -> "Store":
        """Itself as it is now: every manifest, folder and file is looked at once, when asked for.

        For a question about many partitions of a store that may lie across a network. What is
        published later is not seen, so nobody keeps it for longer than the question.
        """
        return _Resolved(self.root)

    def put(self, key: str, content: bytes | str) -> str:
        """Write one file whole (reports, ledgers); its full address comes back."""
        data = content.encode() if isinstance(content, str) else content
        path = f"{self.root}/{key}"
        put(filesystem(self.root), path, data)
        return path

    def put_new(self, key: str, content: bytes | str) -> bool:
        """Write one file only if there is none under `key`; False if there was one.

        Elsewhere than on a disk one of the same bytes is taken for this one (`files.put_new`).
        """
        data = content.encode() if isinstance(content, str) else content
        return put_new(filesystem(self.root), f"{self.root}/{key}", data)

    def get(self, key: str) -> bytes | None:
        """The content of one file, or None.

        Raises:
            StoreError: it may not be read.
        """
        fs, path = filesystem(self.root), f"{self.root}/{key}"
        try:
            content: bytes = fs.cat_file(path)
        except ABSENT:
            return None
        except PermissionError as error:
            raise unreadable(path, error) from error
        return content

    def remove(self, key: str) -> None:
        """Take one file away, if it is there."""
        path = f"{self.root}/{key}"
        with writing(path), suppress(*ABSENT):
            filesystem(self.root).rm_file(path)

    def names(self, folder: str) -> list[str]:
        """Names of what lies directly in `folder`, sorted; none if it is absent."""
        return names_in(filesystem(self.root), f"{self.root}/{folder}")

    def listing(self, folder: str) -> dict[str, tuple[int, datetime]]:
        """Files that lie directly in `folder`: bytes, and when each was last changed (UTC)."""
        found = files_in(filesystem(self.root), f"{self.root}/{folder}")
        return {name: (int(info["size"]), modified(info)) for name, info in found.items()}

    def lying(self, folder: str) -> dict[Partition, Lying]:
        """Of each folder below `folder`, what `Partition.lying` says of it, asked all at once."""
        fs, path = filesystem(self.root), f"{self.root}/{folder}"
        base = str(local(fs, path)) if is_local(fs) else path.partition("://")[2]
        found: dict[Partition, Lying] = {}
        for info in below(fs, path):
            parts = info["name"].strip("/").removeprefix(f"{base.strip('/')}/").split("/")
            ends = (depth for depth, part in enumerate(parts[:-1]) if part.endswith(FOLDER))
            last = next(ends, len(parts) - 1)
            whole = info["name"].removesuffix("/".join(["", *parts[last + 1 :]]))
            is_mark = info["name"].endswith("/")  # of a folder that was made in a console
            if not is_mark and (info["type"] == "file" or last < len(parts) - 1):
                place = Partition(self.root, "/".join([folder, *parts[:last]]))
                found.setdefault(place, {}).setdefault(whole, []).append(info)
        return found

    def lying_by_day(self, folder: str) -> dict[Partition, Lying]:
        """The same of folders of days, and of those directly inside one."""
        found = self.lying(folder).items()
        return {one: lying for one, lying in found if _by_day(one.key.removeprefix(f"{folder}/"))}

    def within(self, folder: str) -> list[Partition]:
        """What is published in any folder below `folder`, asked all at once."""
        return [one for one, lying in self.lying(folder).items() if is_published(lying)]

    def touched(self, folder: str) -> datetime | None:
        """When a file that lies directly in `folder` last came or was changed (UTC).

        Copies that keep the time of their source (`cp -p`, `rsync -a`) are as new as they are here.
        """
        found = files_in(filesystem(self.root), f"{self.root}/{folder}").values()
        return max((max(modified(info), put_there(info)) for info in found), default=None)

    def nothing_yet(self) -> str:
        """The sentence about a store in which nothing is, as a mistyped one; else empty."""
        try:
            found = names_in(filesystem(self.root), self.root)
        except StoreError:
            if self.is_local:  # a folder that may not be entered: whoever reads it tells that
                return ""
            raise
        if found:
            return ""
        return (
            f"there is nothing in {bare(self.root)} yet. See that --home or DUPN_HOME is "
            "right; `dupn import` and `dupn simulate` begin one."
        )

    def address(self, *parts: str) -> str:
        """The full address of something below the root (for messages, MLflow, scratch space)."""
        return "/".join([self.root, *parts])

    @property
    def is_local(self) -> bool:
        """Whether the root is a path of this machine."""
        return "://" not in self.root


class _Resolved(Store):
    """A store whose manifests, listings and small files are kept."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self._partitions: dict[str, Partition] = {}
        self._names: dict[str, list[str]] = {}
        self._files: dict[str, bytes | None] = {}

    def partition(self, stage: str, day: date | None = None, *names: str) -> Partition:
        """One that is read once."""
        made = super().partition(stage, day, *names)
        return self._partitions.setdefault(made.key, Looked(made.root, made.key))

    def names(self, folder: str) -> list[str]:
        """Listed once."""
        if folder not in self._names:
            self._names[folder] = super().names(folder)
        return self._names[folder]

    def get(self, key: str) -> bytes | None:
        """Read once."""
        if key not in self._files:
            self._files[key] = super().get(key)
        return self._files[key]

    def resolved(self) -> Store:
        """It is."""
        return self


def is_published(lying: Lying) -> bool:
    """Whether there is a manifest among what lies in a folder."""
    return any(path.rpartition("/")[2] == MANIFEST for path in lying)


def stamps(read: Iterable[Partition]) -> dict[str, str]:
    """By key what is published of them, so that anybody can tell later whether it is the same."""
    return {one.key: one.stamp() for one in read if one.exists()}


def _by_day(key: str) -> bool:
    day, *inside = key.split("/")
    return _day(day) is not None and len(inside) <= 1


def _day(name: str) -> date | None:
    """Of a folder `dt=D`; somebody's `dt=backup` is none of ours."""
    try:
        return date.fromisoformat(name[3:]) if name.startswith("dt=") and len(name) == 13 else None
    except ValueError:
        return None
