"""What a run of training has done so far, and what it leaves when it is finished."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import psutil

from infra.store import Partition


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A finished run."""

    run_name: str
    run_id: str
    """Of the tracker; empty where nothing is recorded."""
    checkpoint: Partition
    metrics: Mapping[str, float]
    moments: int
    """Trained on, each epoch counted."""
    candidates: int
    steps: int
    seconds: float
    """Of training, all sittings together."""
    resumed: bool
    """Whether any of it was done by an earlier process."""

    @property
    def moments_per_s(self) -> float:
        """Moments learnt a second, reading and checkpoints included."""
        return self.moments / max(self.seconds, 1e-9)

    @property
    def candidates_per_s(self) -> float:
        """Candidates learnt a second."""
        return self.candidates / max(self.seconds, 1e-9)


@dataclass
class Tally:
    """What a run has done so far."""

    steps: int = 0
    moments: int = 0
    candidates: int = 0
    seconds: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    """Final figures of finished epochs."""
    best_epoch: int | None = None
    """The epoch after which validation was best; None without validation."""
    best_loss: float | None = None


def of_the_machine() -> dict[str, float]:
    """What MLflow shows under system metrics."""
    return {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/process_memory_megabytes": psutil.Process().memory_info().rss / 1e6,
        "system/system_memory_usage_percentage": psutil.virtual_memory().percent,
    }
