"""Files written whole, on a disk or an object store, and what is said when that fails.

A file appears under its name complete or not at all (a rename, a link, or a single put). Whatever
the system answers to a write becomes a `StoreError` here, at its source, so that every worker and
every front door says the same sentence: which file, what is wrong, what to do.
"""

import errno
import fcntl
import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from infra.elsewhere import Elsewhere, reach, require_create
from infra.errors import StoreError

ABSENT = (FileNotFoundError, NotADirectoryError)
"""What a filesystem says where nothing is, also below what is a file."""
SYNCS = 16
"""Files that a disk is asked to hold at the same time."""
_ELSEWHERE = "or give another --home"
_REASONS: Mapping[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "Make room"),
    errno.EDQUOT: ("the quota of the disk is used up", "Make room, or have it raised,"),
    errno.EFBIG: ("the file would be larger than is allowed here", "Raise the limit (`ulimit -f`)"),
    errno.EROFS: ("the disk is read-only", f"Mount it writable, {_ELSEWHERE},"),
    errno.EACCES: ("permission is denied", f"Mend the permissions, {_ELSEWHERE},"),
    errno.EPERM: ("it is not permitted", f"Mend the permissions, {_ELSEWHERE},"),
    errno.ENAMETOOLONG: ("a name is too long for the disk", "Shorten it (a column of users, say),"),
    errno.ENOTDIR: ("a file stands where a folder is needed", f"Move it away, {_ELSEWHERE},"),
    errno.EEXIST: ("a file stands where a folder is needed", f"Move it away, {_ELSEWHERE},"),
    errno.EISDIR: ("a folder stands where the file is to be", f"Move it away, {_ELSEWHERE},"),
}
"""What is wrong, and the beginning of what to do, by the system's error number."""
_NO_WRITES = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)
"""Answers to a link where there are none: whoever may not write is told so before."""


def unwritable(where: str, error: OSError) -> StoreError:
    """The sentence about something that could not be written."""
    return _refused(where, "written", error)


def unreadable(where: str, error: OSError) -> StoreError:
    """The sentence about something on a disk that could not be read."""
    return _refused(where, "read", error)


def takes_no_writes(error: BaseException | None) -> bool:
    """Whether the system says so of a disk, whoever asks: it is read-only, or full."""
    return isinstance(error, OSError) and error.errno in _NO_WRITES


def _refused(where: str, asked: str, error: OSError) -> StoreError:
    plain = f"the system says {error.strerror or error}", "Mend that"
    wrong, remedy = _REASONS.get(error.errno or 0, plain)
    return StoreError(
        f"{where} could not be {asked}: {wrong}. {remedy} and run again; "
        "what was published before still holds."
    )


@contextmanager
def writing(where: str) -> Iterator[None]:
    """A block in which the system's refusals become a `StoreError` about `where`.

    Raises:
        StoreError: disk full, read-only, no permission, and the like.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(where, error) from error


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """A block that one process of this machine enters at a time; a killed one leaves it open.

    Args:
        lock: an empty file, whose folder is made; it stays.

    Raises:
        StoreError: it cannot be written.
    """
    with writing(str(lock)):
        lock.parent.mkdir(parents=True, exist_ok=True)
        opened = lock.open("w")
    with opened as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def there(fs: Any, path: str) -> bool:
    """Whether anything has that name.

    Raises:
        StoreError: a folder above it may not be entered, so nobody knows.
    """
    found = bool(fs.exists(path))
    if not found and is_local(fs):  # which says so of a closed folder, too
        try:
            local(fs, path).stat()
        except PermissionError as error:
            raise unreadable(path, error) from error
        except OSError:
            return False
    return found


def names_in(fs: Any, path: str) -> list[str]:
    """Names of what lies directly in a folder, sorted; none if it is absent."""
    return sorted(info["name"].rstrip("/").rsplit("/", 1)[-1] for info in lying(fs, path))


def lying(fs: Any, path: str) -> list[dict[str, Any]]:
    """What lies directly in a folder, as its filesystem says it; nothing if it is absent.

    An object store may have an empty object of the folder's own name (the mark of a folder that was
    made in a console): that is the folder, not something in it.

    Raises:
        StoreError: it may not be read.
    """
    try:
        found: list[dict[str, Any]] = fs.ls(path, detail=True)
    except ABSENT:  # not asked before: across a network every question takes its time
        return []
    except PermissionError as error:
        raise unreadable(path, error) from error
    itself = path.partition("://")[2].rstrip("/") if "://" in path else None
    return [info for info in found if info["name"].strip("/") != itself]


def files_in(fs: Any, path: str) -> dict[str, dict[str, Any]]:
    """Files that lie directly in a folder, by name and sorted; also what a link leads to.

    A pipe would keep whoever opens it waiting for ever.
    """
    followed = [_followed(fs, info) for info in lying(fs, path)]
    files = {info["name"].rsplit("/", 1)[-1]: info for info in followed if info["type"] == "file"}
    return dict(sorted(files.items()))


def below(fs: Any, path: str) -> list[dict[str, Any]]:
    """Every file below a folder, as its filesystem says it; of an object store a thousand at once.

    On a disk a link to a folder is followed where that lies at most two folders deep.
    """
    found = list(fs.find(path, detail=True).values())
    if not is_local(fs):
        return found
    base = len(local(fs, path).parts)
    linked = [
        info["name"]
        for info in found
        if info.get("islink")
        and len(Path(info["name"]).parts) <= base + 2
        and _followed(fs, info)["type"] == "directory"
    ]
    return found + [info for name in linked for info in fs.find(name, detail=True).values()]


def _followed(fs: Any, info: dict[str, Any]) -> dict[str, Any]:
    """Of a link on a disk, what it leads to, under the link's name."""
    if info.get("islink"):
        with suppress(OSError):  # it leads nowhere
            return {**fs.info(info["name"]), "name": info["name"]}
    return info


