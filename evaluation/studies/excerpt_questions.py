"""What is asked of everybody in an excerpt of a real log, and what yardsticks answer.

Networks and yardsticks answer the same candidates in the same order. Beside who recalls the past
stands one that knows nothing of the user: how popular an item was the evening before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.history import History
from evaluation.measures import headline, same_category
from evaluation.metrics import AnyArray, Floats, Ints
from evaluation.predict import answering
from evaluation.questions import Candidates
from evaluation.studies.asking import Answered
from features import ranking
from features.catalog import FIRST_ROW
from features.items.listing import ATTRIBUTE_TAGS
from features.schemas import CandidateOrigin
from features.vocabulary import STATISTIC_TAGS, TAG_STATISTICS
from training.model.network import Network
from training.peers.held import Held

AUC, HARDER = "ctr_auc", "ctr_auc_same_category"
YARDSTICKS = {
    "category_recency": "category recency",
    "seen_before": "seen before",
    "popularity": "popularity (clicks so far)",
    "popularity_decile": "popularity decile alone, as learnt",
}
POPULARITY = ATTRIBUTE_TAGS + TAG_STATISTICS.index("popularity")
"""The tag that says an item's decile."""
PRIOR = 5.0
"""Questions that the click rate of all of them weighs in that of a decile."""
Parts = Mapping[str, Answered]
"""Answers by measure."""


@dataclass(frozen=True)
class Asked:
    """Candidates of held moments, in the order in which networks answer them."""

    held: Held
    candidates: Candidates
    user: NDArray[np.uint64]
    """Hash of who was asked."""

    @classmethod
    def of(cls, held: Held) -> "Asked":
        """All candidates of its moments."""
        rows = held.rows
        found = held.moments.candidates.gather(rows)
        names = ("item", "clicked", "label", "weight", "purchased", "origin")
        columns = {name: found.flat(name) for name in names}
        block = Candidates(moment=found.owner, **columns)
        return cls(held, block, held.moments.user_hash[rows][found.owner])

    def parts(self, scores: AnyArray) -> dict[str, Answered]:
        """Somebody's answers, by measure: beside the headline, the same category if asked."""
        keep = {AUC: headline(self.candidates)}
        if (self.candidates.origin == CandidateOrigin.SAME_CATEGORY).any():
            keep[HARDER] = same_category(self.candidates)
        whole = Answered(scores, self.candidates.clicked, self.user)
        return {name: whole.only(mask) for name, mask in keep.items()}

    def by(self, network: Network, batch_size: int) -> dict[str, Answered]:
        """A network's answers."""
        device = str(next(network.parameters()).device)
        with answering(network):
            batches = self.held.batches(batch_size)
            logits = [network(batch.to(device)).ctr_C.cpu().numpy() for batch, _ in batches]
        return self.parts(np.concatenate(logits))

    def yardsticks(self, learnt: "Asked") -> Iterator[tuple[str, dict[str, Answered]]]:
        """Simple answers; who says the same of every candidate knows nothing, and is left out.

        Args:
            learnt: questions that networks learn from: whether a decile is clicked often.
        """
        past, asked = _history(self.held), self.candidates
        seen = past.recency(past.item, asked.moment, asked.item)
        of = self.held.catalogs[-1].category
        category = np.where(of > 1, of, -1)
        recency = past.recency(category[past.item], asked.moment, category[asked.item])
        features = self.held.moments.candidates.gather(self.held.rows).flat("features")
        popular = features[:, ranking.NAMES.index("popularity")]
        known, rates = self.deciles(), click_rates(learnt.deciles(), learnt.candidates.clicked)
        found = (recency, (seen > 0).astype(np.float64), popular, rates[known])
        for name, scores in zip(YARDSTICKS, found, strict=True):
            if np.ptp(scores) > 0:
                yield name, self.parts(scores)

    def deciles(self) -> Ints:
        """Each candidate's tag of popularity: all that networks are told of it."""
        day = self.held.moments.day[self.held.rows][self.candidates.moment]
        found = np.zeros(len(day), np.int64)
        for number in np.unique(day):  # days and not rows
            mine = np.flatnonzero(day == number)
            tags = self.held.catalogs[number].tags[:, POPULARITY]
            found[mine] = tags[self.candidates.item[mine]]
        return found


def click_rates(decile: Ints, clicked: AnyArray) -> Floats:
    """Share of clicks by tag; those seldom met are near to that of all."""
    rows = FIRST_ROW + len(STATISTIC_TAGS)
    count = np.bincount(decile, minlength=rows)
    clicks = np.bincount(decile, clicked, minlength=rows)
    return (clicks + PRIOR * clicks.sum() / max(count.sum(), 1)) / (count + PRIOR)


def _history(held: Held) -> History:
    found = held.moments.sequence.gather(held.rows)
    return History(
        moment=found.owner,
        item=found.flat("item").astype(np.int64),
        type=found.flat("type").astype(np.int64),
        ago=found.lengths[found.owner] - 1 - found.within,
        moments=len(found.lengths),
    )
