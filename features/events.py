"""A block of raw rows to canonical rows: every one of them kept, ignored or refused with a reason.

Pure and vectorised: one Arrow table in, one `Parsed` out. Nothing here drops a row silently;
`read == accepted + ignored + rejected` holds for every block. `tidy` then puts the rows of one
bucket into their one order and removes those that the declared identity calls the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from features.buckets import hash_ids
from features.raw import clock, columns, identity, nested, raw_names, rejects
from features.raw.canonical import has_extra, header_of, schema_of, with_identity
from features.raw.dataset import Dataset
from features.raw.parse import is_jsonl, same_text
from features.raw.raw_table import LOGS, PLACE, REQUIRED, Table
from features.raw.rejects import Reason, ReasonCodes
from features.schemas import MS, PRICE_LEVELS, BehaviorType, Scenario, conform
from infra.config import Config

_CODES = {
    "type": {member.name.lower(): int(member) for member in BehaviorType},
    "scenario": {member.name.lower(): int(member) for member in Scenario},
}


class EventsConfig(Config):
    """Which rows of a day are believed."""

    max_future_s: int = Field(0, ge=0)
    """How far after the end of the arrival day an event time may lie (clock skew)."""

    lookback_days: int = Field(30, ge=0)
    """How many days of the log's clock late a row may arrive; older ones are refused as stray."""

    batch_rows: int = Field(262_144, ge=1)
    """Rows parsed at a time: memory depends on it, and what is kept of a damaged Parquet file."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which event times are believed on an arrival day, as UTC milliseconds in [low, high)."""

    start: int
    end: int
    low: int
    high: int
    first: int
    last: int

    @classmethod
    def of(cls, day: date, dataset: Dataset, config: EventsConfig) -> "Window":
        """The window of `day`; `start`/`end` are its midnights, `first`/`last` the log's bounds."""
        begins = dataset.clock.midnight_ms
        earliest = max(day.toordinal() - config.lookback_days, 2)  # which has a midnight anywhere
        end = begins(day + timedelta(days=1))
        after = dataset.last_day + timedelta(days=1) if dataset.last_day else None
        return cls(
            start=begins(day),
            end=end,
            low=begins(date.fromordinal(earliest)),
            high=end + config.max_future_s * 1_000,
            first=begins(dataset.first_day) if dataset.first_day else -(2**62),
            last=begins(after) if after else 2**62,
        )


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What became of a block: `accepted` canonical rows, `rejected` REJECTS rows, and the rest."""

    accepted: pa.Table
    rejected: pa.Table
    read: int
    ignored: Mapping[str, int] = field(default_factory=dict)
    ambiguous: int = 0
    """Of `accepted`, rows whose time a local clock showed twice; the earlier was taken."""


def parse(
    block: pa.Table,
    table_name: str,
    dataset: Dataset,
    window: Window,
    extra: Sequence[str] = (),
    table: Table | None = None,
) -> Parsed:
    """Canonical rows of a raw block.

    Args:
        block: source columns plus `_source`, `_line`, `_text`.
        table_name: which table of the data set it belongs to.
        dataset: the description.
        window: the believed times of the arrival day.
        extra: further columns of users, icons and shops, from `extra_columns`.
        table: how the block's file looks, if not as the data set describes it.
    """
    schema = schema_of(table_name, extra)
    described = table or dataset.table(table_name)
    return _Block(block, table_name, described, dataset, window).parsed(schema)


class _Block:
    """One block on its way: columns read so far, and the reason of every refused row."""

    def __init__(
        self, block: pa.Table, name: str, table: Table, dataset: Dataset, window: Window
    ) -> None:
        self.raw = block.unify_dictionaries().combine_chunks()
        self.name, self.table, self.dataset, self.window = name, table, dataset, window
        self.rows = block.num_rows
        self.codes: ReasonCodes = np.zeros(self.rows, np.int8)
        self.ignored = np.zeros(self.rows, np.bool_)
        self.ignored_counts: dict[str, int] = {}
        self.ambiguous = np.zeros(self.rows, np.bool_)
        self.from_json = _from_json(self.raw["_source"], self.table)
        self.sent_json = self.from_json & ~_of_sources(self.raw["_source"], raw_names.is_served)
        self.comma = ~self.from_json if table.decimal == "," else None

    def parsed(self, schema: pa.Schema) -> Parsed:
        self._mark_unsplit()
        self._mark_ignored()
        made = ("user_hash", "key") if self.name in LOGS else ("user_hash",)
        values = {column.name: self._read(column) for column in schema if column.name not in made}
        if "user_id" in values and "user_hash" in schema.names:
            values["user_hash"] = pa.array(_hash_users(values["user_id"]))
        if self.name in LOGS:
            values.update(self._identity(values))
        self.codes[self.ignored] = 0
        keep = (self.codes == 0) & ~self.ignored
        working = with_identity(self.name, self.table, schema)
        chosen = conform(pa.table(values), working)
        return Parsed(
            accepted=chosen if keep.all() else chosen.filter(pa.array(keep)),
            rejected=self._refused(),
            read=self.rows,
            ignored=self.ignored_counts,
            ambiguous=int((self.ambiguous & keep).sum()),
        )

    def _refused(self) -> pa.Table:
        told = bool(self.from_json.all()) and self.rows > 0
        return rejects.refused(self.name, self.raw, self.codes, self.table.encoding, json=told)

    def _source(self, name: str) -> pa.Array:
        canonical = header_of(name) if has_extra(self.name) else name
        if canonical in self.table.constants:
            return same_text(self.table.constants[canonical], self.rows)
        source = self.table.map.get(canonical, canonical)
        if source not in self.raw.column_names:
            return pa.nulls(self.rows, pa.string())
        column = self.raw[source]
        return column.chunk(0) if column.num_chunks else pa.array([], column.type)

    def _read(self, column: pa.Field) -> pa.Array:
        name, nulls = column.name, self.table.nulls
        if column.type == MS:
            return self._time(name)
        if name in _CODES and self.name in LOGS:  # a user may have a type, too
            return self._code(name)
        source = self._source(name)
        if pa.types.is_list(column.type):
            return self._list(name, source)
        if pa.types.is_floating(column.type):
            read = columns.numbers(source, nulls, self.comma)
        elif pa.types.is_integer(column.type):
            read = columns.levels(source, nulls, PRICE_LEVELS, self.comma)
        elif pa.types.is_boolean(column.type):
            read = columns.flags(source, nulls)
        else:
            return self._text(name, source)
        rejects.mark(self.codes, read.bad, Reason.BAD_VALUE)
        if name in REQUIRED[self.name]:
            rejects.mark(self.codes, _nulls(read.values), Reason.BAD_VALUE)
        return read.values

    def _text(self, name: str, source: pa.Array) -> pa.Array:
        is_id, nulls = name.endswith("_id"), self.table.nulls_of(name)
        if has_extra(self.name) and not is_id and pa.types.is_nested(source.type):
            read = nested.texts(source, nulls)
        else:
            read = columns.texts(source, nulls, as_id=is_id)
        if is_id:  # the service writes every id as a text
            read = columns.json_ids(read, self.sent_json)
        rejects.mark(self.codes, read.bad, Reason.BAD_TYPE_OF_ID if is_id else Reason.BAD_VALUE)
        if name in REQUIRED[self.name]:
            rejects.mark(self.codes, _nulls(read.values), Reason.MISSING_ID)
        return (
            columns.without_fraction(read.values) if name in self.table.float_ids else read.values
        )

    def _list(self, name: str, source: pa.Array) -> pa.Array:
        needed = name in REQUIRED[self.name]  # the items of a page
        separator = self.table.separators.get(name, " ")
        read = columns.lists(source, separator, self.table.nulls, as_id=needed)
        if needed:
            read = columns.json_lists(read, source, self.sent_json)
        rejects.mark(self.codes, read.bad, Reason.BAD_VALUE)
        if needed:
            lacks = columns.lacks_value(read.values) & ~read.bad  # what is bad is null, not empty
            rejects.mark(self.codes, lacks, Reason.MISSING_ID)
            return read.values
        return columns.without_gaps(read.values)

    def _code(self, name: str) -> pa.Array:
        words = self.table.type_codes() if name == "type" else self.table.scenario_codes()
        meaning = {code: _CODES[name][word] for code, word in words.items()}
        if name in self.table.constants:
            meaning = _CODES[name]
        read = columns.texts(self._source(name), self.table.nulls)
        found = columns.coded(read.values, meaning)
        if name == "scenario":
            rejects.mark(self.codes, read.bad | (found.codes < 0), Reason.UNKNOWN_SCENARIO)
            return pa.array(np.where(found.codes == 0, np.int8(Scenario.UNKNOWN), found.codes))
        rejects.mark(self.codes, found.codes < 1, Reason.UNKNOWN_TYPE)
        return pa.array(found.codes)

    def _time(self, name: str) -> pa.Array:
        source = pa.chunked_array([columns.plain_times(self._source(name), self.table.nulls)])
        form, zone = self.table.time, self.dataset.time_zone
        read = clock.to_ms(source, form, zone).combine_chunks()
        absent = _nulls(read)
        ts = read.fill_null(self.window.start).to_numpy(zero_copy_only=False)
        self.ambiguous = clock.ambiguous(ts, source.type, form, zone)
        rejects.mark(self.codes, absent, Reason.BAD_TIME)
        early, late = ts < self.window.low, ts >= self.window.high
        if form.format is None and (early | late).any():
            rejects.mark(
                self.codes,
                (early | late) & _fits_other_unit(ts, self.window),
                Reason.WRONG_UNIT_TIME,
            )
        outside = (ts < self.window.first) | (ts >= self.window.last)
        rejects.mark(self.codes, outside & ~absent, Reason.STRAY_DAY)
        rejects.mark(self.codes, late, Reason.FUTURE_TIME)
        rejects.mark(self.codes, early, Reason.STRAY_DAY)
        return pa.array(ts, pa.int64()).cast(MS)

    def _identity(self, values: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        users = values["user_hash"].to_numpy()
        if self.table.identity == "event_id":
            nulls = self.table.nulls_of("event_id")
            told = columns.texts(self._source("event_id"), nulls, as_id=True).values
            rejects.mark(self.codes, _nulls(told), Reason.MISSING_ID)
            return {"key": pa.array(identity.mix(users, identity.hash_column(told)))}
        names = self.raw.column_names  # of which one may stand twice, if it is not read
        own = sorted((name, at) for at, name in enumerate(names) if name not in PLACE)
        content = identity.mix(users, self._content(self.raw.select([at for _, at in own])))
        if self.table.identity == "row":
            return {"key": pa.array(content)}
        source = identity.hash_column(self.raw["_source"])
        place = identity.mix(source, identity.hash_column(self.raw["_line"].cast(pa.int64())))
        return {"key": pa.array(identity.mix(content, source)), "_place": pa.array(place)}

    def _content(self, told: pa.Table) -> identity.Hashes:
        """Of JSON by names too: which keys a block has depends on the other lines in it."""
        if self.from_json.all():
            return identity.hash_objects(told)
        hashed = identity.hash_rows(told)
        if not self.from_json.any():
            return hashed
        return np.where(self.from_json, identity.hash_objects(told), hashed)

    def _mark_ignored(self) -> None:
        if not self.table.ignore_types or self.name != "behaviors":
            return
        read = columns.texts(self._source("type"), self.table.nulls).values
        for code in self.table.ignore_types:
            rows = _equal(read, code)
            self.ignored |= rows
            self.ignored_counts[code] = int(rows.sum())

    def _mark_unsplit(self) -> None:
        unsplit = ~_nulls(self.raw["_text"])
        if not unsplit.any():
            return
        broken = _contains(self.raw["_text"], "\ufffd")
        rejects.mark(self.codes, unsplit & broken, Reason.BAD_ENCODING)
        rejects.mark(self.codes, unsplit & self.from_json, Reason.BAD_JSON)
        rejects.mark(self.codes, unsplit, Reason.BAD_COLUMNS)


def _from_json(sources: pa.ChunkedArray, table: Table) -> columns.Mask:
    return _of_sources(sources, lambda source: is_jsonl(source, table))


def _of_sources(sources: pa.ChunkedArray, asked: Callable[[str], bool]) -> columns.Mask:
    coded = sources.combine_chunks()
    coded = coded if pa.types.is_dictionary(coded.type) else coded.dictionary_encode()
    told = [asked(source) for source in coded.dictionary.to_pylist()]
    return np.array([*told, False], np.bool_)[coded.indices.to_numpy(zero_copy_only=False)]


def _hash_users(ids: pa.Array) -> NDArray[np.uint64]:
    return hash_ids(ids.cast(pa.string()).fill_null("") if ids.null_count else ids)


def _nulls(values: pa.Array | pa.ChunkedArray) -> columns.Mask:
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False), np.bool_)


def _equal(values: pa.Array, text: str) -> columns.Mask:
    same = pc.fill_null(pc.equal(values.cast(pa.string()), text), False)
    return np.asarray(same.to_numpy(zero_copy_only=False), np.bool_)


def _contains(values: pa.ChunkedArray, text: str) -> columns.Mask:
    found = pc.fill_null(pc.match_substring(values.cast(pa.string()), text), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.bool_)


def _fits_other_unit(ts: NDArray[np.int64], window: Window) -> columns.Mask:
    wide = ts.astype(np.float64)
    fits = np.zeros(len(ts), np.bool_)
    for factor in (1e3, 1e6, 1e9, 1e-3, 1e-6):
        fits |= (wide * factor >= window.low) & (wide * factor < window.high)
    return fits
