"""What our heads are worth: DUPN-all beside DUPN by the paper's equations, task by task.

Table 2's rows share the product heads of docs/adr/0005, and L2R weighs a click logit (0007); so
that table says nothing of the paper's own network. This study asks it the same questions, with a
search of its own over the same points. What the head of the preset `paper` lists is ours in both
rows, as no setting takes it back. Rows of `all` are those of `table2` and `multitask`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.studies import table2_report
from evaluation.studies.contest import ALL, FitCell, Table, TunedCell, WorldCell
from evaluation.studies.table2_report import Heading
from pipeline.studies.contest import TASKS, Contest
from training.peers.names import LETTER, NETWORKS

TITLE = "The paper's own heads, beside ours"
LEAD = (
    "DUPN to the letter: equations (7) to (10) as they are printed, but for what the head of the "
    "preset `paper` lists ((9) is a mean where the paper sums, L2R has a constant more, and some "
    "more); heads and attention over concatenations, Table 1's features alone in L2R. DUPN-all: "
    "the same with the default's inner products and click logit. Each task learnt alone, on the "
    "same samples, with the same budget and the same points of the search."
)
HEADS = "DUPN to the letter has the same widths and nothing beyond"
MODELS = (LETTER, ALL)


class LetterStudy(Contest):
    """Two networks on every task."""

    title = "letter"

    def stages(self) -> Sequence[Sequence[str]]:
        """Worlds, searches, fits."""
        return [self.worlds(), self.searches(), self.fits()]

    def searches(self) -> list[str]:
        """Keys."""
        return [f"tune-{model}-{task}" for model in MODELS for task in TASKS]

    def fits(self) -> list[str]:
        """Keys; a world before the next one."""
        return [
            f"{model}-{task}-{seed}" for seed in self.reported for task in TASKS for model in MODELS
        ]

    def report(self) -> Mapping[str, Any]:
        """Both rows, their difference on each task, and how each was tuned."""
        worlds = [one for one in self.finished(self.worlds()[1:]) if isinstance(one, WorldCell)]
        fits = [one for one in self.finished(self.fits()) if isinstance(one, FitCell)]
        tuned = [one for one in self.finished(self.searches()) if isinstance(one, TunedCell)]
        table = Table(worlds, fits, MODELS)
        heading = Heading({name: NETWORKS[name].title for name in MODELS}, TITLE, LEAD, HEADS)
        return table2_report.write(self.store, self.name, table, tuned, heading, self.plan)
