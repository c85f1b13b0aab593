"""Raw files as blocks of rows: what lies under `raw/dt=D/<table>`, read a batch at a time.

A manifest partition (written by `import` or `simulate`) is read as listed, and with it the pages
that the service has added to the day since; a folder without a manifest holds plain files that
somebody put there. A `RawPart` is a small value that says what one worker reads: a row group of a
Parquet file, or a whole text file.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.raw import clock, parquet_rows, parse, raw_names
from features.raw.arrow_types import readable
from features.raw.canonical import REPEATED
from features.raw.dataset import Dataset
from features.raw.raw_names import is_data, is_served, is_skipped
from features.raw.raw_table import LISTED, PLACE, Table
from infra.errors import InputError, PartitionCorrupt
from infra.reading import is_about_content
from infra.store import FileEntry, Partition, Store
from infra.visible import as_text, visible

JSON_ROWS = 65_536
"""Lines looked at together for the keys that they have."""


@dataclass(frozen=True, kw_only=True)
class RawPart:
    """What one worker reads at a time."""

    table: str
    partition: Partition
    file: str
    source: str
    ordinal: int
    row_group: int | None = None
    first_line: int = 1
    damage: str = ""
    unzoned: tuple[str, ...] = ()
    """Columns of timestamps that have no time zone."""


def parts(store: Store, day: date, table_name: str) -> list[RawPart]:
    """The parts of one raw table, in order of file and row group; none if there is no such table.

    A plain Parquet file without a readable footer comes back as one part with its `damage`.

    Raises:
        PartitionCorrupt: a file that a manifest lists cannot be read.
    """
    partition = store.partition("raw", day, table_name)
    published = partition.exists()
    listed = {entry.name for entry in partition.manifest().files} if published else set()
    plain = filter(is_served if published else is_data, partition.files())
    found: list[RawPart] = []
    for name in sorted(listed.union(plain)):
        source = _source_name(name) if name in listed else as_text(name)
        found += _parts_of_file(table_name, partition, name, source, len(found))
        if name in listed and found[-1].damage:
            raise PartitionCorrupt(
                f"{partition.key}/{name} cannot be read ({found[-1].damage}). "
                "Import or simulate that day again."
            )
    return found


def skipped(partition: Partition) -> list[str]:
    """What lies in a raw table and is not read for its suffix, or since it is no file."""
    if partition.exists():
        return []
    files = {*partition.files()}
    names = partition.names()
    return [name for name in names if is_skipped(name) or (is_data(name) and name not in files)]


def beside(partition: Partition) -> list[str]:
    """Plain files of a published raw table that would be read if no import had made it.

    Whoever put them there expects them to count.
    """
    plain = [name for name in partition.names() if is_data(name) and not is_served(name)]
    if not plain or not partition.exists():
        return []
    listed = {entry.name for entry in partition.manifest().files}
    return [name for name in plain if name not in listed]


def unread(partition: Partition) -> str:
    """Which files of a raw table are not read, why, and what to do; empty if there are none."""
    if skipped_ones := skipped(partition):
        return raw_names.not_read(skipped_ones)
    found = beside(partition)
    return raw_names.not_read_beside(found) if found else ""


def table_of(part: RawPart, dataset: Dataset) -> Table:
    """How a part's file looks: as the data set says, or as `dupn serve` writes its pages.

    A served page has our own names and times, whatever the log has. Rows of one table carry the
    same columns by which those that came twice are found, so a place stays one.
    """
    table = dataset.table(part.table)
    if not is_served(part.file):
        return table
    return Table(format="jsonl", identity="place" if table.identity == "place" else "row")


def column_names(part: RawPart, table: Table) -> list[str]:
    """The source columns of a part's file, as far as it can be read.

    They stand in its head, but any line of JSON may have a key that those before it left out.

    Raises:
        StoreError: nobody gets at it now; its columns would be lost without a word.
    """
    found: dict[str, None] = {}
    try:
        for names in _heads(part, table):
            found.update(dict.fromkeys(names))
    except (pa.ArrowException, OSError) as error:  # spoilt: whoever reads its rows says so
        if not is_about_content(error):
            raise
    return [name for name in found if name not in PLACE]


def _heads(part: RawPart, table: Table) -> Iterator[list[str]]:
    if part.row_group is not None:
        with part.partition.open(FileEntry(name=part.file, rows=0, bytes=0, sha256="")) as stream:
            yield list(pq.read_schema(stream).names)
    elif parse.is_jsonl(part.source, table):
        yield from (block.column_names for block in blocks(part, table, JSON_ROWS))
    else:
        yield from (block.column_names for block in islice(blocks(part, table, 1), 1))


def blocks(part: RawPart, table: Table, batch_rows: int) -> Iterator[pa.Table]:
    """Raw rows with the columns of PLACE, at most about `batch_rows` at a time."""
    entry = FileEntry(name=part.file, rows=0, bytes=0, sha256="")
    with part.partition.open(entry) as stream:
        if part.row_group is None:
            yield from parse.text_blocks(stream, part.source, table, batch_rows, quoted=True)
            return
        file = pq.ParquetFile(stream)
        texts = {f.name for f in file.schema_arrow if f.type in (pa.string(), pa.large_string())}
        coded = {"_source", *(table.map.get(name, name) for name in REPEATED)}
        file = pq.ParquetFile(
            stream, read_dictionary=sorted(texts & coded), page_checksum_verification=True
        )
        line = part.first_line
        rows = max(1, batch_rows // _values_a_row(file.metadata.row_group(part.row_group)))
        rows = parquet_rows.fitting(stream, file, rows, [part.row_group])
        for batch in file.iter_batches(rows, row_groups=[part.row_group]):
            yield with_place(pa.Table.from_batches([batch]), part.source, line)
            line += batch.num_rows


def _values_a_row(group: pq.RowGroupMetaData) -> int:
    """Of the longest lists: a page of ten items weighs as much as ten behaviours."""
    values = [group.column(index).num_values for index in range(group.num_columns)]
    return max(1, max(values, default=0) // max(group.num_rows, 1))


def with_place(rows: pa.Table, source: str, first_line: int) -> pa.Table:
    """`rows` with the first three columns of PLACE where they are absent; `readable`."""
    rows, count = readable(rows), rows.num_rows
    if "_source" not in rows.column_names:
        rows = rows.append_column("_source", parse.same_text(source, count))
    if "_line" not in rows.column_names:
        rows = rows.append_column("_line", pa.array(np.arange(first_line, first_line + count)))
    if "_text" not in rows.column_names:
        rows = rows.append_column("_text", pa.nulls(count, pa.string()))
    return rows


def _parts_of_file(
    table_name: str, partition: Partition, name: str, source: str, ordinal: int
) -> list[RawPart]:
    def part(
        index: int,
        group: int | None = None,
        line: int = 1,
        *,
        damage: str = "",
        unzoned: tuple[str, ...] = (),
    ) -> RawPart:
        return RawPart(
            table=table_name,
            partition=partition,
            file=name,
            source=source,
            ordinal=ordinal + index,
            row_group=group,
            first_line=line,
            damage=damage,
            unzoned=unzoned,
        )

    if not name.endswith(".parquet"):
        return [part(0)]
    try:
        with partition.open(FileEntry(name=name, rows=0, bytes=0, sha256="")) as stream:
            footer = pq.read_metadata(stream)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if not is_about_content(error):
            raise
        return [part(0, damage=str(error).rstrip("."))]
    rows = [footer.row_group(index).num_rows for index in range(footer.num_row_groups)]
    starts = np.r_[0, np.cumsum(rows)]
    unzoned = _unzoned(footer)
    return [
        part(index, index, int(starts[index]) + 1, unzoned=unzoned) for index in range(len(rows))
    ]


def _unzoned(footer: pq.FileMetaData) -> tuple[str, ...]:
    with suppress(pa.ArrowException):  # a type that Arrow has no word for: whoever reads it says so
        schema = footer.schema.to_arrow_schema()
        return tuple(field.name for field in schema if clock.has_no_zone(field.type))
    return ()


def _source_name(name: str) -> str:
    """A published file's name without the marks of its attempt, so that a rerun says the same."""
    stem, _, suffix = name.removeprefix(LISTED).rpartition(".")
    return f"{stem.rpartition('-')[0]}.{suffix}"


def require_some(found: list[RawPart], key: str) -> None:
    """Refuse a table all of whose files are unreadable.

    Raises:
        InputError: naming the folder and the first file's fault.
    """
    if found and all(part.damage for part in found):
        raise InputError(
            f"{key}: none of its {len(found)} files can be read; {visible(found[0].file)}: "
            f"{visible(found[0].damage)}. Send the files again."
        )
