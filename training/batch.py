"""One step's worth of moments as tensors: what the network sees.

An item is embedded once a batch however often it stands in it: `items` holds the distinct catalog
rows, sequences and candidates point into it.

Shape suffixes: B moments, T longest sequence of the batch (<= 100), U distinct items, G tags an
item, C candidates of all moments together, F ranking features, Q query tokens, P profile fields,
K price questions, I icons shown, S shops asked.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor

from features import ranking
from features.schemas import PROPERTIES

PROPERTIES_BT = tuple(f"{name}_BT" for name in PROPERTIES)
"""Columns of p_i, in the order of the network's tables."""
PAST = ("items", "seq_BT", "length_B", *PROPERTIES_BT)
"""What the recurrence reads of a batch."""


@dataclass
class Items:
    """Vocabulary rows (and price) of the distinct items; position 0 is padding, all zeros."""

    item_U: Tensor
    brand_U: Tensor
    shop_U: Tensor
    category_U: Tensor
    tags_UG: Tensor  # 0 where an item has fewer
    price_U: Tensor  # price level 1..7, 0 where unknown


@dataclass
class Batch:
    """Int64 unless noted. `*_moment` says which of the B moments a question belongs to."""

    items: Items
    seq_BT: Tensor  # positions in `items`, oldest first, 0 right of `length_B`
    type_BT: Tensor
    scenario_BT: Tensor
    gap_BT: Tensor
    daypart_BT: Tensor
    weekend_BT: Tensor
    length_B: Tensor  # 0..T: a user may have no history
    query_BQ: Tensor  # token rows, 0 padded; Q may be 0
    profile_BP: Tensor  # one vocabulary row per profile column; P may be 0
    cand_C: Tensor  # positions in `items`
    cand_moment_C: Tensor
    cand_clicked_C: Tensor  # float 0/1
    cand_label_C: Tensor  # float -1/+1
    cand_weight_C: Tensor  # float
    cand_features_CF: Tensor  # float
    cand_origin_C: Tensor
    price_moment_K: Tensor
    price_level_K: Tensor  # 0..6: the paper's level minus one
    icon_moment_I: Tensor
    icon_I: Tensor
    icon_followed_I: Tensor  # float 0/1
    shop_moment_S: Tensor
    shop_S: Tensor
    shop_preferred_S: Tensor  # float 0/1
    price_weight_K: Tensor | None = None  # float, of each price question in PPP's loss; None: 1
    offer_BL: Tensor | None = None  # float, shares of the 7 price levels on offer; None: even
    weight_B: Tensor | None = None  # float, of each moment in the losses; None: 1
    known_B: Tensor | None = None  # bool, learnt before (replay); None: no moment was

    @property
    def size(self) -> int:
        """B."""
        return len(self.length_B)

    def same_past(self, other: "Batch") -> bool:
        """Whether behaviours and their properties are the very tensors of the other batch."""
        return all(getattr(self, name) is getattr(other, name) for name in PAST)

    def scale(self, moment_N: Tensor) -> Tensor | None:
        """What the loss of each question is multiplied by, given its moment; None for 1."""
        return None if self.weight_B is None else self.weight_B[moment_N]

    def price_scale(self) -> Tensor | None:
        """`scale` of the price questions, times the weight of each; None for 1."""
        of_moment_K = self.scale(self.price_moment_K)
        if self.price_weight_K is None or of_moment_K is None:
            return self.price_weight_K if of_moment_K is None else of_moment_K
        return of_moment_K * self.price_weight_K

    def to(self, device: str) -> "Batch":
        """The same batch on a device."""
        moved = {
            f.name: value.to(device, non_blocking=True)
            for f in fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        items = Items(**{f.name: getattr(self.items, f.name).to(device) for f in fields(Items)})
        return Batch(items=items, **moved)


NOTED = ("profile_names", "ranking_names")
"""Names of `VocabularySizes` that older versions did not write."""
_TUPLES = ("profile", "property_names")
UNNOTED = ("type", "scenario", "gap", "daypart", "weekend")
"""Properties of a network that was written before they were noted, whatever they are by now."""


@dataclass
class VocabularySizes:
    """Rows of each embedding table, rows 0 and 1 included; `profile` has a table a column."""

    item: int
    brand: int
    shop: int
    category: int
    tag: int
    token: int
    icon: int
    profile: tuple[int, ...]
    ranking_features: int
    profile_names: tuple[str, ...] | None = None
    """Of `profile`, in its order (`profile_age`, ...); None in what was written before they were
    noted: then columns are told apart by their places."""
    ranking_names: tuple[str, ...] | None = None
    """Of the ranking features, in the order of their weights; None as above."""
    property_names: tuple[str, ...] = PROPERTIES
    """Of the properties of a behaviour, in the order of their tables."""

    @property
    def misfit(self) -> str:
        """What a network of these sizes weighs that is told otherwise here; empty: nothing."""
        if self.property_names != PROPERTIES:
            return (
                f"weighs the properties {', '.join(self.property_names)} of a behaviour, this "
                f"version of dupn tells {', '.join(PROPERTIES)}"
            )
        if self.ranking_names not in (None, ranking.NAMES):
            return (
                "weighs other ranking features than this version of dupn computes "
                f"({ranking.difference(self.ranking_names or ())})"
            )
        if self.ranking_features != len(ranking.NAMES):
            return (
                f"weighs {self.ranking_features} ranking features, this version of dupn computes "
                f"{len(ranking.NAMES)}"
            )
        return ""

    def plain(self) -> dict[str, Any]:
        """As JSON has it; what was not noted is absent."""
        found = asdict(self) | {name: list(getattr(self, name)) for name in _TUPLES}
        noted = {name: found.pop(name) for name in NOTED}
        return found | {name: list(one) for name, one in noted.items() if one is not None}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> "VocabularySizes":
        """The inverse of `plain`."""
        told = {"property_names": UNNOTED, **plain}
        tuples = {name: tuple(told[name]) for name in (*_TUPLES, *NOTED) if name in told}
        return cls(**{**told, **tuples})
