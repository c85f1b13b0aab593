"""A Parquet file as a table in memory, every page held against its checksum."""

from collections.abc import Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq


def table(
    source: IO[bytes],
    columns: Sequence[str] | None = None,
    *,
    coded: Sequence[str] = (),
    filters: Any = None,
    use_threads: bool = True,
    pre_buffer: bool = True,
) -> pa.Table:
    """The rows of an open file; grows with the columns that are asked for.

    Arrow's data sets are asked only where rows are chosen. They let go of `source` in a thread of
    their own, and a process that ends meanwhile is aborted: whoever reads a table last would leave
    with an error after all is done.

    Args:
        source: an open Parquet file.
        columns: names of top-level columns, in the order they shall come in; all by default.
        coded: paths of text columns that come as dictionaries; those that are not here are none.
        filters: which rows, as `pyarrow.parquet.read_table` takes it.
        use_threads: whether columns are decoded beside one another.
        pre_buffer: whether what is asked for is fetched in few large pieces, ahead.

    Raises:
        pa.ArrowInvalid: a column is not there, or a byte is not what was written.
    """
    if filters is not None:
        return pq.read_table(
            source,
            columns=columns,
            read_dictionary=list(coded),
            filters=filters,
            use_threads=use_threads,
            pre_buffer=pre_buffer,
            page_checksum_verification=True,
        )
    footer = pq.read_metadata(source)
    paths = {footer.schema.column(index).path for index in range(footer.num_columns)}
    file = pq.ParquetFile(
        source,
        metadata=footer,
        read_dictionary=[path for path in coded if path in paths],
        pre_buffer=pre_buffer,
        page_checksum_verification=True,
    )
    known = file.schema_arrow.names
    for name in columns or ():
        if name not in known:
            raise pa.ArrowInvalid(f"it has no column {name}, but {', '.join(known)}")
    rows = file.read(columns, use_threads=use_threads)
    return rows.select(columns) if columns else rows
