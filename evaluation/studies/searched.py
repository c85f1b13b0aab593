"""What a search tried and chose, as a table of every report whose networks were tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evaluation.studies.contest import TunedCell
from evaluation.studies.page import Grid


@dataclass(frozen=True)
class Searched:
    """A search of one network."""

    title: str
    """Of the network, or of its way."""
    learnt: str
    """Tasks."""
    losses: Sequence[float]
    """On the judging days, of each point in the order in which they were tried."""
    chosen: int
    point: Mapping[str, float]
    """The settings that were chosen."""

    @classmethod
    def of(cls, cell: TunedCell, title: str) -> "Searched":
        """A search as its cell has it."""
        losses = [trial.loss for trial in cell.trials]
        return cls(title, "+".join(cell.tasks), losses, cell.chosen, cell.heard)


def tuned(cells: Sequence[TunedCell], titles: Mapping[str, str]) -> list[Searched]:
    """Searches in which there was something to choose."""
    return [Searched.of(one, titles[one.model]) for one in cells if one.trials]


def grid(found: Sequence[Searched], title: str = "How each row was tuned") -> Grid:
    """A row a search."""
    rows = []
    for one in found:
        losses = ", ".join(
            f"[{loss:.4f}]" if place == one.chosen else f"{loss:.4f}"
            for place, loss in enumerate(one.losses)
        )
        said = ", ".join(f"{name} {value:g}" for name, value in one.point.items())
        rows.append([one.title, one.learnt, losses, said])
    head = ["Network", "Task", "Judging loss of each setting, the chosen one in brackets", "Chosen"]
    return Grid(title, head, rows)
