"""Whether a stage of a day was made with the settings of now, as far as they decide its rows."""

from collections.abc import Mapping

from infra.config import DECIDED_BY
from infra.errors import PartitionCorrupt
from infra.store import Partition
from pipeline.settings import Settings


def is_other(settings: Settings, stage: str, made: Partition) -> bool:
    """Whether a published partition of the stage says that other settings decided it.

    Those of memory and workers decide nothing (`BOUND`), but a release that did not write down what
    does has only the digest of all. One that cannot be read says nothing.
    """
    try:
        lineage = made.manifest().lineage
    except PartitionCorrupt:  # it may be what is to be built again
        return False
    if DECIDED_BY in lineage:
        return bool(lineage[DECIDED_BY] != _now(settings, stage))
    return lineage.get("settings") not in (None, getattr(settings, stage).digest())


def _now(settings: Settings, stage: str) -> str:
    """As the job of the stage says it."""
    beside: Mapping[str, dict[str, str | int]] = {
        "statistics": {"moments": settings.sequences.moments},
        "samples": {"seed": settings.seed},
    }
    decided: str = getattr(settings, stage).decided_by(**beside.get(stage, {}))
    return decided
