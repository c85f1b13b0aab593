"""Text files to raw blocks: every column a string as received, every line accounted for.

A block of whole lines is parsed at once; if that fails, or gives another number of rows than there
are lines, the block is read line by line, and lines that cannot be split keep their text in
`_text` for `features.events` to refuse. What a line becomes is the same both ways, whatever stands
beside it. Memory is one block, whatever the file.
"""

import bz2
import gzip
import json
import lzma
import math
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import IO, NoReturn, Protocol, cast

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from features.raw_table import PLACE, Table

LINE_BYTES = 64
"""Bytes of a line assumed where a block is asked for in rows."""
BOM = "\ufeff"
WHITE = " \t\r\n\v\f"
MAX_LINE_BYTES = 64 << 20
"""A longer run without a line feed is not a text file."""
_BLANK_LINE = re.compile(rb"\n[ \t\r\x0b\x0c]*\n")
_ODD_ESCAPE = re.compile(
    rb"\\(?:\\u[dD]|u(?:0000|[dD](?:"
    rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])))"
)
"""What may be half a surrogate pair in JSON, or a zero byte: Polars makes another text of the
first, and panics at a name with the second."""

_MAYBE_BEYOND = re.compile(r"NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{39}")
"""Stands in every line of JSON that has a number of which Python knows and Polars does not."""


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


def split_line(text: str, table: Table) -> list[str] | None:
    """The column texts of one CSV line, as Arrow would split it; None where a quote does not close.

    Only a quote at the start of a column opens one; what follows its end is taken as it stands.
    """
    text = text.rstrip("\r\n")
    cut = table.delimiter
    if not table.quote:
        return None if "\r" in text else text.split(cut)
    column = _column_pattern(cut, table.quote)
    values: list[str] = []
    at = 0
    while found := column.match(text, at):
        quoted, rest, plain = found.groups()
        twice = table.quote * 2
        values.append(plain if quoted is None else quoted.replace(twice, table.quote) + rest)
        at = found.end() + len(cut)
        if found.end() == len(text):
            return values
    return None


@cache
def _column_pattern(cut: str, quote: str) -> re.Pattern[str]:
    """A column of a line up to the next delimiter: in quotes and what follows them, or plain."""
    c, q = re.escape(cut), re.escape(quote)
    return re.compile(f"(?:{q}((?:[^{q}]|{q}{q})*+){q}([^{c}\\r]*)|((?!{q})[^{c}\\r]*))(?={c}|\\Z)")


def _names_of(head: bytes, table: Table) -> list[str]:
    """Names of a header; bytes that are no text show as U+FFFD, for `checking` to refuse."""
    plain = _readable(head, table.encoding).removeprefix(BOM)
    return (split_line(plain, table) or [plain]) if plain.strip() else []


def _csv_block(block: Lines, table: Table, names: Sequence[str]) -> pa.Table:
    try:
        data = _utf8(block, table.encoding)
        data += b"" if data.endswith(b"\n") else b"\n"  # or the end would close a quote
        if not _is_plain(data, table, len(names)):
            return _csv_line_by_line(block, table, names)
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
    quotes = bool(table.quote) and table.quote.encode() in data
    if rows.num_rows != _count_lines(data) or (quotes and _runs_on(rows)):
        return _csv_line_by_line(block, table, names)
    rows = rows.drop_columns([name for name in PLACE if name in rows.column_names])
    return _numbered(rows, np.arange(block.first, block.first + rows.num_rows), None)


def _is_plain(data: bytes, table: Table, columns: int) -> bool:
    """Whether Arrow takes line feeds alone for ends of lines here, and nothing away.

    A bare CR ends a line for it; a blank line is a row; a byte-order mark at the head is dropped.
    """
    if data.count(b"\r") != data.count(b"\r\n") or data.startswith(BOM.encode()):
        return False
    if not data[: data.find(b"\n")].strip() or b"\n\n" in data or b"\n\r\n" in data:
        return False
    # where there are columns to part, a line of blanks is an error to Arrow
    parted = columns > 1 and table.delimiter not in WHITE
    return parted or not _BLANK_LINE.search(data)


def _runs_on(rows: pa.Table) -> bool:
    """Whether a quote that does not close in its line took the next one with it."""
    return any(pc.any(pc.match_substring(column, "\n")).as_py() for column in rows.columns)


def _csv_line_by_line(block: Lines, table: Table, names: Sequence[str]) -> pa.Table:
    rows: list[Sequence[str | None]] = []
    numbers: list[int] = []
    texts: list[str | None] = []
    nothing: Sequence[str | None] = [None] * len(names)
    blank = WHITE.replace(table.delimiter, "").encode()  # delimiters alone are a row of nothing
    for number, line in enumerate(block.data.split(b"\n"), start=block.first):
        if not line.strip(blank):
            continue
        values = _try_split(line, table, first=number == 1)
        good = values is not None and len(values) == len(names)
        rows.append(cast(Sequence[str | None], values) if good else nothing)
        texts.append(None if good else _readable(line, table.encoding))
        numbers.append(number)
    columns = {
        name: pa.array([row[at] for row in rows], pa.string())
        for at, name in enumerate(names)
        if name not in PLACE
    }
    return _numbered(pa.table(columns), np.array(numbers, np.int64), texts)


