"""A raw log described by one TOML file, so that a new log needs no code.

`infra/datasets/<name>.toml` (or any path) says, per table, how its files look (format, delimiter,
header, encoding), which source column is which canonical one, what the type codes mean, how time
is written, and what makes a row the same row twice. `features.events` reads raw rows by it;
`features.checking` holds it against the files before anything is written.
"""

from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatch
from importlib import resources
from pathlib import Path
from typing import Literal, NoReturn
from zoneinfo import ZoneInfo

from pydantic import Field, ValidationError, field_validator, model_validator

from features.schemas import BehaviorType, Scenario
from infra.config import Config, load_toml
from infra.errors import ConfigError
from infra.toml_lines import line_of

REQUIRED: Mapping[str, tuple[str, ...]] = {
    "behaviors": ("user_id", "item_id", "type", "ts"),
    "impressions": ("request_id", "user_id", "ts", "item_ids"),
    "follows": ("user_id", "icon_id", "ts", "followed"),
    "items": ("item_id",),
    "users": ("user_id",),
    "icons": ("icon_id",),
    "shops": ("shop_id",),
}
"""Canonical columns that a table cannot do without."""

OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "behaviors": (
        *("event_id", "scenario", "request_id", "price"),
        *("shop_id", "brand_id", "category_id"),
    ),
    "impressions": ("event_id", "scenario", "query", "variant"),
    "follows": ("event_id",),
    "items": ("shop_id", "brand_id", "category_id", "tags", "price", "title"),
}
"""Further canonical columns; users, icons and shops have any others that the data set names."""

TABLES = tuple(REQUIRED)
LOGS = ("behaviors", "impressions", "follows")
"""Tables of events, split by day; the others are snapshots."""


class TimeFormat(Config):
    """How `ts` is written."""

    unit: Literal["s", "ms", "us"] = "ms"
    """Of a number since 1970-01-01 UTC; not used where there is a `format`."""

    format: str | None = None
    """Of a text, as strptime has it (`%Y-%m-%d %H:%M:%S UTC`)."""

    zone: str | None = None
    """Time zone of the text; the data set's own by default. Numbers are UTC."""

    year: int | None = Field(None, ge=1970, le=2200)
    """The year of dates that have none (`%m%d`)."""

    year_starts: str = Field("0101", pattern=r"^\d{4}$")
    """MMDD: dates before it lie in the year after `year` (a log that runs over New Year)."""

    pad: int = Field(0, ge=0)
    """Zeros are put before the text up to this length (829 -> 0829)."""


