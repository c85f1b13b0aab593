"""What attention looks at (Section 6.4, Figures 8 and 9): DUPN on all tasks, world by world.

The network is the joint run of `multitask`: same world, same search. A cell fits it and looks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.studies import attention, attention_map, attention_report
from evaluation.studies.attending import Asked, Named
from evaluation.studies.attention import Seen
from evaluation.studies.cells import Cell
from evaluation.studies.histories import held_among_others
from infra.progress import Progress
from pipeline.studies.base import Logged, unless
from pipeline.studies.contest import JOINT, MODEL, Contest, held

NOTES: tuple[str, ...] = ()
"""What has to be said beside the figures, by whoever has looked at them."""

ROUND = 1
"""Goes up when the same network is looked at otherwise."""


class AttentionStudy(Contest):
    """A look at every world."""

    title = "attention"

    def stages(self) -> Sequence[Sequence[str]]:
        """Worlds; how the network learns; what is seen in each world."""
        return [self.worlds(), [f"tune-{MODEL}-{JOINT}"], self.looks()]

    def looks(self) -> list[str]:
        """Keys of the worlds' cells."""
        return [f"attention-{seed}" for seed in self.reported]

    def kind(self, key: str) -> type[Cell]:
        """By the first word of the key."""
        return Seen if key.startswith("attention-") else super().kind(key)

    def decides(self, key: str) -> Any:
        """The network that is looked into."""
        first, *rest = key.split("-")
        if first != "attention":
            return super().decides(key)
        return [key, self.digest(f"{MODEL}-{JOINT}-{rest[0]}"), *unless(ROUND, 1)]

    def work(self, key: str, digest: str, progress: Progress) -> Cell:
        """Fit and look, or what it takes."""
        first, *rest = key.split("-")
        if first != "attention":
            return super().work(key, digest, progress)
        seen = self._seen(int(rest[0]), digest)
        progress.advance(1)
        return seen

    def logged(self, cell: Cell) -> Logged:
        """Figures but for the map's cells."""
        if not isinstance(cell, Seen):
            return super().logged(cell)
        shown = {
            one.name: one.value
            for one in cell.figures
            if one.value is not None and "_heat_" not in one.name
        }
        return Logged({"network": MODEL, "seed": cell.seed}, [(0, shown)])

    def report(self) -> Mapping[str, Any]:
        """Both figures, and the readings of the paper beside what is found."""
        worlds = [one for one in self.finished(self.looks()) if isinstance(one, Seen)]
        return attention_report.write(self.store, self.name, worlds, NOTES, self.plan)

    def _seen(self, seed: int, digest: str) -> Seen:
        world, config = self.world(seed), self.settings.evaluate
        done = self.joint(world)
        # all moments: shares are of what is learnt and scored, and a look costs little
        asked = Asked(held(world, "learnt"), held(world, "asked"))
        found = asked.histories
        weights = asked.weights(done.network, config)
        return Seen(
            settings=digest,
            seed=seed,
            judged=dict(done.best.figures),
            moments=found.moments,
            users=found.users,
            known=int((found.wanted > 0).sum()),
            matched=int(held_among_others(found).sum()),
            figures=tuple(attention.figures(found, weights, config)),
            behaviours=attention_map.behaviours(found),
            example=asked.example(done.network, Named.of(world.store, world.learnt[-1])),
        )
