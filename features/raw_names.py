"""Which files of a folder of raw are read, by their names."""

from features.raw_table import LISTED, SERVED

SUFFIXES = (".parquet", ".jsonl", ".csv", ".gz", ".zst", ".bz2", ".xz")


def is_data(name: str) -> bool:
    """Whether a plain file of that name is read (no marker, no hidden or temporary file)."""
    return not name.startswith((".", LISTED)) and name.endswith(SUFFIXES)


def is_served(name: str) -> bool:
    """Whether a plain file of that name was added by the service: read beside any manifest."""
    return name.startswith(SERVED) and is_data(name)
