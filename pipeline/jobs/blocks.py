"""What the events job does with one block of raw rows, and with all rows of one bucket."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from features import buckets, events
from features.events import EventsConfig, Window
from features.raw import canonical, tidy
from features.raw.dataset import Dataset
from features.raw.raw_table import LOGS, REQUIRED, Table
from features.raw.rejects import lost_file
from infra.store import Attempt
from pipeline.beam.parcels import BYTES, Parcels
from pipeline.raw import accounting
from pipeline.raw.rawfiles import RawPart


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every worker needs to know: the description, the window, and where tables go."""

    dataset: Dataset
    config: EventsConfig
    window: Window
    extra: Mapping[str, tuple[str, ...]]
    outs: Mapping[str, Attempt]
    buckets: int
    chosen: range
    parcels: Parcels = BYTES
    threads: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this pass is the one that counts and refuses."""
        return self.chosen.start == 0


class Block(NamedTuple):
    """Some rows of a part, or the one refused row that stands for what cannot be read of it."""

    part: RawPart
    number: int
    before: int
    """Rows of the part that came before."""
    rows: pa.Table
    lost: bool = False


class Split(NamedTuple):
    """A block's accepted rows by bucket key, its refused rows, its counts."""

    rows: Mapping[str, pa.Table]
    refused: pa.Table
    counts: Counter[str]


def split_block(rows: pa.Table, name: str, plan: Plan, table: Table | None = None) -> Split:
    """Parse raw rows and keep what falls into this pass's buckets.

    Args:
        rows: of one file.
        name: the table they belong to.
        plan: of the run.
        table: how their file looks, if not as the data set describes it.
    """
    parsed = events.parse(rows, name, plan.dataset, plan.window, plan.extra[name], table)
    counts = Counter({f"{name}_read": parsed.read})
    counts.update(accounting.ignored(name, parsed.ignored))
    counts.update(accounting.rejected(name, parsed.rejected))
    if name in LOGS:
        counts[f"{name}_ambiguous"] = parsed.ambiguous
    hashes = _bucket_hashes(parsed.accepted, name)
    parts = buckets.slices(parsed.accepted, hashes, plan.chosen, plan.buckets)
    return Split({f"{name}/{index:06d}": part for index, part in parts}, parsed.rejected, counts)


def refused_block(name: str, rows: pa.Table) -> Split:
    """What could not be read, as `lost` says it."""
    return Split({}, rows, accounting.rejected(name, rows) + Counter({f"{name}_read": 1}))


def finish_bucket(name: str, tables: Sequence[pa.Table], plan: Plan) -> tidy.Tidied:
    """All rows of one bucket in order, each once."""
    schema = canonical.schema_of(name, plan.extra[name])
    if not tables:
        return tidy.Tidied(rows=schema.empty_table(), duplicates=0)
    whole = pa.concat_tables(tables)
    if name in LOGS:
        return tidy.tidy_log(whole, schema)
    return tidy.tidy_snapshot(whole, REQUIRED[name][0])


def lost(part: RawPart, number: int, before: int, error: Exception) -> Block:
    """The block that stands for what cannot be read of a part."""
    detail = str(error).rstrip(".")
    rows = lost_file(part.table, part.source, part.first_line + before, detail)
    return Block(part, number, before, rows, lost=True)


def _bucket_hashes(rows: pa.Table, name: str) -> Any:
    if "user_hash" in rows.column_names:
        return rows["user_hash"].to_numpy()
    return buckets.hash_ids(rows[REQUIRED[name][0]])
