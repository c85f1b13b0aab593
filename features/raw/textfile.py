"""Text files as blocks of whole lines, unpacked on the way; memory is one block, whatever the file.

What breaks off is given up to the break, and only then told.
"""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

import pyarrow as pa

from infra.reading import is_about_content

BOM = "\ufeff"
MAX_LINE_BYTES = 64 << 20
"""A longer run without a line feed is not a text file."""


class Readable(Protocol):
    """What is needed of a stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""
        ...


@dataclass(frozen=True)
class Lines:
    """Whole lines of a file, and the number of the first."""

    data: bytes
    first: int


class Unpacked:
    """What a decompressor gives up to where its file breaks off; only then the break is raised."""

    def __init__(self, packed: IO[bytes], take: Callable[[int], bytes], piece: int) -> None:
        self.packed, self.take, self.piece, self.broken = packed, take, piece, ""

    def read(self, size: int) -> bytes:
        """As of a file.

        Raises:
            OSError: nothing more can be read, and this is not the end.
        """
        pieces: list[bytes] = []
        left = size
        while left > 0 and not self.broken:
            try:
                pieces.append(self.take(min(self.piece, left)))
            except (OSError, EOFError, lzma.LZMAError, zlib.error, pa.ArrowException) as error:
                if not is_about_content(error):
                    raise  # nobody got at it now; that says nothing of what it holds
                self.broken = str(error) or type(error).__name__
                break
            left -= len(pieces[-1])
            if not pieces[-1]:
                break
        found = b"".join(pieces)
        if not found and not self.broken and not self.packed.tell():
            # gzip and zstd take a file of no bytes for one of no rows; it is an upload that failed
            self.broken = "the compressed file is of no bytes"
        if self.broken and not found:
            raise OSError(self.broken)
        return found


def decompressed(stream: IO[bytes], name: str) -> Readable:
    """The stream read through what its name's suffix says (.gz, .zst, .bz2, .xz)."""
    if name.endswith(".gz"):
        return Unpacked(stream, gzip.GzipFile(fileobj=stream).read1, 1 << 16)
    if name.endswith(".bz2"):
        return Unpacked(stream, bz2.BZ2File(stream).read1, 1 << 16)
    if name.endswith(".xz"):
        return Unpacked(stream, lzma.LZMAFile(stream).read1, 1 << 16)
    if name.endswith(".zst"):
        # what a failing read had unpacked before is lost here, so that it should be little
        unpack = pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
        return Unpacked(stream, unpack.read, 1 << 12)
    return stream


def whole_lines(stream: Readable, size: int) -> Iterator[Lines]:
    """The stream in pieces of about `size` bytes, cut after a line feed."""
    rest, number = b"", 1
    while piece := stream.read(max(size, len(rest))):  # a long line must not cost its square
        data = rest + piece
        cut = data.rfind(b"\n") + 1
        if not cut and len(data) > MAX_LINE_BYTES:
            raise OSError("no line ends within 64 MiB; this is not a text file")
        rest = data[cut:]
        if cut:
            yield Lines(data[:cut], number)
            number += data.count(b"\n", 0, cut)
    if rest:
        yield Lines(rest, number)


def utf8(block: Lines, encoding: str) -> bytes:
    """The block in UTF-8, without the mark that may stand at the head of a file."""
    data = block.data
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        data = data.decode(encoding).encode()
    return data.removeprefix(BOM.encode()) if block.first == 1 else data


def decoded(line: bytes, encoding: str, *, first: bool) -> str | None:
    """Text of a line, or None; the mark that may stand at the head of a file is dropped."""
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text.removeprefix(BOM) if first else text


def readable(line: bytes, encoding: str) -> str:
    """Text of a line; what is none shows as U+FFFD."""
    return line.decode(encoding, errors="replace").rstrip("\r\n")


def count_lines(data: bytes) -> int:
    """Lines, the last one also without its line feed."""
    return data.count(b"\n") + (not data.endswith(b"\n"))


def numbered(rows: pa.Table, numbers: object, texts: list[str | None] | None) -> pa.Table:
    """Rows with `_line`, and with `_text` of those that have no values (None: all have)."""
    rows = rows.append_column("_line", pa.array(numbers, pa.int64()))
    unsplit = (
        pa.nulls(rows.num_rows, pa.string()) if texts is None else pa.array(texts, pa.string())
    )
    return rows.append_column("_text", unsplit)
