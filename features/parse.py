"""Text files to raw blocks: every column a string as received, every line accounted for.

A block of whole lines is parsed at once; if that fails, or gives another number of rows than there
are lines, the block is read line by line, and lines that cannot be split keep their text in
`_text` for `features.events` to refuse. Memory is one block, whatever the file.
"""

import bz2
import csv
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Protocol, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv

from features.raw_table import Table

LINE_BYTES = 64
"""Bytes of a line assumed where a block is asked for in rows."""
MAX_LINE_BYTES = 64 << 20
"""A longer run without a line feed is not a text file."""
_ODD_ESCAPE = re.compile(
    rb"\\(?:\\u[dD]|u(?:0000|[dD](?:"
    rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])))"
)
"""What may be half a surrogate pair in JSON, or a zero byte: Polars makes another text of the
first, and panics at a name with the second."""


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

    def __init__(self, take: Callable[[int], bytes], piece: int) -> None:
        self.take, self.piece, self.broken = take, piece, ""

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
                self.broken = str(error) or type(error).__name__
                break
            left -= len(pieces[-1])
            if not pieces[-1]:
                break
        found = b"".join(pieces)
        if self.broken and not found:
            raise OSError(self.broken)
        return found


def decompressed(stream: IO[bytes], name: str) -> Readable:
    """The stream read through what its name's suffix says (.gz, .zst, .bz2, .xz)."""
    if name.endswith(".gz"):
        return Unpacked(gzip.GzipFile(fileobj=stream).read1, 1 << 16)
    if name.endswith(".bz2"):
        return Unpacked(bz2.BZ2File(stream).read1, 1 << 16)
    if name.endswith(".xz"):
        return Unpacked(lzma.LZMAFile(stream).read1, 1 << 16)
    if name.endswith(".zst"):
        # what a failing read had unpacked before is lost here, so that it should be little
        unpack = pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd")
        return Unpacked(unpack.read, 1 << 12)
    return stream


def text_blocks(
    stream: IO[bytes], source: str, table: Table, batch_rows: int, *, quoted: bool = False
) -> Iterator[pa.Table]:
    """Raw rows of a CSV or JSONL file with `_source`, `_line` and `_text`.

    Args:
        stream: the bytes of the file, still compressed where its name says so.
        source: its name; the suffix decides on compression, and on JSONL or CSV.
        table: delimiter, header, columns, encoding.
        batch_rows: about how many rows a block holds.
        quoted: whether the blocks also have `_raw`, the bytes of the lines (not copied).
    """
    lines = whole_lines(decompressed(stream, source), batch_rows * LINE_BYTES)
    if is_jsonl(source, table):
        for block in lines:
            yield _placed(_json_block(block, table), source, block if quoted else None)
        return
    names: Sequence[str] = table.columns
    for block in lines:
        rows = block
        if table.header and block.first == 1:
            head, rows = _without_head(block)
            names = _names_of(head, table) or names
        if rows.data:
            yield _placed(_csv_block(rows, table, names), source, rows if quoted else None)


