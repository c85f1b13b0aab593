"""What a partition holds: the files that count, their rows, sums and lineage.

The manifest *is* the partition (`infra.store`): a file that it does not list is not there.

`mend` and `remedy` know every stage and its command, as nothing else on this floor does: a
partition that is missing or spoilt is met on every floor, and its error says what to do about it.
"""

import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from infra import run_key
from infra.record import as_object

MANIFEST = "_manifest.json"


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """One file that counts; `low`/`high` bound the user hashes inside (None: not bucketed)."""

    name: str
    rows: int
    bytes: int
    sha256: str
    low: int | None = None
    high: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a published partition holds. `counts` is the sum of the files' counts."""

    files: tuple[FileEntry, ...]
    rows: int
    counts: Mapping[str, int]
    lineage: Mapping[str, Any]
    schema: str = ""
    written_at: str = ""

    @classmethod
    def of(
        cls, entries: Iterable[FileEntry], lineage: Mapping[str, Any], schema: str
    ) -> "Manifest":
        """The manifest of some files, in the order of their names, as of now."""
        files = tuple(sorted(entries, key=lambda entry: entry.name))
        counts: dict[str, int] = {}
        for entry in files:
            for name, count in entry.counts.items():
                counts[name] = counts.get(name, 0) + count
        return cls(
            files=files,
            rows=sum(entry.rows for entry in files),
            counts=dict(sorted(counts.items())),
            lineage=lineage,
            schema=schema,
            written_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    @classmethod
    def read(cls, raw: bytes) -> "Manifest":
        """From JSON.

        Raises:
            ValueError, TypeError, KeyError: it is not a manifest.
        """
        data = as_object(raw)
        files = tuple(FileEntry(**entry) for entry in data.pop("files"))
        for entry in files:  # whoever may write to the store writes and removes nothing beside it
            if _leads_out(entry.name):
                raise ValueError(f"{entry.name!r} is no file inside the partition")
        return cls(files=files, **data)

    @property
    def stamp(self) -> str:
        """Sixteen hex digits that change when the content does; a rerun that changes none keeps it.

        Of the files' bytes, in their order: cheaper than `Partition.digest`, but other files with
        the same rows (another number of buckets) have another stamp.
        """
        known = [[entry.rows, entry.sha256, entry.low, entry.high] for entry in self.files]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:16]

    @property
    def content(self) -> str:
        """Sixteen hex digits that change with the bytes of any file, but with nothing else."""
        told = "".join(entry.sha256 for entry in self.files)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    def written(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1, default=str)


def _leads_out(name: str) -> bool:
    """Whether a name is none of a file in the partition's own folder or in one below it."""
    return not name or name[0] == "/" or "\\" in name or ".." in name.split("/")


def digest_of(rows: pa.Table) -> str:
    """SHA-256 over the rows in order; equal data, equal digest, however it lies in memory."""
    plain = rows.combine_chunks().unify_dictionaries().replace_schema_metadata(None)
    sink = io.BytesIO()
    # Parquet, because an Arrow stream also holds whatever lies in memory under a null.
    group = max(plain.num_rows, 1)
    pq.write_table(plain, sink, compression="none", store_schema=False, row_group_size=group)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def mend(key: str) -> str:
    """What to do about a spoilt partition: carried state is built again from events."""
    stage, _, rest = key.partition("/")
    if stage in ("vocabulary", "catalog", "statistics", "sequences") and rest.startswith("dt="):
        return f"Run `dupn rebuild --day {rest[3:13]}` first."
    if stage == "checkpoints":
        return (
            f"Restore {key} from a backup. Without one, remove {key}/{MANIFEST} and run the step "
            f"again that learnt it: {_learning(rest)}. Where that night's version is champion, go "
            "first to one whose checkpoint is there: `dupn rollback --why ...`. Of a night that "
            "the champion has learnt, only a backup helps."
        )
    return remedy(key)


def remedy(key: str) -> str:
    """What to do about a partition that is missing: the command that publishes it."""
    stage, _, rest = key.partition("/")
    name, _, leaf = rest.partition("/")
    day = next((part[3:] for part in key.split("/") if part.startswith("dt=")), "D")
    version = key.rpartition("/v")[2]
    commands = {
        "rejects": f"events --day {day}",
        "catalog": f"vocabulary --day {day}",
        "truth": f"simulate --first {day} --days 1",
        "quality": f"quality --of {leaf} --day {day}",
        "bundles": f"bundle --version {version}" if version.isdigit() else "bundle",
        "representations": f"represent --day {day}",
        "reports": "evaluate",
        "experiments": f"abtest readout --id {name} --day {day}",
    }
    if stage == "raw":
        return "Run `dupn import` or `dupn simulate`, or put the day's files there."
    if stage == "checkpoints":
        return (
            f"Restore checkpoints/{name} from a backup. One that never was there is made by "
            f"{_learning(name)}."
        )
    command = commands.get(stage, f"{stage} --day {day}" if name.startswith("dt=") else stage)
    return f"Run `dupn {command}` first."


def _learning(rest: str) -> str:
    """The commands that publish the checkpoint of a run key, whatever follows that."""
    key = rest.partition("/")[0]
    until = run_key.until(key) or "D"
    return f"`dupn train --until {until} --days N`, or of a night `dupn update --day {until}`"
