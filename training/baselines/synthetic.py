"""Made-up batches of a given size: nothing to learn in them, but all the work of a real one.

Items are drawn log-uniformly from the item table (Zipf's law with exponent 1, near to the real
logs'), so a batch names an item many times over; everything else is uniform. An item's brand, shop,
category and tags are functions of its row, as in a catalog.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from features.property import CODES
from features.schemas import PRICE_LEVELS, TAGS_PER_ITEM
from training.batch import Batch, Items, VocabularySizes


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How much is asked."""

    moments: int
    length: int = 100
    candidates: int = 10
    """A moment; also one follow and one shop question a moment, and a price question in ten."""
    ragged: bool = False
    """Histories of any length from none to `length`, queries of any length from none."""


def synthetic_batch(sizes: VocabularySizes, shape: Shape, seed: int) -> Batch:
    """A batch of that shape; the same seed gives the same batch."""
    random = torch.Generator().manual_seed(seed)
    B, T, C = shape.moments, shape.length, shape.moments * shape.candidates

    def rows(count: int, *dims: int) -> Tensor:
        return torch.randint(1, max(count, 2), dims, generator=random)

    length_B = torch.full((B,), T)
    if shape.ragged:
        length_B = torch.randint(0, T + 1, (B,), generator=random)
        length_B[0], length_B[-1] = T, 0
    real_BT = torch.arange(T) < length_B[:, None]
    zipf = torch.rand(B * T + C, generator=random)
    drawn = (sizes.item**zipf).long().clamp(1, sizes.item - 1)
    drawn[: B * T] *= real_BT.flatten()
    distinct, place = torch.unique(torch.cat([drawn.new_zeros(1), drawn]), return_inverse=True)
    query_BQ = rows(sizes.token, B, 4)
    if shape.ragged:
        query_BQ = query_BQ * (torch.arange(4) < torch.arange(B)[:, None] % 5)
    yes = _coin(random)
    prices = (B + 9) // 10
    return Batch(
        items=_catalog(distinct, sizes),
        seq_BT=place[1 : B * T + 1].view(B, T),
        **{f"{name}_BT": rows(count + 1, B, T) * real_BT for name, count in CODES.items()},
        length_B=length_B,
        query_BQ=query_BQ,
        profile_BP=torch.stack([rows(n, B) for n in sizes.profile], 1)
        if sizes.profile
        else rows(2, B, 0),
        cand_C=place[B * T + 1 :],
        cand_moment_C=torch.arange(B).repeat_interleave(shape.candidates),
        cand_clicked_C=yes(C),
        cand_label_C=yes(C) * 2 - 1,
        cand_weight_C=yes(C) + 1,
        cand_features_CF=torch.randn(C, sizes.ranking_features, generator=random),
        cand_origin_C=torch.ones(C, dtype=torch.long),
        price_moment_K=torch.arange(prices) * 10,
        price_level_K=torch.randint(0, PRICE_LEVELS, (prices,), generator=random),
        icon_moment_I=torch.arange(B),
        icon_I=rows(sizes.icon, B),
        icon_followed_I=yes(B),
        shop_moment_S=torch.arange(B),
        shop_S=rows(sizes.shop, B),
        shop_preferred_S=yes(B),
    )


def _catalog(item_U: Tensor, sizes: VocabularySizes) -> Items:
    def derived(rows: int, factor: int) -> Tensor:
        return torch.where(item_U > 0, item_U * factor % max(rows - 1, 1) + 1, 0)

    return Items(
        item_U=item_U,
        brand_U=derived(sizes.brand, 31),
        shop_U=derived(sizes.shop, 17),
        category_U=derived(sizes.category, 7),
        tags_UG=torch.stack([derived(sizes.tag, 11 + 2 * g) for g in range(TAGS_PER_ITEM)], 1),
        price_U=item_U % (PRICE_LEVELS + 1),
    )


def _coin(random: torch.Generator) -> Callable[[int], Tensor]:
    return lambda count: torch.randint(0, 2, (count,), generator=random).float()
