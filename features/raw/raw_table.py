"""How one table of a raw log looks: a section of the data set's TOML.

Which canonical columns there are, and what a description may say about the files they come from.
"""

import codecs
import re
import warnings
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from features.property import EPOCH, LocalClock
from features.schemas import BehaviorType, Scenario
from infra.config import Config
from infra.errors import ConfigError

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
    "impressions": (
        *("event_id", "scenario", "query", "variant"),
        *("model_version", "line", "price_level", "latency_ms", "failed"),
    ),
    "follows": ("event_id",),
    "items": ("shop_id", "brand_id", "category_id", "tags", "price", "title"),
}
"""Further canonical columns; users, icons and shops have any others that the data set names."""

TABLES = tuple(REQUIRED)
LOGS = ("behaviors", "impressions", "follows")
"""Tables of events, split by day."""
SNAPSHOTS = tuple(name for name in TABLES if name not in LOGS)
"""The others: each is whole, and holds until there is a newer one."""
SERVED = "served-"
"""Begins the names of the files that `dupn serve` adds to a day, whether or not it is published."""
LISTED = "_"
"""Begins the names of raw files that count only once a manifest lists them: what an import leaves
that was killed is no day."""

_DIRECTIVE = re.compile(r"%[-_#:.0-9]*[A-Za-z%]")
_OTHERWISE_IN_POLARS = re.compile(r"%%|\.%f|%z")
_OFFSET = re.compile(r"%[:#]*z|%\+")
_SAYS_UTC = re.compile(r"%Z|(?<![A-Za-z])(?:Z|UTC|GMT)(?![A-Za-z])", re.IGNORECASE)
_UTC = ("UTC", "Etc/UTC", "Zulu", "Etc/Zulu", "UCT", "Etc/UCT", "GMT", "Etc/GMT", "Universal")
"""Zones of which a text may say so itself, and whose clock shows what Spark writes."""

_STATEFUL = ("iso2022", "hz", "utf-7", "idna", "punycode", "raw-unicode", "unicode")
"""Encodings in which what a byte says depends on those before it, or that are none of files."""


