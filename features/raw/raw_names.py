"""Which files of a folder of raw are read, by their names."""

import re
from collections.abc import Collection, Sequence

from features.raw.raw_table import LISTED, SERVED
from infra.visible import visible

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".gz", ".zst", ".bz2", ".xz")
_IMPORTED = re.compile(rf"{LISTED}part-\d+-([0-9a-f]+)\.parquet")
_NOTE = re.compile(rf"{LISTED}entries-([0-9a-f]+)-[0-9a-z]+\.json")


def is_data(name: str) -> bool:
    """Whether a plain file of that name is read (no marker, no hidden or temporary file)."""
    return not name.startswith((".", LISTED)) and name.endswith(SUFFIXES)


def is_skipped(name: str) -> bool:
    """Whether nothing but its suffix keeps a plain file from being read."""
    return not name.startswith((".", LISTED)) and not name.endswith(SUFFIXES)


def is_served(name: str) -> bool:
    """Whether a plain file of that name was added by the service: read beside any manifest."""
    return name.startswith(SERVED) and is_data(name)


def is_imported(name: str) -> bool:
    """Whether `import` or the simulator wrote a file of that name, which a manifest may list."""
    return _IMPORTED.fullmatch(name) is not None


def unended(names: Collection[str]) -> dict[str, str]:
    """What attempts left that have not ended, their notes and the files beside these, and of which.

    One that ends takes its notes away, so where a manifest was lost no file of it is among them.
    """
    notes = {name: found[1] for name in names if (found := _NOTE.fullmatch(name))}
    files = {name: found[1] for name in names if (found := _IMPORTED.fullmatch(name))}
    noted = set(notes.values())
    return notes | {name: attempt for name, attempt in files.items() if attempt in noted}


def some(names: Sequence[str]) -> str:
    """The first three, and how many more there are; what steers a terminal is written out."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(map(visible, names[:3]))}{more}"


def not_read(skipped: Sequence[str]) -> str:
    """Which names are skipped, for their suffix or since they are no files, and what is read."""
    named = [name for name in skipped if not is_data(name)]
    others = [name for name in skipped if is_data(name)]
    said = [
        f"not read for their suffix: {some(named)} (read are {' '.join(SUFFIXES)}; "
        "folders are not looked into)"
    ] * bool(named)
    said += [f"not read, being no files (a folder, a pipe): {some(others)}"] * bool(others)
    return "; ".join(said)


def not_read_beside(names: Sequence[str]) -> str:
    """Which files lie beside an imported table, and how their rows are had too."""
    return (
        f"not read beside an imported table: {some(names)} (to add them, move them elsewhere and "
        "import all files of the day together, with --replace; else remove them)"
    )
