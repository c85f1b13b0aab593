"""A raw log described by one TOML file, so that a new log needs no code.

`infra/datasets/<name>.toml` (or any path) says, per table, how its files look (format, delimiter,
header, encoding), which source column is which canonical one, what the type codes mean, how time
is written, and what makes a row the same row twice. `features.events` reads raw rows by it;
`features.raw.checking` holds it against the files before anything is written.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatch
from importlib import resources
from itertools import combinations
from pathlib import Path
from typing import NoReturn

import pyarrow as pa
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from features.property import LocalClock
from features.raw import columns
from features.raw.raw_table import LOGS, OPTIONAL, REQUIRED, TABLES, Table, known_zone
from features.schemas import BehaviorType, Scenario
from infra.config import Config, known_keys, load_toml, nearest
from infra.errors import ConfigError
from infra.toml_lines import line_number

_FOLDER = Path(str(resources.files("infra"))) / "datasets"


class Dataset(Config):
    """A raw log: its clock, its valid days and its tables."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    """Kept in the lineage of what is imported."""

    time_zone: str = "UTC"
    """Days and dayparts are of this zone; `ts` is UTC throughout."""

    first_day: date | None = None
    """Rows of earlier days are refused as stray."""

    last_day: date | None = None
    """Rows of later days are refused as stray."""

    behaviors: Table | None = None
    impressions: Table | None = None
    follows: Table | None = None
    items: Table | None = None
    users: Table | None = None
    icons: Table | None = None
    shops: Table | None = None

    source: str = ""
    """Where the description was read from (set by `load`)."""

    text: str = Field("", repr=False)
    """The TOML itself (set by `load`); travels in lineage so that a day explains itself."""

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        return known_zone(value)

    @field_validator("last_day")
    @classmethod
    def _in_order(cls, value: date | None, info: ValidationInfo) -> date | None:
        first = info.data.get("first_day")
        if value and first and value < first:
            raise ValueError(f"{value} lies before first_day, {first}")
        return value

    @property
    def clock(self) -> LocalClock:
        """By which its days begin."""
        return LocalClock(self.time_zone)

    def tables(self) -> Mapping[str, Table]:
        """The described tables by name."""
        found = {name: getattr(self, name) for name in TABLES}
        return {name: table for name, table in found.items() if table is not None}

    def table(self, name: str) -> Table:
        """The description of one table; canonical Parquet where there is none."""
        return self.tables().get(name) or Table()

    def table_of(self, file: Path) -> str | None:
        """The table whose glob matches the file's name, or None."""
        for name, table in self.tables().items():
            if table.files and fnmatch(file.name, table.files):
                return name
        return None

    def refuse(self, sentence: str, *path: str) -> NoReturn:
        """Raise a ConfigError that points at the line of `path` in the TOML."""
        where = f"{self.source} line {line_number(self.text, *path)}" if self.text else self.name
        raise ConfigError(f"{where}: {'.'.join(path)}: {sentence}")


def load(name_or_path: str | Path) -> Dataset:
    """The data set of that name in `infra/datasets`, or the one described by a TOML file.

    Raises:
        ConfigError: naming the file, the line and the key that is wrong.
    """
    path = _find(str(name_or_path))
    load_toml(path)  # a syntax error names its own line
    return parse_description(path.read_text(encoding="utf-8-sig"), str(path))


def parse_description(text: str, source: str) -> Dataset:
    """A data set from the text of its TOML; `source` is what errors call it."""
    import tomllib

    raw = tomllib.loads(text)
    try:
        dataset = Dataset.model_validate({**raw, "source": source, "text": text})
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(str(part) for part in first["loc"])
        where = f"{source} line {line_number(text, *path)}: {'.'.join(path)}"
        if first["type"] == "extra_forbidden":
            near = nearest(".".join(path), [*known_keys(Dataset)])
            hint = f"Did you mean {near}?" if near else "Mend the description."
            raise ConfigError(f"{where}: is not a known key. {hint}") from None
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {message}. Mend the description.") from None
    for table_name, table in dataset.tables().items():
        for message, path in _mistakes(table_name, table):
            dataset.refuse(message, table_name, *path)
        mistaken = table.time.mistaken_zone(table.time.zone or dataset.time_zone)
        if mistaken:
            dataset.refuse(mistaken, table_name, "time", "format")
    return dataset


def canonical(table_name: str) -> tuple[str, ...]:
    """Canonical columns of a table (more are possible for users, icons and shops)."""
    return REQUIRED[table_name] + OPTIONAL.get(table_name, ())


