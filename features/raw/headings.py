"""The names of a file's columns held against a data set's description.

A file of CSV or Parquet names all of its columns at its head. Whoever writes JSON lines may leave
out what a row has not, so that a file of clicks never says `price` beside one of purchases that
does: there a column that is not needed has to stand in one file of the table.
"""

from collections.abc import Mapping, Sequence

from features.raw import raw_names
from features.raw.dataset import Dataset
from features.raw.parse import is_jsonl
from features.raw.quoting import quote, quotes
from features.raw.raw_table import REQUIRED, Table


def check_delimiter(dataset: Dataset, name: str, file: str, present: Sequence[str]) -> None:
    """Where nothing parts a header, none of its names is to be mended."""
    table = dataset.table(name)
    needed = {*REQUIRED[name], *table.map} - {*table.constants}
    headed = table.columns if table.header else ()
    wanted = {*(table.map.get(one, one) for one in needed), *headed} - {*present}
    if len(wanted) > 1 and len(present) == 1 and table.format == "csv":
        dataset.refuse(
            f"{file} has one column between {table.delimiter!r}: {quotes(present)}. "
            "Mend the delimiter.",
            *(name, "delimiter"),
        )


def check_names(dataset: Dataset, name: str, file: str, present: Sequence[str]) -> None:
    """Refuse a column that stands twice, and one that this file must have and has not."""
    table = dataset.table(name)
    if not present:
        dataset.refuse(f"{file} names no columns: nothing stands in its first lines.", name)
    for column in present:
        if present.count(column) > 1:
            dataset.refuse(
                f"{file} has the column {quote(column)} {present.count(column)} times, as in "
                f"{quotes(present)}. Give each a name of its own, in the file or (where it has no "
                "header) under `columns`.",
                name,
            )
    needed = _needed(name, table)
    for canonical, source in table.map.items():
        if source not in present and (canonical in needed or not is_jsonl(file, table)):
            _refuse_absent(dataset, name, canonical, {file: present})
    for canonical in needed:
        known = canonical in table.constants or canonical in table.map or canonical in present
        if not known:
            dataset.refuse(
                f"{file} has no column {canonical!r}; it has {quotes(present)}. "
                f"Say which one it is under [{name}.map].",
                *(name, "map"),
            )


def check_together(dataset: Dataset, name: str, heads: Mapping[str, Sequence[str]]) -> None:
    """Refuse a mapped column that stands in none of a table's files.

    Args:
        dataset: the description.
        name: the table.
        heads: of each file the columns that its first rows have.

    Raises:
        ConfigError: naming the TOML file, the line and the column.
    """
    found = {column for present in heads.values() for column in present}
    for canonical, source in dataset.table(name).map.items():
        if source not in found:
            _refuse_absent(dataset, name, canonical, heads)


def _needed(name: str, table: Table) -> tuple[str, ...]:
    return (*REQUIRED[name], *(["event_id"] if table.identity == "event_id" else []))


def _refuse_absent(
    dataset: Dataset, name: str, canonical: str, heads: Mapping[str, Sequence[str]]
) -> None:
    (first, *more), source = heads, dataset.table(name).map[canonical]
    present = [*dict.fromkeys(column for columns in heads.values() for column in columns)]
    asked = f"column {source!r} for {canonical}"
    said = f"{first} has no {asked}; it has"
    if more:
        said = f"none of {raw_names.some([*heads])} has a {asked} in its first rows; they have"
    dataset.refuse(f"{said} {quotes(present)}. Write one of these.", *(name, "map", canonical))
