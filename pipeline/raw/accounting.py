"""Where every raw row went: the counts of the events job, kept in manifests and held to add up.

Per table: `<table>_read = _kept + _duplicate + _ignored + _rejected`. Beside the sums stand
`_ignored_<code>` and `_rejected_<reason>`; `_late` is the part of `_kept` whose event day lies
before the day of arrival. `_ambiguous` is the part of `_kept` and `_duplicate` whose time the clock
of its zone showed twice.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import pyarrow as pa

from features.raw.raw_table import LOGS
from features.raw.rejects import REASONS, SENTENCES
from infra.errors import InputError
from infra.store import Attempt

logger = logging.getLogger(__name__)

OUTCOMES = ("kept", "duplicate", "ignored", "rejected")


def nothing_read(name: str) -> Counter[str]:
    """Zeros under every name that a table always has."""
    found = Counter({f"{name}_{what}": 0 for what in ("read", *OUTCOMES)})
    if name in LOGS:
        found.update({f"{name}_late": 0, f"{name}_ambiguous": 0})
    return found


def rejected(name: str, refused: pa.Table) -> Counter[str]:
    """Counts of refused rows, by reason and in all."""
    found = Counter({f"{name}_rejected": refused.num_rows})
    for pair in refused["reason"].value_counts().to_pylist():
        found[f"{name}_rejected_{pair['values']}"] = pair["counts"]
    return found


def ignored(name: str, by_code: Mapping[str, int]) -> Counter[str]:
    """Counts of rows with codes that are not used, by code and in all."""
    found = Counter({f"{name}_ignored_{code}": rows for code, rows in by_code.items()})
    found[f"{name}_ignored"] = sum(by_code.values())
    return found


def total(outs: Iterable[Attempt]) -> dict[str, int]:
    """The sums over all files recorded so far."""
    counts: Counter[str] = Counter()
    for out in outs:
        for entry in out.recorded():
            counts.update(entry.counts)
    return dict(sorted(counts.items()))


def check(counts: Mapping[str, int], names: Sequence[str], day: date) -> None:
    """Every row is accounted for, there is at least one, and some are kept of every snapshot.

    Raises:
        InputError: the day's log is empty, or all rows of a snapshot are refused.
    """
    for name in names:
        parts = {what: counts.get(f"{name}_{what}", 0) for what in OUTCOMES}
        read = counts.get(f"{name}_read", 0)
        assert read == sum(parts.values()), f"{name} of {day}: read {read}, accounted for {parts}"
        if name not in LOGS and read and not parts["kept"]:
            raise InputError(
                f"raw/dt={day}/{name}: all {read:,} rows are refused ({_reasons(counts, name)}), "
                "and an empty snapshot would take the place of the last one. Mend the files, or "
                "the description if a column was renamed, or take them away: the last one holds."
            )
    if not counts.get("behaviors_read"):
        raise InputError(
            f"raw/dt={day}/behaviors holds no row. Put the day's log there; only a day before the "
            "first of the log or after its last can be left out (docs/datasets.md, A day without "
            "data)."
        )


def _reasons(counts: Mapping[str, int], name: str) -> str:
    found = {reason: counts.get(f"{name}_rejected_{reason}", 0) for reason in REASONS}
    return "; ".join(f"{rows:,} {one}: {SENTENCES[one]}" for one, rows in found.items() if rows)


def log(counts: Mapping[str, int], names: Sequence[str], day: date, seconds: float) -> None:
    """One sentence a table."""
    for name in names:
        read, bad = counts[f"{name}_read"], counts[f"{name}_rejected"]
        logger.info(
            "events %s: %s: %s kept, %s duplicate, %s ignored, %s rejected (%.2f %%)",
            day,
            name,
            *(f"{counts[f'{name}_{what}']:,}" for what in OUTCOMES),
            100 * bad / max(read, 1),
        )
        if twice := counts.get(f"{name}_ambiguous"):
            logger.warning(
                "events %s: %s: %s rows have a time that the clock of its zone showed twice; the "
                "earlier was taken. Write times in UTC, or with their offset (%%z).",
                *(day, name, f"{twice:,}"),
            )
    rate = sum(counts[f"{name}_read"] for name in names) / max(seconds, 1e-9)
    logger.info("events %s: all tables in %.1f s, %s rows/s", day, seconds, f"{rate:,.0f}")
