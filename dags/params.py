"""What the trigger forms of the DAGs ask, as Params.

Of every run the data set, the preset and settings over it; of some the day, whether a person is
asked, the declaration of an experiment, files to import first, and whether a day is left out.
"""

from importlib import resources
from typing import Any

from airflow.sdk import Param

from dags import schedule
from pipeline.form import WORKERS


def common() -> dict[str, Any]:
    """The Params that say with which settings a run works, and what they are if nobody says."""
    return {
        "dataset": Param(
            schedule.DATASET,
            type="string",
            minLength=1,
            examples=_names("datasets"),
            title="Data set",
            description="`marketplace` is simulated. Else a description in infra/datasets, or the "
            "absolute path of a .toml that describes your own log. One home holds one log: beside "
            "another's days a run is refused.",
        ),
        "preset": Param(
            schedule.PRESET,
            type="string",
            minLength=1,
            examples=_names("presets"),
            title="Preset",
            description="smoke: seconds. demo: minutes. paper: the paper's own numbers. Or the "
            "absolute path of a .toml on the workers, which may say what `Settings` below may.",
        ),
        "overrides": Param(
            "",
            type=["null", "string"],
            format="multiline",
            title="Settings",
            description="Over the preset, one a line, for example `train.epochs=2`. Where things "
            "run and whom they talk to is the workers' to say, in `DUPN_SET`: "
            f"{', '.join(f'`{name}`' for name in WORKERS)} are refused here.",
        ),
    }


def one_day(meaning: str, *, required: bool = False) -> dict[str, Any]:
    """The Param `day`, of runs that are about one day of data.

    A required one has no default: Airflow refuses a trigger that does not give it, since a day that
    nobody meant would be judged, or made again.
    """
    value: dict[str, Any] = {} if required else {"default": None}
    kinds = "string" if required else ["null", "string"]
    return {"day": Param(**value, type=kinds, format="date", title="Day", description=meaning)}


def approval() -> dict[str, Any]:
    """The Param `approval`: whether a person is asked before the champion changes."""
    return {
        "approval": Param(
            False,
            type="boolean",
            title="Ask a person",
            description="Somebody has to approve in the UI before the champion changes.",
        )
    }


def declaration() -> dict[str, Any]:
    """The Param `declaration`: the form by which an experiment is declared."""
    return {
        "declaration": Param(
            "",
            type=["null", "string"],
            format="multiline",
            title="Declaration",
            description="A new experiment as TOML (docs/abtest.md): registered, and split users by "
            "from now on. Empty: the experiment that the day belongs to.",
        )
    }


def imported() -> dict[str, Any]:
    """The Params `files` and `replace`: what is taken in before anything else, as by `import`."""
    return {
        "files": Param(
            [],
            type=["null", "array"],  # the UI makes a field that was emptied null
            items={"type": "string"},
            title="Files to import first",
            description="Raw files of your log, one a line, by absolute path (in a folder that "
            "`DUPN_IMPORT_FROM` of the workers has, if it is set). Empty: raw/ is used as it "
            "stands.",
        ),
        "replace": Param(
            False,
            type="boolean",
            title="Replace what was imported",
            description="Days that hold rows of other files get those of these files in their "
            "place, as `--replace` of an import by hand. Without it such a day is refused.",
        ),
    }


def leave_out() -> dict[str, Any]:
    """The Param `leave_out`: how a night goes on whose data will not get better."""
    return {
        "leave_out": Param(
            False,
            type="boolean",
            title="Leave the day out",
            description="A failed quality check does not stop the night: the rows that could be "
            "read go into the state, and nothing is learnt from the day.",
        )
    }


def _names(folder: str) -> list[str]:
    files = resources.files("infra").joinpath(folder).iterdir()
    return sorted(file.name[:-5] for file in files if file.name.endswith(".toml"))
