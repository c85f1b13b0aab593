"""How many rows of a Parquet file are read at once, so that its texts fit into memory.

A dictionary says a text once for all rows that have it: a file of 400 kB may hold a text of two
megabytes in each of a hundred thousand rows. The longest text of a dictionary is looked at first,
which takes a few milliseconds; where it is long, the texts are counted before any is written out.
"""

from collections.abc import Iterator, Sequence
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.raw.arrow_types import is_bytes, is_text

BATCH_BYTES = 512 << 20
"""Of the texts of one column that are read at once."""
MOST_BYTES = 4 << 30
"""Of the texts of one column in a row group; more are no log, whatever room they take packed."""
_LOOKED_AT = 1_024


def fitting(stream: IO[bytes], file: pq.ParquetFile, rows: int, groups: Sequence[int]) -> int:
    """How many rows to read at once, `rows` at most.

    Args:
        stream: of the file, which is left anywhere.
        file: the same, opened.
        rows: that are asked for.
        groups: row groups that are to be read.

    Raises:
        OSError: texts of a column take more than `MOST_BYTES` when they are written out.
    """
    columns = [file.schema.column(at) for at in range(len(file.schema))]
    coded = pq.ParquetFile(
        stream,
        metadata=file.metadata,
        read_dictionary=[one.path for one in columns if one.physical_type == "BYTE_ARRAY"],
        buffer_size=1 << 16,  # of a column no more is read than its dictionary and first page
    )
    for group in groups:
        together = min(rows, file.metadata.row_group(group).num_rows)
        for path, longest in _longest(coded, group, together):
            if longest * together > BATCH_BYTES:
                _require_room(coded, group, path)
                rows = min(rows, max(1, BATCH_BYTES // longest))
    return rows


def _longest(file: pq.ParquetFile, group: int, rows: int) -> Iterator[tuple[str, int]]:
    """Columns whose dictionary may hold long texts, and the bytes of its longest for one row."""
    meta = file.metadata.row_group(group)
    for chunk in map(meta.column, range(meta.num_columns)):
        if chunk.physical_type != "BYTE_ARRAY" or not chunk.has_dictionary_page:
            continue
        if chunk.total_uncompressed_size * rows <= BATCH_BYTES:
            continue  # its longest text has no more
        for coded in _coded(file, group, chunk.path_in_schema, _LOOKED_AT):
            if len(coded.dictionary):  # a column may begin with nothing but nulls
                longest = pc.max(pc.binary_length(coded.dictionary)).as_py() or 0
                in_a_row = -(-chunk.num_values // max(meta.num_rows, 1))  # of a list
                yield chunk.path_in_schema, longest * in_a_row
                break


def _require_room(file: pq.ParquetFile, group: int, path: str) -> None:
    total = 0
    for coded in _coded(file, group, path, 1 << 16):
        lengths = pc.binary_length(coded.dictionary).fill_null(0).to_numpy(zero_copy_only=False)
        counts = np.bincount(coded.indices.drop_null().to_numpy(), minlength=len(lengths))
        total += int(counts @ lengths.astype(np.int64))
        if total > MOST_BYTES:
            raise OSError(
                f"the texts of column {path} take over {MOST_BYTES >> 30} GiB in one row group "
                "when they are unpacked"
            )


def _coded(file: pq.ParquetFile, group: int, path: str, rows: int) -> Iterator[pa.DictionaryArray]:
    for batch in file.iter_batches(rows, row_groups=[group], columns=[path]):
        found = batch.column(0)
        while not pa.types.is_dictionary(found.type) and pa.types.is_nested(found.type):
            found = found.flatten()[0] if pa.types.is_struct(found.type) else found.flatten()
        kind = found.type
        if not pa.types.is_dictionary(kind):
            return
        if not (is_text(kind.value_type) or is_bytes(kind.value_type)):
            return
        yield found