class TimeFormat(Config):
    """How `ts` is written."""

    unit: Literal["s", "ms", "us"] = "ms"
    """Of a number since 1970-01-01 UTC; not used where there is a `format`."""

    format: str | None = None
    """Of a text, as strptime has it (`%Y-%m-%dT%H:%M:%S%z`); a fraction of a second is `.%f`."""

    zone: str | None = None
    """Time zone of the text, and of Parquet's timestamps without one (which have no default in a
    data set that is not of UTC); the data set's own by default. Numbers are UTC, and a text with an
    offset (`%z`) is where that says."""

    year: int | None = Field(None, ge=1970, le=2200)
    """The year of dates that have none (`%m%d`)."""

    year_starts: str = Field("0101", pattern=r"^\d{4}$")
    """MMDD: dates before it lie in the year after `year` (a log that runs over New Year)."""

    pad: int = Field(0, ge=0)
    """Zeros are put before the text up to this length (829 -> 0829)."""

    @field_validator("format")
    @classmethod
    def _fraction(cls, value: str | None) -> str | None:
        if value and "%f" in value.replace("%%", "").replace(".%f", ""):
            raise ValueError(
                "%f is read behind a point alone: write .%f (a fraction behind anything else has "
                "to be converted)"
            )
        if value and "%s" in value.replace("%%", ""):
            raise ValueError(
                '%s is a number of seconds since 1970 UTC, which is no format: write unit = "s" '
                "in its place"
            )
        return value

    @field_validator("format")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        """Polars knows whether it can read by a format before it reads anything."""
        if value is None:
            return None
        import polars as pl  # heavy, and many a description has no format

        try:
            with warnings.catch_warnings(action="ignore"):  # it takes `%%f` for a fraction
                pl.Series([""]).str.to_datetime(_in_polars(value), strict=False)
        except pl.exceptions.PolarsError as error:
            raise ValueError(
                f"no time can be read by {value} ({str(error).splitlines()[0]}) An hour of twelve "
                "(%I) goes with %p, and minutes (%M) go with an hour"
            ) from None
        return value

    @field_validator("zone")
    @classmethod
    def _zone(cls, value: str | None) -> str | None:
        return None if value is None else known_zone(value)

    @property
    def is_local(self) -> bool:
        """Whether a text is read as what a clock showed: it has no offset."""
        return self.format is not None and not _OFFSET.search(self.format)

    @property
    def lacks_minutes(self) -> bool:
        """Whether a text says an hour and nothing smaller; Polars knows no such time."""
        return _lacks_minutes(self.format or "")

    @property
    def pattern(self) -> str:
        """The format as Polars has it, with `%M~` before it where it `lacks_minutes`."""
        return _in_polars(self.format or "")

    def unsaid_zone(self, zone: str) -> str | None:
        """What to write where timestamps have no zone; nothing if it is said, or makes no odds.

        Spark writes moments of UTC so, others what their clock shows: nothing in the file tells.

        Args:
            zone: of the data set.
        """
        if self.zone or zone in _UTC:
            return None
        return (
            f"is of timestamps without a time zone, which may be UTC or the clock of {zone}. Say "
            'which: time = { zone = "UTC" }, as Spark writes them, and often pandas, or '
            f'time = {{ zone = "{zone}" }}.'
        )

    def mistaken_zone(self, zone: str) -> str | None:
        """What is wrong where `format` says that the text is UTC and `zone` is another one.

        Args:
            zone: in which the text would be read.
        """
        bare = _DIRECTIVE.sub(lambda found: " %Z " if found[0] == "%Z" else " ", self.format or "")
        found = _SAYS_UTC.search(bare)
        if not found or not self.is_local or zone in _UTC or self.zone:
            return None
        offset = "" if len(found[0]) > 2 else "write %z in its place, which reads Z and +08:00, or "
        return (
            f"{found[0]} is passed over, and the text read as a time of {zone}: {offset}say of "
            'which zone the text is (zone = "UTC").'
        )


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
    """Texts that mean: nothing here. In ids and `variant` an empty text does in any case."""

    decimal: Literal[".", ","] = "."
    """Before the fraction of a number in a text (CSV, texts of Parquet). With `,` a point, or a
    space, may stand between groups of three digits: `1.299,90` and `1.299` are over a thousand."""

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
        if self.format == "jsonl" and self.decimal == ",":
            raise ValueError("decimal: numbers of JSON have a point. Take the line out")
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
            apart = "\n".encode(value) == b"\n"
            apart &= not codecs.lookup(value).name.startswith(_STATEFUL)
        except LookupError:
            raise ValueError(f"{value} is not an encoding that Python knows") from None
        if value.lower().replace("_", "-") == "utf-8-sig":
            raise ValueError("utf-8 reads a mark at the head of the file as well: write utf-8")
        if not apart:
            raise ValueError(
                f"{value} cannot be read line by line (its line feed is not one byte, or a line "
                "depends on those before it); convert the file to utf-8"
            )
        return value

    @field_validator("delimiter", "quote")
    @classmethod
    def _letter(cls, value: str) -> str:
        if value and not (len(value) == 1 and value.isascii()):
            raise ValueError(f"{value!r} is not one ASCII character")
        if value in ("\0", "\r", "\n"):
            raise ValueError(f"{value!r} parts no columns")
        return value

    def nulls_of(self, canonical: str) -> tuple[str, ...]:
        """Texts that mean nothing in a column: an empty one names no user, item, page or arm."""
        names = canonical.endswith("_id") or canonical == "variant"
        return (*self.nulls, "") if names and "" not in self.nulls else self.nulls

    def type_codes(self) -> Mapping[str, str]:
        """Source code -> behaviour type; the canonical names map to themselves by default."""
        return self.types or {member.name.lower(): member.name.lower() for member in BehaviorType}

    def scenario_codes(self) -> Mapping[str, str]:
        """Source value -> scenario; the canonical names map to themselves by default."""
        return self.scenarios or {member.name.lower(): member.name.lower() for member in Scenario}


PLACE = ("_source", "_line", "_text", "_raw")
"""Columns of a raw row beside the source's own: file, 1-based line, the line if unsplit, and its
bytes (only where a text file is read, for rejects to quote)."""


def known_zone(name: str) -> str:
    """The name of a time zone.

    Raises:
        ValueError: there is none of that name, or another one on each machine.
    """
    said = f"{name} is not a time zone (write it like Asia/Shanghai)"
    if name == "localtime":
        raise ValueError(said)
    try:
        LocalClock(name).midnight_ms(EPOCH)
    except ConfigError:
        raise ValueError(said) from None
    return name


def _lacks_minutes(form: str) -> bool:
    said = {found[-1] for found in _DIRECTIVE.findall(form)}
    return bool(said & set("HIkl")) and not said & set("MSRTXcr")


def _in_polars(form: str) -> str:
    """It reads `%f` as nanoseconds whatever stands before it, and with `%z` no `Z` and no `+08`."""
    polars = {".%f": "%.f", "%z": "%#z"}
    told = _OTHERWISE_IN_POLARS.sub(lambda found: polars.get(found[0], found[0]), form)
    return f"%M~{told}" if _lacks_minutes(form) else told


def _require_known(codes: Mapping[str, str], known: set[str]) -> None:
    for code, meaning in codes.items():
        if meaning not in known:
            raise ValueError(f"{code} = {meaning!r}: choose of {', '.join(sorted(known))}")
