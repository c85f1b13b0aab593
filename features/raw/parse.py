"""Text files to raw blocks: every column a string as received, every line accounted for.

A block of whole lines is parsed at once; if that fails, or gives another number of rows than there
are lines, the block is read line by line, and lines that cannot be split keep their text in
`_text` for `features.events` to refuse. What a line becomes is the same both ways, whatever stands
beside it (`features.raw.csv_lines`, `features.raw.json_lines`). Memory is one block, whatever the
file.
"""

from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import pyarrow as pa

from features.raw.csv_lines import csv_block, names_of
from features.raw.json_lines import json_blocks
from features.raw.raw_table import Table
from features.raw.textfile import Lines, decompressed, whole_lines

LINE_BYTES = 64
"""Bytes of a line assumed where a block is asked for in rows."""


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
            for piece, rows in json_blocks(block, table):
                yield _placed(rows, source, piece if quoted else None)
        return
    names: Sequence[str] = table.columns
    for block in lines:
        body = block
        if table.header and block.first == 1:
            head, body = _without_head(block)
            names = names_of(head, table) or names
        if body.data:
            yield _placed(csv_block(body, table, names), source, body if quoted else None)


def same_text(text: str, rows: int) -> pa.DictionaryArray:
    """A column of one text, four bytes a row."""
    return pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), pa.array([text]))


def is_jsonl(name: str, table: Table) -> bool:
    """Whether a file holds JSON lines: its suffix says so, else its table."""
    stem = name.removesuffix(".gz").removesuffix(".zst").removesuffix(".bz2").removesuffix(".xz")
    if stem.endswith((".jsonl", ".ndjson")):
        return True
    return table.format == "jsonl" and not stem.endswith((".csv", ".tsv"))


def _without_head(block: Lines) -> tuple[bytes, Lines]:
    head, _, rest = block.data.partition(b"\n")
    return head, Lines(rest, 2)


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
