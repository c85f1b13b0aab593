"""What people type: a need put into words, in part.

A query names the category or only the department, sometimes brand, style, attribute, or a price
word. The words are those of item titles, so that relevance can be learned from text.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.needs import Chosen
from evaluation.marketplace.world import Ints32

VAGUE = 0.2
"""Share of queries that name only the department ("shoes"): people start broad."""
SAY_BRAND, SAY_STYLE, SAY_ATTRIBUTE = 0.6, 0.3, 0.55
"""Chance that a wish is typed, given that there is one: typing on phones is a chore."""
SAY_PRICE = 0.45
"""Chance of "cheap" or "premium" when the price looked for is clearly off the middle."""
CLEARLY = 0.6
"""Price level (standard deviations) from which a price is called cheap or premium."""


@dataclass(frozen=True)
class Queries:
    """Parts of each page's query; -1 (or 0 for price) where a part is not said."""

    category: Ints32
    department: Ints32  # -1: no query at all
    brand: Ints32
    style: Ints32
    attribute: Ints32
    price: NDArray[np.int8]  # -1 cheap, 0 nothing, 1 premium

    @property
    def typed(self) -> NDArray[np.bool_]:
        """Whether there is a query."""
        return self.department >= 0

    def rows(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> "Queries":
        """Those of some pages."""
        return Queries(**{name: value[keep] for name, value in vars(self).items()})


def ask(
    rng: np.random.Generator, need: Chosen, department: Ints32, searching: NDArray[np.bool_]
) -> Queries:
    """The queries of pages; `searching` says which pages have one."""
    said = rng.random((5, len(searching)), np.float32)
    price = np.sign(need.level) * (np.abs(need.level) > CLEARLY) * (said[4] < SAY_PRICE)

    def part(values: Ints32, spoken: NDArray[np.bool_]) -> Ints32:
        return np.where(searching & spoken, values, -1).astype(np.int32)

    return Queries(
        category=part(need.category, said[0] >= VAGUE),
        department=part(department, np.ones_like(searching)),
        brand=part(need.brand, said[1] < SAY_BRAND),
        style=part(need.style, said[2] < SAY_STYLE),
        attribute=part(need.attribute, (said[3] < SAY_ATTRIBUTE) & (said[0] >= VAGUE)),
        price=np.where(searching, price, 0).astype(np.int8),
    )