def put(fs: Any, path: str, data: bytes | memoryview, *, durable: bool = False) -> None:
    """Write one file whole, in place of any before it.

    Args:
        fs: the filesystem of the root.
        path: full address.
        data: the content.
        durable: wait until a local disk holds it, under its name.
    """
    with writing(path):
        if not is_local(fs):
            fs.pipe_file(path, bytes(data))
            return
        target = local(fs, path)
        with _scratch(target, data, durable=durable) as scratch:
            scratch.replace(target)
        if durable:
            _sync(target.parent)


def put_new(fs: Any, path: str, data: bytes) -> bool:
    """Write one file whole if there is none of that name; False if there is one.

    An answer may be lost on its way, and a client that asks again then finds what it wrote itself.
    Of an object store the bytes tell whose it is: whoever must know that he came first puts
    something of his own among them.
    """
    with writing(path):
        if not is_local(fs):
            created = _created(lambda: fs.pipe_file(path, data, mode="create"))
            return created or _holds(fs, path, data)
        target = local(fs, path)
        with _scratch(target, data, durable=True) as scratch:
            # A link fails if the name is taken: create if absent, and the content is whole.
            created = _created(lambda: _link(scratch, target)) or _is_same(scratch, target)
        _sync(target.parent)
        return created


def settle(fs: Any, folder: str, names: Iterable[str]) -> None:
    """Wait until a local disk holds files that lie below a folder, whichever process wrote them."""
    if not is_local(fs):
        return
    files = [local(fs, f"{folder}/{name}") for name in names]
    # Side by side: a disk writes what many wait for in one go, ten times as fast.
    with writing(folder), ThreadPoolExecutor(SYNCS) as threads:
        for paths in (files, {file.parent for file in files}):
            list(threads.map(_sync, paths))


def _sync(path: Path) -> None:
    """Of a folder: the names in it."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _link(scratch: Path, target: Path) -> None:
    try:
        os.link(scratch, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        raise StoreError(
            f"{target} could not be written: its file system has no hard links, without which two "
            "could write it at once. Put the home on one that has (ext4, XFS, APFS, NFS; not exFAT "
            "or a bucket that is mounted as a folder) and run again."
        ) from error


def _created(create: Any) -> bool:
    try:
        create()
    except FileExistsError:
        return False
    return True


def _holds(fs: Any, path: str, data: bytes) -> bool:
    try:
        return bool(fs.cat_file(path) == data)
    except ABSENT:  # gone again
        return False


def _is_same(scratch: Path, target: Path) -> bool:
    """Whether the link is there, whatever its disk (NFS) answered."""
    try:
        return scratch.samefile(target)
    except FileNotFoundError:
        return False


@contextmanager
def _scratch(target: Path, data: bytes | memoryview, *, durable: bool) -> Iterator[Path]:
    """The content under a name that no reader looks at; gone after the block."""
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with scratch.open("wb") as sink:
            sink.write(data)
            sink.flush()
            if durable:
                os.fsync(sink.fileno())
        yield scratch
    finally:
        with suppress(OSError):  # the error to tell is the one before
            scratch.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Root:
    root: str

    @cached_property
    def fs(self) -> Any:
        fs = reach(self.root)
        if is_local(fs):
            return fs
        require_create(self.root, fs)
        return Elsewhere(self.root, fs)


_ROOTS: dict[tuple[int, str], _Root] = {}


def filesystem(root: str) -> Any:
    """One filesystem object per process and root (S3 clients do not survive a fork)."""
    return _ROOTS.setdefault((os.getpid(), root), _Root(root)).fs


def is_local(fs: Any) -> bool:
    """Whether the files lie on a disk of this machine."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def local(fs: Any, path: str) -> Path:
    """An address on a disk of this machine as a path."""
    return Path(fs._strip_protocol(path))


def sha256(source: IO[bytes]) -> str:
    """Digest of what is left to read, a block at a time."""
    digest = hashlib.sha256()
    while block := source.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def put_there(info: Mapping[str, Any]) -> datetime:
    """When a file of a local disk got its name or its content, whatever its own time says."""
    when = info.get("created")
    return datetime.fromtimestamp(when, UTC) if isinstance(when, int | float) else modified(info)


def modified(info: Mapping[str, Any]) -> datetime:
    """When a file was last changed, from what its filesystem lists of it (each names it anew)."""
    known = [
        info[name] for name in ("mtime", "LastModified", "updated", "last_modified") if name in info
    ]
    if not known:
        return datetime.now(UTC)  # unknown: as if just now, so that a second look is needed
    when = known[0]
    if isinstance(when, int | float):
        return datetime.fromtimestamp(when, UTC)
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    return when if when.tzinfo else when.replace(tzinfo=UTC)