def _mistakes(name: str, table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    if name in LOGS or name == "items":
        yield from _unknown_columns(name, table)
        yield from _ids(name, table)
    for column, source in table.map.items():
        if table.columns and source not in table.columns:
            yield (
                f"column {source} is not among columns ({', '.join(table.columns)}). "
                "Mend the name.",
                ("map", column),
            )
    yield from _constants(name, table)
    for column, separator in table.separators.items():
        if not separator:
            sentence = "is at least one character. Write what stands between the values."
            yield sentence, ("separators", column)
    for code in sorted(set(table.ignore_types) & set(table.types)):
        yield f"type code {code} is both mapped and ignored. Choose one.", ("ignore_types",)
    yield from _codes(table)
    if table.identity == "event_id" and name not in LOGS:
        yield "a snapshot is identified by its id. Take the line out.", ("identity",)


def _constants(name: str, table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    closed = {"type": BehaviorType, "scenario": Scenario}
    for column, value in table.constants.items():
        path = ("constants", column)
        if column in table.map:
            yield f"{column} is both mapped and a constant. Choose one.", path
        known = [member.name.lower() for member in closed.get(column, ())]
        if known and value not in known:
            yield f"{value!r} is no {column}. Choose of {', '.join(known)}.", path
        if (name in LOGS or name == "items") and (wrong := _for_every_row(name, table, column)):
            yield wrong, path


def _for_every_row(name: str, table: Table, column: str) -> str:
    """Why every row would be refused for a constant; empty: none would."""
    if column == "ts":
        return "ts is the time of each row, which rows do not share. Map it to a column."
    given = pa.array([table.constants[column]])
    nothing = columns.texts(given, table.nulls_of(column)).values.null_count
    if column in REQUIRED[name] and nothing:
        return f"each row of {name} needs a {column}, and this means nothing. Give one."
    read = {"price": columns.numbers, "followed": columns.flags}.get(column)
    if read is not None and table.decimal != "," and read(given, table.nulls).bad.any():
        words = {"price": "price, which is a number", "followed": "truth value: true or false"}
        return f"{table.constants[column]!r} is no {words[column]}. Mend the value."
    return ""


def _codes(table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Codes that no row would have, since their text means that there is nothing.

    A place that means unknown may be among them: without one a row is of no other.
    """
    places = [value for value, meaning in table.scenarios.items() if meaning != "unknown"]
    named = {"types": table.types, "ignore_types": table.ignore_types, "scenarios": places}
    for section, codes in named.items():
        for code in sorted(set(codes) & set(table.nulls)):
            path = (section,) if section == "ignore_types" else (section, code)
            sentence = (
                f"{code!r} is among nulls ({', '.join(map(repr, table.nulls))}), so no row would "
                f"have it. Take it out of nulls or of {section}; if it is both in the files, write "
                "one of the two otherwise there."
            )
            yield sentence, path


def _unknown_columns(name: str, table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    known = canonical(name)
    for section in ("map", "constants", "separators"):
        for column in getattr(table, section):
            if column not in known:
                sentence = f"{name} has no column {column}. Choose of {', '.join(known)}."
                yield sentence, (section, column)
    for column in table.float_ids:
        if column not in known:
            yield f"{name} has no column {column}. Take it out.", ("float_ids",)


def _ids(name: str, table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Columns that are no ids, and a needed id that is another one, too.

    A shop may well be its brand, and a page is an event that its request names.
    """
    known = [column for column in canonical(name) if column.endswith("_id")]
    for column in table.float_ids:
        if column in canonical(name) and column not in known:
            yield f"{column} is no id of {name} ({', '.join(known)}). Take it out.", ("float_ids",)
    needed = [one for one in known if one in REQUIRED[name] and one not in table.constants]
    used = [one for one in known if one in needed or one in table.map]  # needed ones come first
    for first, second in combinations(used, 2):
        source = table.map.get(first, first)
        same = first in needed and table.map.get(second, second) == source
        if same and {first, second} != {"event_id", "request_id"}:
            mapped = second if second in table.map else first
            yield f"{first} and {second} are both {source!r}. Name another.", ("map", mapped)


def shipped() -> list[str]:
    """Names of the data sets that need no path."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def _find(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    known = shipped()
    if name not in known:
        raise ConfigError(
            f"data set {name!r} is not described. Choose one of {', '.join(known)}, "
            "or give the path of a .toml file."
        )
    return _FOLDER / f"{name}.toml"
