"""Files of somebody's log to `raw/`: split by day, otherwise as received.

Nothing is judged here. Rows keep their source columns as they are, with the file, the line and,
where a line could not be split, its text; `events` refuses what is wrong. Rows whose day cannot be
told (no time, outside the valid days) go with the first imported day, and so do snapshots; a day
that lies apart with a few rows is not taken for it (`stray_days`). The description is checked
against the head of every file before anything is written, and travels in the lineage.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.property import day_number
from features.raw import checking, clock, columns
from features.raw.dataset import Dataset
from features.raw.raw_table import LOGS, TABLES
from infra.errors import ConfigError, InputError
from infra.progress import Progress, ProgressBar, quiet
from infra.scratch import scratch_folder
from infra.store import Store
from infra.visible import as_text
from pipeline.raw.given import check_heads, read_blocks
from pipeline.raw.writer import RawWriter, Source, Spill, read_back

logger = logging.getLogger(__name__)


NO_DAY = np.int32(np.iinfo(np.int32).max)

STRAY_SHARE = 0.1
"""Days that lie apart and have less than this of a usual day's rows are clocks that were wrong."""


def import_files(
    store: Store,
    dataset: Dataset,
    files: Sequence[Path | str],
    *,
    day: date | None = None,
    replace: bool = False,
    progress: ProgressBar = quiet,
) -> Mapping[str, int | str | list[str]]:
    """Publish `raw/dt=D/<table>` for every day in the files; returns rows and days per table.

    Beside them `first_day` and `last_day` of what was imported, stray days not counted, and as
    `note` what stays as it was (`pipeline.raw.replaced`).

    Args:
        store: where to.
        dataset: what the files look like.
        files: paths that match a table's glob, or `table=path`.
        day: the day of snapshots, which must come without a log.
        replace: overwrite days that were imported from other files (the same files, told by their
            names and SHA-256, always may).
        progress: shows how far it is.

    Raises:
        ConfigError: the description does not fit the files; nothing has been written.
        InputError: a file is missing or unreadable, a day holds rows of other files, or a day is
            given beside a log.
    """
    sources = match(dataset, files)
    _refuse_logs(sources, day)
    check_heads(dataset, sources)
    total = sum(source.path.stat().st_size for source in sources)
    with progress("import", total, unit="bytes") as bar, ExitStack() as stack:
        scratch = stack.enter_context(scratch_folder())
        writer = RawWriter(store, dataset, sources, stack, replace=replace)
        undated: dict[str, Path] = {}
        for name in [name for name in LOGS if any(s.table == name for s in sources)]:
            undated[name] = scratch / name
            of_table = [source for source in sources if source.table == name]
            _import_log(writer, dataset, of_table, undated[name], bar)
        first = _first_day(store, dataset, writer, day)
        for name, path in undated.items():
            for block in read_back(path):
                writer.add(name, first, block)
        for source in sources:
            if source.table not in LOGS:
                for block in read_blocks(dataset, source, _teller(bar)):
                    writer.add(source.table, first, block)
            writer.flush()
        writer.record()
        counts = writer.counts()
        rows = writer.rows_of_days()
    writer.take_back()
    said = ", ".join(f"{k} {v:,}" for k, v in counts.items())
    last = max({*rows} - {*stray_days(rows)} | {first})
    logger.info("import %s, %s to %s: %s", dataset.name, first, last, said)
    told = {"first_day": first.isoformat(), "last_day": last.isoformat()}
    return {**counts, **told, **writer.told()}


def match(dataset: Dataset, files: Sequence[Path | str]) -> list[Source]:
    """Every file with its table.

    Raises:
        ConfigError: no table's glob fits, or the named table is not described.
        InputError: there is no such file.
    """
    found: list[Source] = []
    for given in files:
        named, separator, rest = str(given).partition("=")
        explicit = bool(separator) and named in dataset.tables()
        path = Path(rest if explicit else str(given))
        if not _is_readable(path):
            if named.isidentifier() and separator and not explicit:
                raise ConfigError(_no_table(dataset, named, rest))
            if "://" in str(given):
                address = rest if explicit else given
                raise InputError(
                    f"{address} is an address: `dupn import` reads files of this machine. Fetch it "
                    "first, or copy it to raw/dt=DAY/<table>/ of the home, where plain files are "
                    "read as they are."
                )
            raise InputError(f"{path.absolute()} is not a file. Check the path.")
        table = named if explicit else dataset.table_of(path)
        if table is None:
            globs = ", ".join(f"{n}: {t.files}" for n, t in dataset.tables().items() if t.files)
            raise ConfigError(
                f"{path.name} fits no table of {dataset.name} ({globs or 'no globs'}). "
                f"Say which one: behaviors={path}"
            )
        if any(one.table == table and one.path.samefile(path) for one in found):
            raise InputError(f"{path} was given twice for {table}. Name each file once.")
        found.append(Source(path, table, path.name))
    if not found:
        raise InputError(f"no files were given for data set {dataset.name}. Name at least one.")
    names = _names({source.path.absolute() for source in found})
    return [replace(source, name=names[source.path.absolute()]) for source in found]


