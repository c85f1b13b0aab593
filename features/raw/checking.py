"""A data set's description held against the head of its files, before anything is written.

A description that is wrong for the log (a column that is not there, an unmapped code, ids, prices
or times that are none in most rows) is refused here, with the line of the TOML and the column that
it names. Where it is wrong for fewer rows, those are rejects, counted by reason.
"""

import re
from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.property import day_number
from features.raw import clock, columns, headings, needed
from features.raw.arrow_types import one_array
from features.raw.dataset import Dataset
from features.raw.parse import is_jsonl
from features.raw.quoting import quote, quotes
from features.raw.raw_table import LOGS, OPTIONAL, PLACE, Table

_NUMBER = re.compile(r"\s*[-+]?[\d.]+(e[-+]?\d+)?\s*$", re.IGNORECASE)
SAMPLE_ROWS = 50_000
BEGINS = 5
"""Bytes at the head of a file that tell whether it is Parquet."""
_PARQUET = b"PAR1"
_BINARY = b"\x15"
"""What follows on them in such a file, and in no text."""
_COMMON = 0.001
"""Share of the sample (and at least two rows) from which an unknown code is no accident."""
_GLARING = 0.1
"""Share from which even a single row is none."""
_NAMED = 20
"""Unknown codes that are listed; a column with more is hardly one of codes."""


def check(dataset: Dataset, name: str, file: str, sample: pa.Table) -> None:
    """Refuse a description that does not fit the first rows of a file.

    Which columns may lie in another file of its table is asked of all of them together
    (`features.raw.headings`).

    Args:
        dataset: the description.
        name: the table that the file belongs to.
        file: what errors call the file.
        sample: its first rows, a raw block.

    Raises:
        ConfigError: naming the TOML file, the line and the column.
    """
    table = dataset.table(name)
    _check_lines(dataset, name, file, sample)
    present = [column for column in sample.column_names if column not in PLACE]
    headings.check_delimiter(dataset, name, file, present)
    if table.columns and table.header and table.format == "csv" and list(table.columns) != present:
        dataset.refuse(
            f"{file} has the columns {quotes(present)}. Write them so, or leave `columns` out.",
            *(name, "columns"),
        )
    headings.check_names(dataset, name, file, present)
    rows = sample.filter(pc.is_null(sample["_text"]))
    if not rows.num_rows:
        return
    needed.check_presence(dataset, name, file, rows)
    used = _check_types(dataset, file, rows) if name == "behaviors" else rows
    needed.check_values(dataset, name, file, used)
    _check_prices(dataset, name, file, used)
    _check_scenarios(dataset, name, file, used)
    if name in LOGS:
        _check_time(dataset, name, file, rows)


def check_format(dataset: Dataset, name: str, file: str, begins: bytes) -> None:
    """Refuse a file of text that is called Parquet, and the other way round.

    Args:
        dataset: the description.
        name: the table that the file belongs to.
        file: what errors call the file.
        begins: its first BEGINS bytes; of a file of none another sentence is told.

    Raises:
        ConfigError: naming the TOML file and the line.
    """
    said = dataset.table(name).format
    if said == "parquet" and begins and not begins.startswith(_PARQUET):
        mend = "is no Parquet file. Write the format that it has: csv or jsonl."
        dataset.refuse(f"{file} {mend}", name, "format")
    if said != "parquet" and begins == _PARQUET + _BINARY:
        dataset.refuse(f'{file} is a Parquet file. Write format = "parquet".', name, "format")


def _check_lines(dataset: Dataset, name: str, file: str, sample: pa.Table) -> None:
    table = dataset.table(name)
    garbled = [column for column in sample.column_names if "\ufffd" in column]
    if garbled:
        dataset.refuse(
            f"the header of {file} is not {table.encoding} text: column {quote(garbled[0])}. "
            "Write the encoding that the file has.",
            *(name, "encoding"),
        )
    unsplit = sample["_text"].drop_null()
    if len(unsplit) <= _GLARING * sample.num_rows:
        return
    first = unsplit[0].as_py()
    line = sample.filter(pc.is_valid(sample["_text"]))["_line"][0].as_py()
    if "\ufffd" in first:
        dataset.refuse(
            f"line {line} of {file} is not {table.encoding} text: {quote(first)}. "
            "Write the encoding that the file has.",
            *(name, "encoding"),
        )
    if table.format == "jsonl":
        dataset.refuse(f"line {line} of {file} is no JSON object: {quote(first)}.", name, "format")
    width = sum(column not in PLACE for column in sample.column_names)
    found = len(first.split(table.delimiter))
    dataset.refuse(
        f"line {line} of {file} has {found} columns between {table.delimiter!r}, not {width}: "
        f"{quote(first)}. Mend columns, header or delimiter.",
        *(name, "columns" if table.columns else "delimiter"),
    )