class Table(Config):
    """One table of a data set."""

    files: str = ""
    """Glob on file names, `UserBehavior*.csv`; `table=path` on the command line needs none."""

    format: Literal["csv", "jsonl", "parquet"] = "parquet"
    """Compression goes by the suffix: .gz, .zst, .bz2, .xz."""

    delimiter: str = Field(",", min_length=1, max_length=1)
    """CSV: between columns."""

    quote: str = Field('"', max_length=1)
    """CSV: around text; empty if a quote is a letter like any other."""

    header: bool = True
    """CSV: whether the first line names the columns."""

    columns: tuple[str, ...] = ()
    """CSV: the columns in order; needed without a header, else a check against it."""

    encoding: str = "utf-8"
    """Of text files; any that Python knows and in which a line feed is one byte."""

    nulls: tuple[str, ...] = ("",)
    """Texts that mean: nothing here."""

    map: Mapping[str, str] = Field(default_factory=dict)
    """Canonical column = source column; those not named are looked up under their own name."""

    constants: Mapping[str, str] = Field(default_factory=dict)
    """Canonical column = one value for every row."""

    types: Mapping[str, str] = Field(default_factory=dict)
    """Code in the source = click, bookmark, cart or purchase."""

    ignore_types: tuple[str, ...] = ()
    """Codes that are not used: such rows are counted, neither kept nor refused."""

    scenarios: Mapping[str, str] = Field(default_factory=dict)
    """Value in the source = search, recommend, ad or unknown."""

    time: TimeFormat = TimeFormat()
    """How `ts` is written."""

    float_ids: tuple[str, ...] = ()
    """Canonical id columns written as floats (`2661.0` is 2661)."""

    separators: Mapping[str, str] = Field(default_factory=dict)
    """What stands between the values of a list column in a text (`tags = ";"`)."""

    identity: Literal["event_id", "row", "place"] = "row"
    """The same row twice: the same `event_id`, the exact same row, or never (its place counts)."""

    @model_validator(mode="after")
    def _complete(self) -> "Table":
        if self.format == "csv" and not self.header and not self.columns:
            raise ValueError("columns: a file without a header needs the list of its columns")
        if len(set(self.columns)) != len(self.columns):
            raise ValueError("columns: a column is named twice")
        return self

    @field_validator("types")
    @classmethod
    def _types(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        known = {member.name.lower() for member in BehaviorType}
        _require_known(value, known)
        return value

    @field_validator("scenarios")
    @classmethod
    def _scenarios(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        _require_known(value, {member.name.lower() for member in Scenario})
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        try:
            same = "\n".encode(value) == b"\n"
        except LookupError:
            raise ValueError(f"{value} is not an encoding that Python knows") from None
        if not same:
            raise ValueError(f"{value} has no one-byte line feed; convert the file to utf-8")
        return value

    def type_codes(self) -> Mapping[str, str]:
        """Source code -> behaviour type; the canonical names map to themselves by default."""
        return self.types or {member.name.lower(): member.name.lower() for member in BehaviorType}

    def scenario_codes(self) -> Mapping[str, str]:
        """Source value -> scenario; the canonical names map to themselves by default."""
        return self.scenarios or {member.name.lower(): member.name.lower() for member in Scenario}


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
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{value} is not a time zone (write it like Asia/Shanghai)") from None
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of days."""
        return ZoneInfo(self.time_zone)

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
        where = f"{self.source} line {line_of(self.text, *path)}" if self.text else self.name
        raise ConfigError(f"{where}: {'.'.join(path)}: {sentence}")


def load(name_or_path: str | Path) -> Dataset:
    """The data set of that name in `infra/datasets`, or the one described by a TOML file.

    Raises:
        ConfigError: naming the file, the line and the key that is wrong.
    """
    path = _find(str(name_or_path))
    load_toml(path)  # a syntax error names its own line
    return parse_description(path.read_text(encoding="utf-8"), str(path))


def parse_description(text: str, source: str) -> Dataset:
    """A data set from the text of its TOML; `source` is what errors call it."""
    import tomllib

    raw = tomllib.loads(text)
    try:
        dataset = Dataset.model_validate({**raw, "source": source, "text": text})
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(str(part) for part in first["loc"])
        message = "is not a known key" if first["type"] == "extra_forbidden" else first["msg"]
        raise ConfigError(
            f"{source} line {line_of(text, *path)}: {'.'.join(path)}: {message}. "
            "Mend the description."
        ) from None
    for table_name, table in dataset.tables().items():
        for message, path in _mistakes(table_name, table):
            dataset.refuse(message, table_name, *path)
    return dataset


def canonical(table_name: str) -> tuple[str, ...]:
    """Canonical columns of a table (more are possible for users, icons and shops)."""
    return REQUIRED[table_name] + OPTIONAL.get(table_name, ())


def _mistakes(name: str, table: Table) -> Iterator[tuple[str, tuple[str, ...]]]:
    fixed = name in LOGS or name == "items"
    for section in ("map", "constants", "separators"):
        for column in getattr(table, section):
            if fixed and column not in canonical(name):
                known = ", ".join(canonical(name))
                yield f"{name} has no column {column}. Choose of {known}.", (section, column)
    for column in table.float_ids:
        if fixed and column not in canonical(name):
            yield f"{name} has no column {column}. Take it out.", ("float_ids",)
    for column, source in table.map.items():
        if table.columns and source not in table.columns:
            yield (
                f"column {source} is not among columns ({', '.join(table.columns)}). "
                "Mend the name.",
                ("map", column),
            )
    for code in sorted(set(table.ignore_types) & set(table.types)):
        yield f"type code {code} is both mapped and ignored. Choose one.", ("ignore_types",)
    if table.identity == "event_id" and name not in LOGS:
        yield "a snapshot is identified by its id. Take the line out.", ("identity",)


def _find(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    folder = Path(str(resources.files("infra"))) / "datasets"
    known = sorted(path.stem for path in folder.glob("*.toml"))
    if name not in known:
        raise ConfigError(
            f"data set {name!r} is not described. Choose one of {', '.join(known)}, "
            "or give the path of a .toml file."
        )
    return folder / f"{name}.toml"


def _require_known(codes: Mapping[str, str], known: set[str]) -> None:
    for code, meaning in codes.items():
        if meaning not in known:
            raise ValueError(f"{code} = {meaning!r}: choose of {', '.join(sorted(known))}")
