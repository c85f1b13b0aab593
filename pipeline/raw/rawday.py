"""A day of raw as a whole: which tables it has, what describes them, which columns they bring."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date

from features.raw import canonical, raw_names
from features.raw import dataset as datasets
from features.raw.dataset import Dataset
from features.raw.json_lines import MOST_KEYS
from features.raw.raw_table import LOGS, TABLES
from features.raw.rejects import Reason
from infra.errors import InputError, PartitionMissing
from infra.store import Attempt, FileEntry, Partition, Store
from infra.visible import visible
from pipeline.raw import arrival, rawfiles
from pipeline.raw.rawfiles import RawPart

logger = logging.getLogger(__name__)


def parts_of_day(store: Store, day: date) -> dict[str, list[RawPart]]:
    """Parts by table, for the tables that the day has; files that are not read are logged.

    Raises:
        PartitionMissing: there is no raw behaviour of that day.
        InputError: no file of the behaviours can be read.
    """
    every = {name: rawfiles.parts(store, day, name) for name in TABLES}
    found = {name: parts for name, parts in every.items() if parts}
    _require_behaviors(store, day, found)
    for name in TABLES:
        partition = store.partition("raw", day, name)
        if unread := rawfiles.unread(partition):
            logger.warning("%s: %s", partition.key, unread)
    return found


def described(store: Store, day: date, given: Dataset | None) -> Dataset:
    """The description to read a day by: the one given, else the one that its import left.

    Raises:
        InputError: the day was written as another data set.
    """
    partition = store.partition("raw", day, "behaviors")
    lineage = partition.manifest().lineage if partition.exists() else {}
    name = lineage.get("dataset")
    if given is None:
        text = lineage.get("description")
        if text:
            return datasets.parse_description(text, f"the description kept in {partition.key}")
        return datasets.load(str(name) if name else "marketplace")
    if name and name != given.name:
        raise InputError(
            f"{partition.key} was written as data set {name}, not {given.name}. "
            f"{_advice(str(name), lineage.get('described_in', ''))}, or import the day again."
        )
    return given


def _advice(name: str, path: str) -> str:
    """How to set that data set: by its name if it is shipped, else by the path of its TOML."""
    if name in datasets.shipped():
        return f"Set dataset={name}"
    return (
        f"Set dataset={path}" if path else "Set dataset to the path of the TOML that describes it"
    )


def extra_columns(name: str, parts: Sequence[RawPart], dataset: Dataset) -> tuple[str, ...]:
    """Further canonical columns of a table, over all its files.

    Raises:
        InputError: there are more than a profile may have; each would be a column of every row.
    """
    if not canonical.has_extra(name):
        return ()
    sound = [part for part in parts if not part.damage]
    files = {part.file: part for part in reversed(sound)}.values()
    table = dataset.table(name)
    raw = sorted({column for part in files for column in rawfiles.column_names(part, table)})
    found = canonical.extra_columns(name, table, raw)
    if len(found) > MOST_KEYS:
        raise InputError(
            f"{parts[0].partition.key} has {len(found):,} columns ({raw_names.some(found)}), of "
            f"which no more than {MOST_KEYS:,} are read. Name those to keep under [{name}.map] of "
            f"data set {dataset.name}."
        )
    return found


def lost_parts(
    rejects: Partition, entries: Sequence[FileEntry] | None = None
) -> Mapping[str, list[str]]:
    """By table, what could not be read of its files: `a.jsonl.zst at line 29313 (Truncated ...)`.

    Args:
        rejects: the refused rows of a day.
        entries: its files; by default all that are published.
    """
    found = rejects.table(
        ["table", "source", "line", "text"], entries, filters=[("reason", "=", Reason.BAD_FILE)]
    )
    said = defaultdict(list)
    for row in sorted(found.to_pylist(), key=lambda row: (row["source"], row["line"])):
        where = f" at line {row['line']}" if row["line"] > 1 else ""
        said[row["table"]].append(visible(f"{row['source']}{where} ({row['text']})"))
    return said


def require_readable(counts: Mapping[str, int], rejects: Attempt, files: int) -> None:
    """Refuse a day of whose behaviours nothing could be read.

    Args:
        counts: what became of the rows.
        rejects: the refused rows, not published yet.
        files: how many files of behaviours there are.

    Raises:
        InputError: naming the folder and the first file's fault.
    """
    if counts["behaviors_read"] > counts.get(f"behaviors_rejected_{Reason.BAD_FILE}", 0):
        return
    first = lost_parts(rejects.partition, rejects.recorded())["behaviors"][0]
    raw = rejects.partition.key.replace("rejects", "raw", 1)
    raise InputError(
        f"{raw}/behaviors: none of its {files} files can be read; {first}. Send the files again."
    )


def require_zones(found: Mapping[str, list[RawPart]], dataset: Dataset) -> None:
    """Refuse timestamps without a time zone of which the description does not say where they are.

    An import looks for them in the head of a file; this is for files that were put in place, and
    for days that came before anybody looked.

    Args:
        found: the parts of a day, by table.
        dataset: the description.

    Raises:
        InputError: naming the file, the column and what to write.
    """
    for name in filter(found.__contains__, LOGS):
        table = dataset.table(name)
        column, unsaid = table.map.get("ts", "ts"), table.time.unsaid_zone(dataset.time_zone)
        part = next((one for one in found[name] if unsaid and column in one.unzoned), None)
        if part:
            again = " Then import its files again." if part.partition.exists() else ""
            raise InputError(
                f"column {column!r} of {part.partition.key}/{part.source} {unsaid} It belongs "
                f"under [{name}] of data set {dataset.name}.{again}"
            )


def absent(store: Store, day: date) -> PartitionMissing:
    """What to say of a day without raw behaviours; files that are there and not read are named."""
    partition = store.partition("raw", day, "behaviors")
    skipped = rawfiles.skipped(partition)
    why = f" ({raw_names.not_read(skipped)})" if skipped else ""
    return PartitionMissing(
        f"{partition.key} has no files under {store.root}{why}. Run `dupn import` or "
        "`dupn simulate` for that day, or put .parquet, .jsonl or .csv files there. If the log "
        "has nothing of it: docs/datasets.md, A day without data."
    )


def there(store: Store) -> list[date]:
    """Days that have raw behaviours, published whole or as plain files, oldest first."""
    published = set(store.days("raw", "behaviors"))  # of which nothing more has to be asked
    return [day for day in store.dates("raw") if day in published or arrival.is_there(store, day)]


def absent_in(store: Store, day: date, days: Sequence[date]) -> PartitionMissing:
    """The same of a day of an initial run, the last of which is the one to evaluate on."""
    said, found = str(absent(store, day)), there(store)
    trained = len(days) - 1
    if trained and day == days[-1]:
        said += f" It is the day that the model is evaluated on, after {trained} to train on"
        fewer = f"`--days {trained - 1}`, in the form Days to train on = {trained - 1},"
        said += f": with {fewer} that is {days[-2]}." if trained > 1 else "."
    others = f"{found[0]} to {found[-1]} ({len(found)})" if found else "none"
    return PartitionMissing(f"{said} Raw days that are there: {others}.")


def _require_behaviors(store: Store, day: date, found: Mapping[str, list[RawPart]]) -> None:
    if "behaviors" not in found:
        raise absent(store, day)
    rawfiles.require_some(found["behaviors"], store.partition("raw", day, "behaviors").key)