def _check_prices(dataset: Dataset, name: str, file: str, rows: pa.Table) -> None:
    table = dataset.table(name)
    source = table.map.get("price", "price")
    known = "price" in OPTIONAL.get(name, ()) and source in rows.column_names
    if not known or "price" in table.constants:
        return
    given = one_array(rows, source)
    comma = np.ones(rows.num_rows, np.bool_) if table.decimal == "," else None
    if comma is not None and is_jsonl(file, table):
        dataset.refuse(
            f"{file} is of JSON, whose numbers have a point. Take the line out, or describe the "
            "files of another kind apart.",
            *(name, "decimal"),
        )
    bad = columns.numbers(given, table.nulls, comma).bad
    if 2 * bad.sum() > rows.num_rows:
        example = given[int(np.flatnonzero(bad)[0])].as_py()
        dataset.refuse(
            f"column {source!r} of {file} is no price: {quote(example)}. {_price_like(table)}, "
            "and write what means that there is none under nulls.",
            *(name, "map", "price"),
        )


def _price_like(table: Table) -> str:
    if table.decimal == ",":
        return 'It takes numbers like 1.299,50 (decimal = ",")'
    return 'It takes numbers like 12.5, with decimal = "," those like 1.299,50'


def _check_types(dataset: Dataset, file: str, rows: pa.Table) -> pa.Table:
    """The rows whose type is not ignored."""
    table = dataset.table("behaviors")
    if "type" in table.constants:
        return rows
    source = table.map.get("type", "type")
    found = _codes(dataset, "behaviors", file, rows, "type")
    if found.null_count == rows.num_rows:
        dataset.refuse(
            f"column {source!r} of {file} has no type in its first {rows.num_rows} rows. "
            "Name another column.",
            *("behaviors", "map", "type"),
        )
    unknown = _unknown(found, {*table.type_codes(), *table.ignore_types})
    if unknown:
        dataset.refuse(
            f"column {source!r} of {file} has codes that are neither under types nor in "
            f"ignore_types: {unknown} of its first {rows.num_rows} rows. Say what each means, or "
            "ignore it.",
            *("behaviors", "types"),
        )
    ignored = pc.is_in(found.cast(pa.string()), pa.array(table.ignore_types, pa.string()))
    return rows.filter(pc.invert(ignored))


def _check_scenarios(dataset: Dataset, name: str, file: str, rows: pa.Table) -> None:
    table = dataset.table(name)
    source = table.map.get("scenario", "scenario")
    known = "scenario" in OPTIONAL.get(name, ()) and source in rows.column_names
    if not known or "scenario" in table.constants or not rows.num_rows:
        return
    found = _codes(dataset, name, file, rows, "scenario")
    unknown = _unknown(found, table.scenario_codes())
    if unknown:
        dataset.refuse(
            f"column {source!r} of {file} has values that are not under scenarios: {unknown} of "
            f"{rows.num_rows} rows. Say what each means: search, recommend, ad or unknown.",
            *(name, "scenarios"),
        )


def _codes(dataset: Dataset, name: str, file: str, rows: pa.Table, canonical: str) -> pa.Array:
    """The texts of a column of codes; what is neither text nor number cannot be one."""
    table = dataset.table(name)
    source = table.map.get(canonical, canonical)
    given = one_array(rows, source)
    read = columns.texts(given, table.nulls)
    if 2 * read.bad.sum() > rows.num_rows:
        example = given[int(np.flatnonzero(read.bad)[0])].as_py()
        dataset.refuse(
            f"column {source!r} of {file} is no {canonical}: {quote(example)}. Write one text or "
            "number a row, or name another column.",
            *(name, "map", canonical),
        )
    return read.values