def _is_readable(path: Path) -> bool:
    """Whether there is such a file.

    Raises:
        InputError: there is, and it may not be read.
    """
    try:
        if not path.is_file():
            return False
        with path.open("rb"):
            return True
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Mend its permissions."
        ) from None


def _names(paths: Collection[Path]) -> dict[Path, str]:
    """What each file is called: its name, with as many folders as tell it from all others.

    Args:
        paths: absolute; the same file twice could not be told apart.
    """
    names: dict[Path, str] = {}
    alike = {name: [one for one in paths if one.name == name] for name in {p.name for p in paths}}
    for same in alike.values():
        whole = {path: path.parts for path in same}
        depth = 1
        while len({parts[-depth:] for parts in whole.values()}) < len(same):
            depth += 1
        names |= {path: as_text("/".join(parts[-depth:])) for path, parts in whole.items()}
    return names


def _no_table(dataset: Dataset, named: str, file: str) -> str:
    described = ", ".join(dataset.tables()) or "nothing"
    more = f", or describe it under [{named}]" if named in TABLES else ""
    return (
        f"{named}={file}: {named} is no table of {dataset.name}, which describes {described}. "
        f"Write one of these{more}."
    )


def days_of_block(dataset: Dataset, name: str, block: pa.Table) -> NDArray[np.int32]:
    """Day numbers of raw rows in the data set's zone; NO_DAY where untold or stray."""
    table = dataset.table(name)
    source = table.map.get("ts", "ts")
    if source not in block.column_names:
        return np.full(block.num_rows, NO_DAY)
    given = pa.chunked_array(
        [columns.plain_times(chunk, table.nulls) for chunk in block[source].chunks]
        or [pa.array([], pa.string())]
    )
    ms = clock.to_ms(given, table.time, dataset.time_zone)
    values = ms.fill_null(0).to_numpy()
    known = np.asarray(ms.is_valid().to_numpy()) & checking.plausible(values)
    days = np.full(block.num_rows, NO_DAY)
    days[known] = clock.days_of(values[known], dataset.clock)
    days[known & ~checking.inside(dataset, days)] = NO_DAY
    return days


def _teller(bar: Progress) -> Callable[[int], None]:
    """Takes positions in one file; shows how many bytes more are behind them."""
    behind = 0

    def tell(position: int) -> None:
        nonlocal behind
        bar.advance(max(0, position - behind))  # Parquet is read here and there
        behind = max(behind, position)

    return tell


def _import_log(
    writer: RawWriter, dataset: Dataset, sources: Sequence[Source], undated: Path, bar: Progress
) -> None:
    with Spill(undated) as spill:
        for source in sources:
            for block in read_blocks(dataset, source, _teller(bar)):
                days = days_of_block(dataset, source.table, block)
                order = np.argsort(days, kind="stable")
                numbers, starts = np.unique(days[order], return_index=True)
                for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
                    part = block.take(pa.array(rows))  # a slice would keep the whole block alive
                    if number == NO_DAY:
                        spill.add(part)
                    else:
                        writer.add(source.table, clock.day_of_number(int(number)), part)


def _refuse_logs(sources: Sequence[Source], day: date | None) -> None:
    """Refuse a day beside a log, whose own days overrule it."""
    log = next((source for source in sources if source.table in LOGS), None)
    if day and log:
        raise InputError(
            f"{log.path} is a log ({log.table}): its rows go to their own days, and snapshots with "
            f"the first of them, so --day {day} would decide nothing. Leave --day out, or import "
            "the snapshots of that day by themselves."
        )


def _first_day(store: Store, dataset: Dataset, writer: RawWriter, day: date | None) -> date:
    rows = writer.rows_of_days()
    stray = stray_days(rows)
    days = [one for one in rows if one not in stray]
    if stray:
        logger.warning(
            "%s has rows of days that lie apart and have few: %s. What has no day of its own, a "
            "product table too, goes with %s. If these days are wrong, set first_day and last_day "
            "in the description and import again with --replace; their rows are then refused.",
            dataset.name,
            ", ".join(f"{one} ({rows[one]:,} rows)" for one in stray),
            days[0],
        )
    days = days or ([day] if day else store.days("raw", "behaviors"))
    first = days[0] if days else dataset.first_day
    if first is None:
        raise InputError(
            f"the files of {dataset.name} have no row with a day. "
            "Import a log first, or give the day of the snapshots with --day."
        )
    return first


def stray_days(rows: Mapping[date, int]) -> list[date]:
    """Days in stretches without a gap of which none has a fair share of a usual day's rows.

    One row of the year 2000 is a stretch of its own; a log that begins with few rows a day is not
    cut, since its small days lead up to large ones. Days before a gap could not be learned with
    those after it, anyway. A usual day is the one that the middle row of all lies in.

    Args:
        rows: of each day, in the order of days.
    """
    if not rows:
        return []
    sizes = np.array(list(rows.values()))
    numbers = np.array([day_number(day) for day in rows])
    ordered = np.sort(sizes)
    usual = ordered[np.searchsorted(np.cumsum(ordered), sizes.sum() / 2)]
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 2) > 1)
    fair = np.maximum.reduceat(sizes, starts) >= STRAY_SHARE * usual
    stray = ~np.repeat(fair, np.diff(starts, append=len(sizes)))
    return [day for day, apart in zip(rows, stray, strict=True) if apart]
