"""What every report says of itself under the same names, from its data to its settings.

The digest of all cells' settings ends every figure's protocol too, so that a number that is copied
elsewhere can be traced to what made it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from evaluation.bootstrap import Interval
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.metrics import NAN
from evaluation.results import Figure
from evaluation.studies.asking import Score
from evaluation.studies.cells import FEWEST, Cell, words
from features.questions.world import SamplesConfig
from training.config import ModelConfig, Task, TrainConfig

NEEDED = ("Data", "Network", "Questions", "Intervals", "Settings")
"""What no report leaves out."""
NEGATIVES: Mapping[Task, str] = {
    Task.CTR: "shown on the page and not clicked",
    Task.L2R: "shown on the page and not clicked",
    Task.FIFP: "an icon shown and not followed",
    Task.PPP: "none, the level of what is bought is asked",
    Task.SPP: "shops drawn by popularity and not touched",
}
"""Of the marketplace's questions."""
ANSWERS: Mapping[Task, str] = {
    Task.CTR: "candidates",
    Task.L2R: "candidates",
    Task.FIFP: "icons",
    Task.PPP: "purchases",
    Task.SPP: "shops",
}
"""What the questions of a task are of."""
FEW = 12
"""Digests that are listed; of more their own digest has to do."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What a study of simulated worlds is made of."""

    network: str
    """As `network` says it."""
    market: MarketplaceConfig
    """Of every world."""

    def data(self, seeds: Sequence[int]) -> str:
        """Worlds, and how large each is."""
        size = self.market
        return (
            f"simulated marketplaces of the seeds {', '.join(map(str, seeds))}, a world each of "
            f"{size.users:,} users and, on its first day, {size.items:,} items"
        )


@dataclass(frozen=True, kw_only=True)
class Plan(Setup):
    """Which of a world's days and people it takes."""

    learnt: int
    """Days."""
    judges: int
    """Days after them."""
    asked: int
    """Days after these."""
    shares: Mapping[Task, float] = field(default_factory=dict)
    """Of the users who are learnt from and asked, where it is not all."""

    @property
    def days(self) -> str:
        """Which are for what."""
        return (
            f"{days(self.learnt)} learnt, the next {days(self.judges)} judging, the next "
            f"{days(self.asked)} asked"
        )

    def questions(self, asked: Mapping[Task, Sequence[Score | None]]) -> str:
        """Days, people, how many questions, and negatives.

        Args:
            asked: of every task its scores, one a world.
        """
        tasks = list(asked)
        some = [f"{task} of {share:.0%}" for task, share in self.shares.items() if task in tasks]
        people = f"{' and '.join(some)} of the users, else all" if some else "all users"
        return f"{self.days}; {people}. {counted(asked)}. {negatives(tasks)}"


def network(model: ModelConfig, train: TrainConfig, samples: SamplesConfig) -> str:
    """Widths of DUPN beside the paper's, and what the settings add to its equations."""
    beyond = {
        "inner products in heads and attention (docs/adr/0005)": model.interaction == "product",
        "the click logit among the features that L2R weighs (0007)": model.ranks_with_ctr,
        "PPP learns the prices of clicks, too (0017)": train.click_prices > 0,
        "a memory of prices (0018)": model.price_memory,
        "L2R learns at first sight only (0019)": train.ranks_unseen,
        "n_i of equation (9) grow with the price (0020)": samples.weight_of_price > 0,
        "the query weighs L2R's features (0021)": model.ranks_with_query,
        "PPP is told what is on offer (0022)": model.price_offers,
    }
    added = "; ".join(what for what, on in beyond.items() if on)
    return (
        f"item vectors of {model.e_dim}, states of {model.hidden_dim} and a representation of "
        f"{model.rep_dim} numbers (the paper's: 124, 128 and 256). "
        f"Beyond the paper's equations: {added or 'nothing'}"
    )


def negatives(tasks: Sequence[Task]) -> str:
    """Of some tasks."""
    kinds: dict[str, list[str]] = {}
    for task in tasks:
        kinds.setdefault(NEGATIVES[task], []).append(task)
    said = "; ".join(f"{', '.join(those)}: {kind}" for kind, those in kinds.items())
    return f"Negatives: {said}"


def counted(asked: Mapping[Task, Sequence[Score | None]]) -> str:
    """How many questions of each task a world asks, tasks of as many together."""
    kinds: dict[str, list[str]] = {}
    for task, scores in asked.items():
        found = [one.questions for one in scores if one is not None]
        kinds.setdefault(f"{span(found)} {ANSWERS[task]}", []).append(task)
    said = "; ".join(f"{', '.join(those)}: {many}" for many, those in kinds.items())
    return f"Asked in a world: {said}"


def span(counts: Sequence[float]) -> str:
    """The smallest and the largest of whole numbers, or the one that all are."""
    least, most = min(counts, default=0), max(counts, default=0)
    return f"{least:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"


def settings(**kinds: Sequence[Cell]) -> str:
    """Digests of cells by what they are, the digest of all of them first."""
    every = [cell for cells in kinds.values() for cell in cells]
    parts = []
    for kind, cells in kinds.items():
        known = list(dict.fromkeys(cell.settings for cell in cells))
        listed = f" ({', '.join(known)})" if len(known) <= FEW else ""
        parts.append(f"{len(cells)} {kind}{listed}")
    return f"{digest(every)}, of the digests of {'; '.join(parts)}"


def digest(cells: Iterable[Cell]) -> str:
    """Changes with the settings of any cell."""
    every = " ".join(sorted(cell.settings for cell in cells))
    return hashlib.sha256(every.encode()).hexdigest()[:12]


def traced(figures: Iterable[Figure], protocol: Mapping[str, str]) -> list[Figure]:
    """Figures whose protocols end with the digest that the report's begins with."""
    end = f"settings {protocol['Settings'].split(',', maxsplit=1)[0]}"
    return [
        one.model_copy(update={"protocol": f"{one.protocol.rstrip('.')}; {end}"}) for one in figures
    ]


def over_worlds(count: int) -> str:
    """How intervals came about where people are drawn within a world and not over two."""
    return words(count, interval=Interval(NAN) if 1 < count < FEWEST else None)


def days(count: int) -> str:
    """A number of days."""
    return f"{count} day{'s' * (count != 1)}"
