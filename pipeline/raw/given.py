"""The files that an import is given: their rows, block by block, and what their heads must show."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from features.raw import checking, headings, parquet_rows, parse
from features.raw.dataset import Dataset
from features.raw.raw_table import PLACE
from infra.errors import InputError
from infra.reading import require_spoilt
from pipeline.raw.rawfiles import with_place
from pipeline.raw.writer import BLOCK_ROWS, Source

HEAD_BYTES = 1 << 16
"""Looked at to say what is wrong with a file without rows."""


def check_heads(dataset: Dataset, sources: Sequence[Source]) -> None:
    """Refuse a description that does not fit the heads of the files.

    Raises:
        ConfigError: it does not; InputError: a file cannot be read, or holds no row.
    """
    heads: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)
    for source in sources:
        heads[source.table][source.name] = _check_head(dataset, source)
    for name, found in heads.items():
        headings.check_together(dataset, name, found)


def read_blocks(
    dataset: Dataset,
    source: Source,
    told: Callable[[int], None] | None = None,
    rows: int = BLOCK_ROWS,
) -> Iterator[pa.Table]:
    """Raw blocks of a file, whatever its format.

    Raises:
        InputError: it is spoilt, or breaks off (a cut archive); StoreError: its disk fails.
    """
    table = dataset.table(source.table)
    try:
        with source.path.open("rb") as stream:
            if table.format == "parquet":
                file = pq.ParquetFile(stream, page_checksum_verification=True)
                fit = parquet_rows.fitting(stream, file, rows, range(file.num_row_groups))
                blocks = _parquet_blocks(file, source.name, fit)
            else:
                blocks = parse.text_blocks(stream, source.name, table, rows)
            for block in blocks:
                yield block
                if told:
                    told(stream.tell())
            if told:
                told(source.path.stat().st_size)
    except (pa.ArrowException, OSError) as error:
        require_spoilt(error, str(source.path))
        said = f"{source.path} cannot be read: {str(error).rstrip('.')}. Get the file again."
        raise InputError(said) from None


def _parquet_blocks(file: pq.ParquetFile, source: str, rows: int) -> Iterator[pa.Table]:
    line = 1
    for batch in file.iter_batches(rows):
        yield with_place(pa.Table.from_batches([batch]), source, line)
        line += batch.num_rows


def _check_head(dataset: Dataset, source: Source) -> list[str]:
    with source.path.open("rb") as stream:
        begins = stream.read(checking.BEGINS)
    checking.check_format(dataset, source.table, str(source.path), begins)
    for block in read_blocks(dataset, source, rows=checking.SAMPLE_ROWS):
        checking.check(dataset, source.table, source.name, block)
        return [one for one in block.column_names if one not in PLACE]
    with source.path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if b"\r" in head and b"\n" not in head:
        raise InputError(
            f"{source.path}: its lines end with CR alone. End them with LF (`tr '\\r' '\\n'`)."
        )
    raise InputError(f"{source.path} holds no row. Leave it out.")