def _unknown(found: pa.Array, known: Collection[str]) -> str:
    """The texts that are not known and no accident, with their rows: `'pv' in 80, 'buy' in 10`."""
    counts: dict[str, int] = {}
    for pair in found.value_counts().to_pylist():
        code, count = pair["values"], pair["counts"]
        share = count / len(found)
        rare = share <= _GLARING and (count < 2 or share < _COMMON)
        if code is not None and code not in known and not rare:
            counts[code] = count
    often = sorted(counts, key=lambda code: -counts[code])
    said = [f"{quote(code)} in {counts[code]}" for code in often[:_NAMED]]
    return ", ".join(said) + f", and {len(often) - _NAMED} more" * (len(often) > _NAMED)


def _check_time(dataset: Dataset, name: str, file: str, rows: pa.Table) -> None:
    table = dataset.table(name)
    source = table.map.get("ts", "ts")
    given = columns.plain_times(one_array(rows, source), table.nulls)
    if given.null_count == rows.num_rows:
        dataset.refuse(
            f"column {source!r} of {file} has no ts in its first {rows.num_rows} rows. "
            "Name another column.",
            *(name, "map", "ts"),
        )
    unsaid = table.time.unsaid_zone(dataset.time_zone)
    if unsaid and clock.has_no_zone(given.type):
        dataset.refuse(f"column {source!r} of {file} {unsaid}", name, "time", "zone")
    read = clock.to_ms(pa.chunked_array([given]), table.time, dataset.time_zone)
    ms = read.drop_null().to_numpy()
    key = "format" if table.time.format is not None else "unit"
    example = next((value.as_py() for value in given if value.is_valid), None)
    if 2 * len(ms) < rows.num_rows:
        unread = given.filter(pc.and_(read.is_null().combine_chunks(), given.is_valid()))
        example = unread[0].as_py() if len(unread) else None
        mend = f"Mend the {key}."
        if key == "unit" and isinstance(example, str) and not _NUMBER.match(example):
            mend = 'It is a text: say how it is written, time = { format = "..." }.'
        if example is not None and pa.types.is_date(given.type):
            example, mend = str(example), 'It is a date: write time = { format = "%Y-%m-%d" }.'
        dataset.refuse(
            f"column {source!r} of {file} cannot be read as "
            f"{table.time.format or table.time.unit}: {quote(example)}. {mend}",
            *(name, "time", key),
        )
    believed = ms[plausible(ms)]
    if 2 * len(believed) < len(ms):
        dataset.refuse(
            f"column {source!r} of {file}, {quote(example)}, is no time between 1990 and 2100 in "
            f"{table.time.format or table.time.unit}. Mend the {key}.",
            *(name, "time", key),
        )
    days = clock.days_of(believed, dataset.clock)
    if len(days) and not inside(dataset, days).any():
        first = clock.day_of_number(int(days[0]))
        dataset.refuse(
            f"column {source!r} of {file} begins on {first}, and none of its first "
            f"{len(days)} rows lies in the valid days, {_valid_days(dataset)}. Mend the days.",
            "first_day" if dataset.first_day and first < dataset.first_day else "last_day",
        )


def plausible(ms: NDArray[np.int64]) -> columns.Mask:
    """Whether a time lies between 1990 and 2100; others cannot be told from a wrong unit."""
    return (ms >= clock.PLAUSIBLE[0]) & (ms < clock.PLAUSIBLE[1])


def inside(dataset: Dataset, days: NDArray[np.int32]) -> columns.Mask:
    """Whether a day is one of the data set's valid days."""
    found = np.ones(len(days), np.bool_)
    if dataset.first_day:
        found &= days >= day_number(dataset.first_day)
    if dataset.last_day:
        found &= days <= day_number(dataset.last_day)
    return found


def _valid_days(dataset: Dataset) -> str:
    first, last = dataset.first_day, dataset.last_day
    if first and last:
        return f"{first} to {last}"
    return f"from {first} on" if first else f"up to {last}"
