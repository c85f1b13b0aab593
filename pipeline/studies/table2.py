"""Table 2 (Section 6.1): nine networks, each task learnt alone, in the same worlds."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.studies import table2_report
from evaluation.studies.contest import FitCell, Table, TunedCell, WorldCell
from evaluation.studies.table2_report import Heading
from pipeline.studies.contest import TASKS, Contest
from training.peers.names import PEERS


class Table2Study(Contest):
    """Every network on every task that it can answer."""

    title = "table2"

    def stages(self) -> Sequence[Sequence[str]]:
        """Worlds, searches, fits."""
        return [self.worlds(), self.searches(), self.fits()]

    def entries(self) -> list[str]:
        """`model-task` of every row and column."""
        return [
            f"{name}-{task}" for name, one in PEERS.items() for task in one.tasks if task in TASKS
        ]

    def searches(self) -> list[str]:
        """Keys."""
        return [f"tune-{entry}" for entry in self.entries()]

    def fits(self) -> list[str]:
        """Keys; all rows of a world before the next world."""
        return [f"{entry}-{seed}" for seed in self.reported for entry in self.entries()]

    def report(self) -> Mapping[str, Any]:
        """The table, its pictures, and how each row was tuned."""
        worlds = [one for one in self.finished(self.worlds()[1:]) if isinstance(one, WorldCell)]
        fits = [one for one in self.finished(self.fits()) if isinstance(one, FitCell)]
        tuned = [one for one in self.finished(self.searches()) if isinstance(one, TunedCell)]
        table = Table(worlds, fits, tuple(PEERS))
        heading = Heading({name: one.title for name, one in PEERS.items()})
        return table2_report.write(self.store, self.name, table, tuned, heading, self.plan)
