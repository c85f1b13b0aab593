"""What the form of a DAG may say: what a run is made of, not where it runs or whom it talks to.

Whoever may trigger a DAG is not thereby somebody who may run programs on a worker
(`beam.options` names one), have its MLflow login sent to any host (`tracking.uri`) or its mail
password (`alerts.smtp_host`). Such settings are the workers' own: `DUPN_SET`, or the preset that
their environment names.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from infra.config import overrides
from infra.errors import ConfigError

WORKERS = ("alerts", "beam.options", "beam.runner", "runtime", "serve", "tracking")
"""Sections and settings that no form says."""
PRESETS = ("DUPN_PRESET", "DUPN_NIGHTLY_PRESET")
"""Variables that name the workers' own presets."""


def check(layer: Mapping[str, Any], where: str) -> None:
    """Refuse settings that are the workers'.

    Args:
        layer: settings by name, nested.
        where: who sets them, for the error.

    Raises:
        ConfigError: one of them is.
    """
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


def _is_workers(name: str) -> bool:
    return any(name == one or name.startswith(f"{one}.") for one in WORKERS)


def _names(layer: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted names of what a layer sets."""
    for name, value in layer.items():
        if isinstance(value, Mapping) and value:
            yield from _names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
