"""A store that is reached over a network: it may be away, refuse us, or not be one that we know.

Every client of an object store has errors of its own. Here they become a `StoreError`, at the
source, whoever reads or writes; that something is absent, or there already, stays what it is.
"""

from collections.abc import Callable
from functools import wraps
from inspect import signature
from typing import Any

import fsspec
from fsspec.asyn import AsyncFileSystem
from fsspec.spec import AbstractFileSystem

from infra.errors import StoreError

_ANSWERS = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError)
"""The store answered, and its reader or writer knows what to do."""
_NO_BUCKET = "NoSuchBucket"
"""S3 answered, but has nothing that such an address could be in: no home, not an empty one."""


class Elsewhere:
    """A filesystem of fsspec, whose every call says what is wrong with the store.

    Args:
        root: the address of the store.
        fs: its filesystem.
    """

    def __init__(self, root: str, fs: Any) -> None:
        self._root, self._fs = root, fs

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # whoever copies it looks before there is anything to ask
            raise AttributeError(name)
        found = getattr(self._fs, name)
        return self._told(found) if callable(found) else found

    def _told(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(call)
        def told(*arguments: Any, **named: Any) -> Any:
            try:
                return call(*arguments, **named)
            except _ANSWERS as error:
                if type(error.__cause__).__name__ == _NO_BUCKET:
                    raise missing_bucket(self._root, error) from error
                raise
            except Exception as error:
                # ValueError is what botocore says of an address that is none
                ours = is_ours(error) and not isinstance(error, ValueError)
                if ours or getattr(error, "filename", None):
                    raise  # what names a file is about a disk here
                raise trouble(self._root, error) from error

        return told


def is_ours(error: Exception) -> bool:
    """Whether it is Python's own (TypeError); what a package defined is about the store."""
    return type(error).__module__ == "builtins" and not isinstance(error, OSError)


def reach(root: str) -> Any:
    """The filesystem of an address.

    Raises:
        StoreError: nobody here knows such a store, or its package is not installed.
    """
    try:
        # No listing is kept: other machines write there, and a service looks again and again.
        return fsspec.core.url_to_fs(root, use_listings_cache=False)[0]
    except ImportError as error:
        raise StoreError(
            f"{root} cannot be reached: a package is not installed ({_first(error)}). Install it "
            "and run again (`pip install s3fs` for s3://)."
        ) from error
    except ValueError as error:
        raise StoreError(
            f"{root} is no address of a store ({_first(error)}). Give a folder, or an address "
            "that fsspec knows (s3://bucket/prefix), with --home or DUPN_HOME."
        ) from error


def require_create(root: str, fs: Any) -> None:
    """See that of two who write one name at once one is refused, as nights and the ledger need.

    fsspec's own way of writing a file that is not there yet looks first and writes then, and who
    does not know of `mode` leaves it out: with either, two nights take the same turn.

    Raises:
        StoreError: its client has no such write.
    """
    kind = type(fs)
    write = kind._pipe_file if isinstance(fs, AsyncFileSystem) else kind.pipe_file
    by_fsspec = write in (AbstractFileSystem.pipe_file, AsyncFileSystem._pipe_file)
    if by_fsspec or "mode" not in signature(write).parameters:
        raise StoreError(
            f"{root} cannot be a home: {kind.__name__} cannot write a file only if none of that "
            "name is there, so two nights could take one turn. Give a folder or s3://bucket/prefix "
            "with --home or DUPN_HOME."
        )


def trouble(root: str, error: Exception) -> StoreError:
    """The sentence about a store, or a file in it, that does not answer or refuses us."""
    said = _first(error)
    if "Credential" in type(error).__name__:
        return StoreError(
            f"{root} cannot be reached: there are no credentials that hold ({said}). Set what its "
            "client reads (s3://: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY) and run again."
        )
    if isinstance(error, PermissionError):
        return StoreError(
            f"{root} refuses us ({said}). Mend the credentials, or what they may do, and run again."
        )
    return StoreError(
        f"{root} does not answer ({said}). Is the address right (s3://: AWS_ENDPOINT_URL, "
        "AWS_DEFAULT_REGION), and the store up? What was published before still holds: run again."
    )


def missing_bucket(root: str, error: Exception) -> StoreError:
    """The sentence about a bucket that is not there: nothing can ever arrive in it."""
    return StoreError(
        f"{root} cannot be: {_first(error)}. Mend the address (--home, DUPN_HOME), or make the "
        "bucket, and run again."
    )


def _first(error: Exception) -> str:
    """What it says, in one line."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:300]
