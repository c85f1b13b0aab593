"""The needed columns of a file's head held against what they take: ids, lists of ids, flags.

They are read as `features.events` reads them. A single value that is none is refused there in its
row; where most are, the description names the wrong column, or the log is to be converted.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.raw import columns
from features.raw.arrow_types import one_array
from features.raw.dataset import Dataset
from features.raw.parse import is_jsonl, same_text
from features.raw.quoting import quote
from features.raw.raw_table import REQUIRED, Table

FEW = 10
"""Rows of pages or follows that may all be odd, as pages of a quiet hour on which nothing was
found: from more on the column is another one. Values that are none are single ones up to there."""
_ID = "texts or whole numbers"
_TAKES = {
    "item_ids": "lists of ids (texts or whole numbers), or a text of them with a separator between",
    "followed": "true or false, yes or no, 1 or 0",
}


@dataclass(frozen=True)
class _Needed:
    """A column: what it is called, what it takes, what stands there and how that is read."""

    canonical: str
    takes: str
    said: str
    section: str
    given: pa.Array
    read: columns.Column

    @property
    def is_id(self) -> bool:
        """Without it a row is nobody's, or about nothing."""
        return self.takes == _ID


def check_presence(dataset: Dataset, name: str, file: str, rows: pa.Table) -> None:
    """Refuse a needed column in which nothing stands.

    Args:
        dataset: the description.
        name: the table that the file belongs to.
        file: what errors call the file.
        rows: its first ones.

    Raises:
        ConfigError: naming the TOML file, the line and the column.
    """
    for one in _needed(dataset.table(name), name, file, rows):
        if rows.num_rows <= FEW and not one.is_id:
            continue
        if one.read.values.null_count == rows.num_rows and not one.read.bad.any():
            dataset.refuse(
                f"{one.said} has no {one.canonical} in its first {rows.num_rows} rows. "
                "Name another column.",
                *(name, one.section, one.canonical),
            )


def check_values(dataset: Dataset, name: str, file: str, rows: pa.Table) -> None:
    """Refuse a needed column that is not what it takes in most of the rows that have it.

    Args:
        dataset: the description.
        name: the table that the file belongs to.
        file: what errors call the file.
        rows: its first ones, without those of ignored types.

    Raises:
        ConfigError: naming the TOML file, the line and the column.
    """
    for one in _needed(dataset.table(name), name, file, rows):
        bad = one.read.bad
        there = rows.num_rows - one.read.values.null_count + bad.sum()  # what is bad is null, too
        if 2 * bad.sum() > there and (bad.sum() > FEW or one.section == "constants"):
            example = one.given[int(np.flatnonzero(bad)[0])].as_py()
            dataset.refuse(
                f"{one.said} is no {one.canonical}: {quote(example)}. It takes {one.takes}. "
                "Convert it, or name another column.",
                *(name, one.section, one.canonical),
            )


def _needed(table: Table, name: str, file: str, rows: pa.Table) -> Iterator[_Needed]:
    """Needed columns that are neither of codes nor of times."""
    for canonical in REQUIRED[name]:
        takes = _ID if canonical.endswith("_id") else _TAKES.get(canonical)
        if takes is None:
            continue
        section, said = "constants", f"the constant of {file}"
        if canonical in table.constants:
            given = same_text(table.constants[canonical], rows.num_rows)
        else:
            source = table.map.get(canonical, canonical)
            section, said = "map", f"column {source!r} of {file}"
            given = one_array(rows, source)
        read = _read(table, file, canonical, given)
        yield _Needed(canonical, takes, said, section, given, read)


def _read(table: Table, file: str, canonical: str, given: pa.Array) -> columns.Column:
    """The column as `events` reads it."""
    if canonical == "followed":
        return columns.flags(given, table.nulls)
    of_json = np.full(len(given), is_jsonl(file, table))
    if canonical == "item_ids":
        separator = table.separators.get(canonical, " ")
        read = columns.lists(given, separator, table.nulls, as_id=True)
        return columns.json_lists(read, given, of_json)
    return columns.json_ids(columns.texts(given, table.nulls_of(canonical), as_id=True), of_json)
