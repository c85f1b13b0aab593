"""What the trigger form of every DAG asks: data set, preset, overrides."""

from importlib import resources
from typing import Any

from airflow.sdk import Param


def common() -> dict[str, Any]:
    """The Params that say with which settings a run works."""
    return {
        "dataset": Param(
            "marketplace",
            type="string",
            minLength=1,
            examples=_names("datasets"),
            title="Data set",
            description="`marketplace` is simulated. Else a description in infra/datasets, or the "
            "path of a .toml that describes your own log.",
        ),
        "preset": Param(
            "demo",
            type="string",
            minLength=1,
            examples=_names("presets"),
            title="Preset",
            description="smoke: seconds. demo: minutes. paper: the paper's own numbers.",
        ),
        "overrides": Param(
            "",
            type=["null", "string"],
            format="multiline",
            title="Settings",
            description="Over the preset, one a line, for example `train.epochs=2`.",
        ),
    }


def _names(folder: str) -> list[str]:
    files = resources.files("infra").joinpath(folder).iterdir()
    return sorted(file.name[:-5] for file in files if file.name.endswith(".toml"))