def _json_block(block: Lines, table: Table) -> pa.Table:
    """Objects as columns of strings; inner lists and objects are written out as JSON."""
    try:
        data = _utf8(block, table.encoding)
    except UnicodeDecodeError:
        return _json_line_by_line(block, table)
    lines = _count_lines(block.data)
    ended = data.count(b"}\n") + data.count(b"}\r\n") + (not data.endswith(b"\n"))
    rows = None
    if ended == lines and not _ODD_ESCAPE.search(data):
        rows = _objects(data, lines)
    if rows is None:
        return _json_line_by_line(block, table)
    return _numbered(rows, np.arange(block.first, block.first + lines), None)


def _objects(data: bytes, count: int, names: Sequence[str] = ()) -> pa.Table | None:
    """So many JSON lines as columns of strings; None where they are anything else."""
    try:
        names = names or pl.read_ndjson(data, infer_schema_length=None).columns
        names = [name for name in names if name not in PLACE]
        frame = pl.read_ndjson(data, schema=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError:
        return None
    if not names or frame.height != count:
        return None
    rows = frame.to_arrow()
    return rows.cast(pa.schema([(name, pa.string()) for name in rows.column_names]))


def _json_line_by_line(block: Lines, table: Table) -> pa.Table:
    """Lines that Python can read go to Polars together, so that they read as in a sound block."""
    sound: list[tuple[int, bytes]] = []
    names: dict[str, None] = {}
    others: list[tuple[int, dict[str, str | None], str | None]] = []
    for number, line in enumerate(block.data.split(b"\n"), start=block.first):
        if not line.strip():
            continue
        text = _decoded(line, table.encoding, first=number == 1)
        values = None if text is None else _try_object(text)
        if text is None or values is None:
            others.append((number, {}, _readable(line, table.encoding)))
        elif not values or _ODD_ESCAPE.search(text.encode()) or _is_beyond(text):
            others.append((number, values, None))
        else:
            sound.append((number, text.strip().encode()))
            names.update(dict.fromkeys(values))
    read, refused = _sound(sound, list(names))
    others += [(number, {}, line.decode()) for number, line in refused]
    return pa.concat_tables([*read, _by_hand(others)], promote_options="default").sort_by("_line")


def _by_hand(lines: Sequence[tuple[int, Mapping[str, str | None], str | None]]) -> pa.Table:
    """Rows of numbers, values, and the text of lines that have none."""
    names = list(dict.fromkeys(name for _, row, _ in lines for name in row))
    columns = {
        name: pa.array([row.get(name) for _, row, _ in lines], pa.string()) for name in names
    }
    columns["_line"] = pa.array([number for number, _, _ in lines], pa.int64())
    columns["_text"] = pa.array([text for _, _, text in lines], pa.string())
    return pa.table(columns)


def _sound(
    lines: Sequence[tuple[int, bytes]], names: Sequence[str]
) -> tuple[list[pa.Table], list[tuple[int, bytes]]]:
    """Objects of lines, together where that works, else in halves; and the lines that are none."""
    if not lines:
        return [], []
    rows = _objects(b"\n".join(line for _, line in lines) + b"\n", len(lines), names)
    if rows is not None:
        return [_numbered(rows, np.array([number for number, _ in lines]), None)], []
    if len(lines) == 1:
        return [], list(lines)
    halves = [_sound(half, names) for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :])]
    return [table for read, _ in halves for table in read], [bad for _, r in halves for bad in r]


def _try_split(line: bytes, table: Table, *, first: bool) -> list[str] | None:
    text = _decoded(line, table.encoding, first=first)
    return None if text is None else split_line(text, table)


def _decoded(line: bytes, encoding: str, *, first: bool) -> str | None:
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError:
        return None
    return text.removeprefix(BOM) if first else text


def _try_object(text: str) -> dict[str, str | None] | None:
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            return None
        values = {name: _as_text(value) for name, value in found.items() if name not in PLACE}
        for part in (*values, *values.values()):
            (part or "").encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return None if "\0" in "".join(values) else values


def _is_beyond(text: str) -> bool:
    """Whether JSON has a number that Polars refuses: endless, or over 128 bits."""
    if not _MAYBE_BEYOND.search(text):
        return False
    try:
        json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_short)
    except OverflowError:
        return True
    return False


def _refuse(_: str) -> NoReturn:
    raise OverflowError


def _finite(digits: str) -> float:
    return float(digits) if math.isfinite(float(digits)) else _refuse(digits)


def _short(digits: str) -> int:
    return int(digits) if -(2**127) <= int(digits) < 2**128 else _refuse(digits)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _without_head(block: Lines) -> tuple[bytes, Lines]:
    head, _, rest = block.data.partition(b"\n")
    return head, Lines(rest, 2)


def _utf8(block: Lines, encoding: str) -> bytes:
    """The block in UTF-8, without the mark that may stand at the head of a file."""
    data = block.data
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        data = data.decode(encoding).encode()
    return data.removeprefix(BOM.encode()) if block.first == 1 else data


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