def same_text(text: str, rows: int) -> pa.DictionaryArray:
    """A column of one text, four bytes a row."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([text]))


def is_jsonl(name: str, table: Table) -> bool:
    """Whether a file holds JSON lines: its suffix says so, else its table."""
    stem = name.removesuffix(".gz").removesuffix(".zst").removesuffix(".bz2").removesuffix(".xz")
    if stem.endswith((".jsonl", ".ndjson")):
        return True
    return table.format == "jsonl" and not stem.endswith((".csv", ".tsv"))


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


def split_line(line: bytes, table: Table) -> list[str]:
    """The column texts of one CSV line.

    Raises:
        UnicodeDecodeError: it is not text in the table's encoding.
        csv.Error: its quotes do not close.
    """
    text = line.decode(table.encoding).rstrip("\r\n").removeprefix("\ufeff")
    reader = csv.reader(
        [text],
        delimiter=table.delimiter,
        quotechar=table.quote or None,
        quoting=csv.QUOTE_MINIMAL if table.quote else csv.QUOTE_NONE,
        strict=True,
    )
    return next(reader, [])


def _names_of(head: bytes, table: Table) -> list[str]:
    """Names of a header; bytes that are no text show as U+FFFD, for `checking` to refuse."""
    plain = _readable(head, table.encoding)
    return split_line(plain.encode(), table.model_copy(update={"encoding": "utf-8"}))


def _csv_block(block: Lines, table: Table, names: Sequence[str]) -> pa.Table:
    try:
        data = _utf8(block.data, table.encoding)
        rows = pa.csv.read_csv(
            pa.BufferReader(data),
            read_options=pa.csv.ReadOptions(
                column_names=list(names), block_size=len(data) + 1, use_threads=False
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=table.delimiter,
                quote_char=table.quote or False,
                ignore_empty_lines=False,
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in names},
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError):
        return _csv_line_by_line(block, table, names)
    if rows.num_rows != _count_lines(block.data):
        return _csv_line_by_line(block, table, names)
    return _numbered(rows, np.arange(block.first, block.first + rows.num_rows), None)


def _csv_line_by_line(block: Lines, table: Table, names: Sequence[str]) -> pa.Table:
    rows: list[Sequence[str | None]] = []
    numbers: list[int] = []
    texts: list[str | None] = []
    nothing: Sequence[str | None] = [None] * len(names)
    for number, line in enumerate(block.data.split(b"\n"), start=block.first):
        if not line.strip():
            continue
        values = _try_split(line, table)
        good = values is not None and len(values) == len(names)
        rows.append(cast(Sequence[str | None], values) if good else nothing)
        texts.append(None if good else _readable(line, table.encoding))
        numbers.append(number)
    arrays = [pa.array([row[at] for row in rows], pa.string()) for at in range(len(names))]
    return _numbered(pa.table(arrays, names=list(names)), np.array(numbers, np.int64), texts)


def _json_block(block: Lines, table: Table) -> pa.Table:
    """Objects as columns of strings; inner lists and objects are written out as JSON."""
    try:
        data = _utf8(block.data, table.encoding)
        if data.count(b"}\n") + (not data.endswith(b"\n")) != _count_lines(block.data):
            return _json_line_by_line(block, table)
        if _ODD_ESCAPE.search(data):
            return _json_line_by_line(block, table)
        names = pl.read_ndjson(data, infer_schema_length=None).columns
        frame = pl.read_ndjson(data, schema=dict.fromkeys(names, pl.String))
    except (pl.exceptions.PolarsError, UnicodeDecodeError):
        return _json_line_by_line(block, table)
    if not names or frame.height != _count_lines(block.data):
        return _json_line_by_line(block, table)
    rows = frame.to_arrow()
    rows = rows.cast(pa.schema([(name, pa.string()) for name in rows.column_names]))
    return _numbered(rows, np.arange(block.first, block.first + rows.num_rows), None)


def _json_line_by_line(block: Lines, table: Table) -> pa.Table:
    rows: list[dict[str, str | None]] = []
    numbers: list[int] = []
    texts: list[str | None] = []
    for number, line in enumerate(block.data.split(b"\n"), start=block.first):
        if not line.strip():
            continue
        values = _try_object(line, table.encoding)
        rows.append(values or {})
        texts.append(None if values is not None else _readable(line, table.encoding))
        numbers.append(number)
    names = list(dict.fromkeys(name for row in rows for name in row))
    arrays = [pa.array([row.get(name) for row in rows], pa.string()) for name in names]
    table_rows = pa.table(arrays, names=names) if names else pa.table({"": pa.nulls(len(rows))})
    return _numbered(table_rows, np.array(numbers, np.int64), texts)


def _try_split(line: bytes, table: Table) -> list[str] | None:
    try:
        return split_line(line, table)
    except (UnicodeDecodeError, csv.Error):
        return None


def _try_object(line: bytes, encoding: str) -> dict[str, str | None] | None:
    try:
        found = json.loads(line.decode(encoding))
        if not isinstance(found, dict):
            return None
        values = {name: _as_text(value) for name, value in found.items()}
        for text in (*values, *values.values()):
            (text or "").encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return None if "\0" in "".join(values) else values


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _without_head(block: Lines) -> tuple[bytes, Lines]:
    head, _, rest = block.data.partition(b"\n")
    return head, Lines(rest, 2)


def _utf8(data: bytes, encoding: str) -> bytes:
    if encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        return data.removeprefix(b"\xef\xbb\xbf")
    return data.decode(encoding).encode()


def _readable(line: bytes, encoding: str) -> str:
    return line.decode(encoding, errors="replace").rstrip("\r\n")


def _count_lines(data: bytes) -> int:
    return data.count(b"\n") + (not data.endswith(b"\n"))


def _numbered(rows: pa.Table, numbers: object, texts: list[str | None] | None) -> pa.Table:
    rows = rows.append_column("_line", pa.array(numbers, pa.int64()))
    unsplit = (
        pa.nulls(rows.num_rows, pa.string()) if texts is None else pa.array(texts, pa.string())
    )
    return rows.append_column("_text", unsplit)


def _placed(rows: pa.Table, source: str, quoted: Lines | None) -> pa.Table:
    rows = rows.append_column("_source", same_text(source, rows.num_rows))
    if quoted is None:
        return rows
    at = rows["_line"].to_numpy() - quoted.first  # blank lines are no rows
    lines = _line_column(quoted.data)
    return rows.append_column("_raw", lines if len(lines) == len(at) else lines.take(pa.array(at)))


def _line_column(data: bytes) -> pa.Array:
    """The lines of a block as binaries that lie where they were read."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")) + 1
    offsets = np.r_[0, ends] if data.endswith(b"\n") else np.r_[0, ends, len(data)]
    buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)
