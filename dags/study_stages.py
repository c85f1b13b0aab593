"""The tasks of `dupn_study`: the cells of a study, a mapped task each, then its report.

The keys of the cells come from the study; a finished cell is not run again.
"""

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import TriggerRule, get_current_context, task

from dags import admission, running
from dags.running import stage

if TYPE_CHECKING:
    from pipeline.settings import Settings

logger = logging.getLogger(__name__)

STAGES = 4
"""Stages of a study, at most: worlds, searches, what rests on searches, fits."""
KEY = "{{ task.op_kwargs['key'] }}"
"""What the grid writes on a mapped task."""


@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def cells(place: int) -> list[str]:
    """Keys of the cells of a stage; none if the study has fewer stages.

    The first fails where Airflow could not map those of a later one, or a package is missing.
    """
    from pipeline.studies import studying

    with running.front_door():
        study = studying.make(*_study(), quick=_quick())
        stages = study.stages()
        _require_mappable(study.title, study.seeds, max(map(len, stages)))
        study.left()  # packages, before hours of work
    return list(stages[place]) if place < len(stages) else []


def of_stage(place: int) -> tuple[Any, Any]:
    """The task that says the keys of a stage, and the mapped one that runs them."""
    keys = cells.override(task_id=f"cells_{place + 1}")(place)
    mapped = cell.override(
        task_id=f"stage_{place + 1}",
        map_index_template=KEY,
        trigger_rule=TriggerRule.NONE_FAILED,
    )
    return keys, mapped.expand(key=keys)


@stage(task, pool="data")
def cell(key: str) -> None:
    """One cell: a world, a search, or a network fitted and asked; skipped if it is there."""
    from pipeline.studies import studying

    settings, name, seeds = _study()
    with running.front_door():
        studying.cell(settings, name, key, seeds=seeds, quick=_quick())


@stage(task, pool="data", trigger_rule=TriggerRule.NONE_FAILED)
def report() -> str:
    """All cells -> JSON, pictures and a page under `reports/study/`, and into MLflow."""
    from pipeline.studies import studying
    from pipeline.studies.diary import Diary

    with running.front_door():
        study = studying.make(*_study(), quick=_quick())
        said = studying.report(study, Diary(study))
    for sentence in said["said"]:
        logger.info("%s", sentence)
    return str(said["report"])


def _study() -> "tuple[Settings, str, int]":
    """Settings, name and seeds of the run; the preset is the study's unless the form says one."""
    from pipeline.settings import of_form
    from pipeline.studies import studying

    context = get_current_context()
    params, name = context["params"], str(context["params"]["study"])
    with running.front_door():
        admission.check(context)
        preset = params["preset"] or studying.preset_of(name)
        return of_form(preset, running.overrides_of(params)), name, int(params["seeds"])


def _require_mappable(name: str, seeds: int, cells: int) -> None:
    from infra.errors import ConfigError

    if cells > running.MAPPED:
        raise ConfigError(
            f"{name} of {seeds} seeds has a stage of {cells} cells, and this Airflow takes "
            f"{running.MAPPED} in one. Ask for fewer seeds, set AIRFLOW__CORE__MAX_MAP_LENGTH to "
            f"{cells} or more (API server and workers), or run `dupn study {name}`, which has no "
            "such limit."
        )


def _quick() -> bool:
    return bool(get_current_context()["params"]["quick"])
