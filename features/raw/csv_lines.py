"""CSV lines to rows of texts: Arrow reads a sound block at once, a spoilt one goes line by line.

A line becomes the same both ways: the same columns, or no row and its text in `_text`.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from features.raw.raw_table import PLACE, Table
from features.raw.textfile import BOM, Lines, count_lines, decoded, numbered, readable, utf8

WHITE = " \t\r\n\v\f"
_BLANK_LINE = re.compile(rb"\n[ \t\r\x0b\x0c]*\n")


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


def names_of(head: bytes, table: Table) -> list[str]:
    """Names of a header; bytes that are no text show as U+FFFD, for `checking` to refuse."""
    plain = readable(head, table.encoding).removeprefix(BOM)
    return (split_line(plain, table) or [plain]) if plain.strip() else []


def csv_block(block: Lines, table: Table, names: Sequence[str]) -> pa.Table:
    """Columns of strings of a block of lines; a line that is no row has its text in `_text`."""
    try:
        data = utf8(block, table.encoding)
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
    if rows.num_rows != count_lines(data) or (quotes and _runs_on(rows)):
        return _csv_line_by_line(block, table, names)
    rows = rows.drop_columns([name for name in PLACE if name in rows.column_names])
    return numbered(rows, np.arange(block.first, block.first + rows.num_rows), None)


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
        texts.append(None if good else readable(line, table.encoding))
        numbers.append(number)
    columns = {
        name: pa.array([row[at] for row in rows], pa.string())
        for at, name in enumerate(names)
        if name not in PLACE
    }
    return numbered(pa.table(columns), np.array(numbers, np.int64), texts)


def _try_split(line: bytes, table: Table, *, first: bool) -> list[str] | None:
    text = decoded(line, table.encoding, first=first)
    return None if text is None else split_line(text, table)


@cache
def _column_pattern(cut: str, quote: str) -> re.Pattern[str]:
    """A column of a line up to the next delimiter: in quotes and what follows them, or plain."""
    c, q = re.escape(cut), re.escape(quote)
    return re.compile(f"(?:{q}((?:[^{q}]|{q}{q})*+){q}([^{c}\\r]*)|((?!{q})[^{c}\\r]*))(?={c}|\\Z)")
