"""What the form of a DAG may say: what a run is made of, not where it runs or whom it talks to.

Whoever may trigger a DAG is not thereby somebody who may run programs on a worker
(`beam.options` names one), have its MLflow login sent to any host (`tracking.uri`) or its mail
password (`alerts.smtp_host`). Such settings are the workers' own: `DUPN_SET`, or the preset that
their environment names. Nor is it somebody who may read a worker's files: `files` says which ones
a form may import.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.config import overrides
from infra.errors import ConfigError
from infra.runtime import NAMES

WORKERS = ("alerts", "beam.options", "beam.runner", "runtime", "serve", "tracking")
"""Sections and settings that no form says."""
PRESETS = ("DUPN_PRESET", "DUPN_NIGHTLY_PRESET")
"""Variables that name the workers' own presets."""
FROM = "DUPN_IMPORT_FROM"
"""The variable with the workers' folders that a form may import from; unset: from anywhere."""
SYSTEM = ("/proc", "/sys", "/dev")
"""Folders whose files are the machine's and its processes': environments with logins, for one."""


def check(layer: Mapping[str, Any], where: str) -> None:
    """Refuse settings that are the workers', and a data set of a folder that no form knows.

    Args:
        layer: settings by name, nested.
        where: who sets them, for the error.

    Raises:
        ConfigError: one of them is.
    """
    if str(layer.get("dataset", "")).endswith(".toml"):
        require_absolute(layer["dataset"], where)
    for name in _names(layer):
        if _is_workers(name):
            raise ConfigError(
                f"{where} sets {name}, which no form may: it says where things run or whom they "
                "talk to. Set it in DUPN_SET of the workers, or in the preset that their "
                "DUPN_NIGHTLY_PRESET names."
            )


def is_free(preset: str) -> bool:
    """Whether a preset may say everything: one of ours, or the one that the environment names."""
    return not preset.endswith(".toml") or preset in [os.environ.get(name) for name in PRESETS]


def kept(pairs: Sequence[str]) -> list[str]:
    """Those of `--set` that a form may say; the others reach workers by their environment."""
    return [pair for pair in pairs if not any(map(_is_workers, _names(overrides([pair]))))]


def require_absolute(path: str, where: str = "the form") -> None:
    """Refuse a relative path to nothing: whoever fills in a form has other folders than workers.

    Args:
        path: as it was given.
        where: who gives it, for the error.

    Raises:
        ConfigError: it is one.
    """
    if not Path(path).is_absolute() and not Path(path).exists():
        raise ConfigError(
            f"{where} names {path}, which is no absolute path, and workers look from a folder of "
            "their own. Give the path of a file that they see, from / on."
        )


def lines(given: Sequence[str]) -> list[str]:
    """A field's lines, without spaces around them and without empty ones."""
    return [line.strip() for line in given if line.strip()]


def check_files(given: Sequence[str], tables: Collection[str], home: str) -> None:
    """Refuse files that no form may have read, wherever links lead.

    Args:
        given: paths, or `table=path`.
        tables: those that the data set describes.
        home: of the run.

    Raises:
        ConfigError: one is of no table, has no absolute path, or lies where logins do or in none
            of the workers' folders for imports.
    """
    text = os.environ.get(FROM, "")
    parts = text.splitlines() if "\n" in text else text.split(",")
    allowed = [part.strip() for part in parts if part.strip()]
    if text.strip() and not allowed:
        raise ConfigError(f"{FROM} of the workers names no folder. Name some, or unset it.")
    there = home.removeprefix("file://")
    own = [] if "://" in there else [str(Path(there) / name) for name in NAMES]
    for one in given:
        named, separator, rest = one.partition("=")
        if separator and named.isidentifier() and named not in tables:
            raise ConfigError(
                f"the form names {one}, and {named} is no table of the data set, which describes "
                f"{', '.join(tables)}. Write one of these."
            )
        said = rest if separator and named in tables else one
        require_absolute(said)
        path = Path(said).resolve()
        if inside := _around(path, (*SYSTEM, *own)):
            raise ConfigError(
                f"the form names {one}, which lies in {inside}: no form imports from there. Give "
                "the path of a log."
            )
        if allowed and not _around(path, allowed):
            raise ConfigError(
                f"the form names {one}, which lies in none of the folders that {FROM} of the "
                f"workers has ({', '.join(allowed)}). Put the file there, or import it by hand "
                "with `dupn import`."
            )


def _around(path: Path, folders: Sequence[str]) -> str:
    """The first of the folders in which a path lies; empty if it lies in none."""
    return next((one for one in folders if path.is_relative_to(Path(one).resolve())), "")


def _is_workers(name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in WORKERS)


def _names(layer: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of what a layer sets."""
    for name, value in layer.items():
        if isinstance(value, Mapping) and value:
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
