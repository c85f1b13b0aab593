"""Figure 6 (Section 6.2): each task learnt alone, and all four learnt together."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.studies import multitask_report
from evaluation.studies.contest import FitCell, TunedCell
from pipeline.studies.contest import JOINT, MODEL, TASKS, Contest


class MultitaskStudy(Contest):
    """The full network, five times a world."""

    title = "multitask"

    def stages(self) -> Sequence[Sequence[str]]:
        """Worlds, searches, fits."""
        return [self.worlds(), self.searches(), self.fits()]

    def searches(self) -> list[str]:
        """Keys."""
        return [f"tune-{MODEL}-{word}" for word in self.learnt()]

    def learnt(self) -> list[str]:
        """What is learnt, by its word in a key."""
        return [JOINT, *(task.value for task in TASKS)]

    def fits(self) -> list[str]:
        """Keys."""
        return [f"{MODEL}-{word}-{seed}" for seed in self.reported for word in self.learnt()]

    def report(self) -> Mapping[str, Any]:
        """Curves by judgement, joint less alone, and how each run was tuned."""
        fits = [one for one in self.finished(self.fits()) if isinstance(one, FitCell)]
        tuned = [one for one in self.finished(self.searches()) if isinstance(one, TunedCell)]
        return multitask_report.write(self.store, self.name, fits, tuned, self.plan)
