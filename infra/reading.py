"""Files that are being read, and what is said when that fails.

A file is spoilt, and is set aside or made again; or nobody gets at it for now (the store does not
answer, a token has run out, a disk went away, there is no memory), and whoever asks again may have
it. Only the former is about the content. What the system, or the client of an object store, answers
to a read becomes a `StoreError` here, at its source, so that no reader takes it for the other.
"""

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any

import pyarrow as pa

from infra import elsewhere, files
from infra.errors import StoreError

_SPOILT = (pa.ArrowException, EOFError, ValueError, lzma.LZMAError, zlib.error)
_PASSING = (MemoryError, pa.ArrowCancelled)
"""Arrow's own of them are `ArrowException`s as well."""


def is_about_content(error: Exception) -> bool:
    """Whether an error of a reader says that the file is spoilt, not that nobody got at it.

    Arrow and the decompressors raise a bare `OSError` about what they found. That of the system has
    a number, and that of the client of a store a number or a class of its own (`TimeoutError`).
    """
    if isinstance(error, OSError):
        return error.errno is None and type(error) in (OSError, gzip.BadGzipFile)
    return isinstance(error, _SPOILT) and not isinstance(error, _PASSING)


def unreadable(where: str, error: Exception) -> StoreError:
    """The sentence about something that could not be read now, whatever it holds."""
    if isinstance(error, OSError) and error.errno and "://" not in where:
        return files.unreadable(where, error)
    return elsewhere.trouble(where, error)


def require_spoilt(error: Exception, where: str) -> None:
    """Nothing, if a reader's error is about the content of a file.

    Raises:
        StoreError: nobody gets at it now.
    """
    if is_about_content(error):
        return
    if isinstance(error, _PASSING):
        raise error
    raise unreadable(where, error) from error


class Opened:
    """A file open for reading, every read of which says what is wrong with its store.

    A place in the file is not asked of the store: one that cannot be is the content's fault.
    """

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file, self._where = file, where

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # whoever copies it looks before there is anything to ask
            raise AttributeError(name)
        found = getattr(self._file, name)
        return self._told(found) if name.startswith("read") else found

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def __enter__(self) -> "Opened":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _told(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def told(*arguments: Any) -> Any:
            try:
                return read(*arguments)
            except Exception as error:  # every client of a store has errors of its own
                if isinstance(error, StoreError | MemoryError) or elsewhere.is_ours(error):
                    raise
                raise unreadable(self._where, error) from error

        return told
