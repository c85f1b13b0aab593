"""Embeddings of items, properties, queries and users (Section 4.1, equation 1).

An item is the concatenation of its ID, brand, shop, category and tags: for long-tail and new items,
whose ID row is `unknown`, the general features speak. Tags are a multi-hot field, whose rows
equation (1) would add up; here they are averaged, so that items with one tag and with nine are of
one size. Tables that grow with the catalog have sparse gradients, so a step costs what its batch
touches; the property tables have a dozen rows and are dense. Row 0 is padding: zero, and never
trained.

Shape suffixes: see `training.batch`; E = e_dim, P = p_dim.
"""

import math
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from features.property import CODES
from training.batch import PROPERTIES_BT, Batch, Items, VocabularySizes
from training.config import ModelConfig
from training.model.dropout import Dropout

TABLE_STD = 0.05
PROPERTY_STD = 0.3
"""Properties are few and seen in every step: they start at a size that moves the gates."""
MOST_COMBINATIONS = 1024 * 100
"""Of the codes of all properties, in a table of their own. That table saves time where a batch has
more behaviours than it has rows, and the paper's has 1024 moments of 100."""


def sparse_table(rows: int, dim: int, std: float = TABLE_STD) -> nn.Embedding:
    """A table whose gradient holds only the rows that a batch touches."""
    table = nn.Embedding(rows, dim, padding_idx=0, sparse=True)
    _start(table, std)
    return table


class ItemEmbedding(nn.Module):
    """e_i: 32 + 24 + 24 + 16 + 28 = 124 in the paper. Shared by encoder and CTR head."""

    def __init__(self, config: ModelConfig, sizes: VocabularySizes) -> None:
        super().__init__()
        group, general = config.group_std, config.general_std
        self.item = sparse_table(sizes.item, config.item_dim, config.item_std)
        self.brand = sparse_table(sizes.brand, config.brand_dim, group)
        self.shop = sparse_table(sizes.shop, config.shop_dim, group)
        self.category = sparse_table(sizes.category, config.category_dim, general)
        self.tag = sparse_table(sizes.tag, config.tag_dim, general)

    def forward(self, items: Items) -> Tensor:
        """`e_UE`, one row a distinct item."""
        parts = [
            self.item(items.item_U),
            self.brand(items.brand_U),
            self.shop(items.shop_U),
            self.category(items.category_U),
            self._tags(items.tags_UG),
        ]
        return torch.cat(parts, dim=-1)  # (1)

    def _tags(self, tags_UG: Tensor) -> Tensor:
        """Mean of an item's tags, zero where it has none.

        By way of the distinct tags, so that the sparse gradient has a row for each of those and
        not one for each tag of each item (86 ms a step against 29, for 68,000 items).
        """
        distinct, place_UG = torch.unique(tags_UG, return_inverse=True)
        sum_UD = rows_of(self.tag(distinct), place_UG).sum(dim=1)
        return sum_UD / (tags_UG > 0).sum(dim=1, keepdim=True).clamp(min=1)


class PropertyEmbedding(nn.Module):
    """p_t: type 16, scenario 8, gap 16, daypart 4, weekend 4 = 48 in the paper."""

    every: Tensor | None
    """A row a table, a column a combination; None where there are more than pay."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        tables = [
            nn.Embedding(CODES[name] + 1, dim, padding_idx=0)
            for name, dim in config.property_dims.items()
        ]
        for table in tables:
            _start(table, PROPERTY_STD)
        self.tables = nn.ModuleList(tables)
        self.rows = tuple(table.num_embeddings for table in tables)
        every = None
        if math.prod(self.rows) <= MOST_COMBINATIONS:
            every = torch.cartesian_prod(*(torch.arange(rows) for rows in self.rows))
            every = every.T.contiguous()
        self.register_buffer("every", every, persistent=False)

    def forward(self, batch: Batch) -> Tensor:
        """`p_BTP`.

        Many at a time learn by way of a table of all combinations: the backward pass then adds
        one row a behaviour and not one a table (a full step: 20 ms less).
        """
        columns, every = [getattr(batch, name) for name in PROPERTIES_BT], self.every
        if not self.training or every is None or batch.type_BT.numel() < every.shape[1]:
            return self._look_up(columns)
        place_BT = torch.zeros_like(batch.type_BT)
        for rows, column in zip(self.rows, columns, strict=True):
            place_BT = place_BT * rows + column
        return rows_of(self._look_up(every), place_BT)

    def _look_up(self, columns: Iterable[Tensor]) -> Tensor:
        tables = zip(self.tables, columns, strict=True)
        return torch.cat([table(column) for table, column in tables], dim=-1)


class QueryEmbedding(nn.Module):
    """q: the mean of the query's token embeddings; a learned constant where nothing was typed."""

    def __init__(self, rows: int, dim: int) -> None:
        super().__init__()
        self.token = sparse_table(rows, dim)
        self.absent = nn.Parameter(torch.zeros(dim))

    def forward(self, query_BQ: Tensor) -> Tensor:
        """`q_BQ` of token rows, 0 padded."""
        count_B1 = (query_BQ > 0).sum(dim=1, keepdim=True)
        mean_BD = self.token(query_BQ).sum(dim=1) / count_B1.clamp(min=1)
        return torch.where(count_B1 > 0, mean_BD, self.absent)


class UserEmbedding(nn.Module):
    """u: one layer over the profile fields (never the user's id); a constant without a profile."""

    def __init__(self, rows: Sequence[int], field_dim: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.fields = nn.ModuleList(sparse_table(count, field_dim) for count in rows)
        self.layer = nn.Linear(field_dim * len(rows), dim) if rows else None
        self.absent = nn.Parameter(torch.zeros(dim))
        self.dropout = Dropout(dropout)

    def forward(self, profile_BP: Tensor) -> Tensor:
        """`u_BU` of one vocabulary row per field; all zeros, or no column, is no profile."""
        B, P = profile_BP.shape
        if self.layer is None or P == 0:
            return self.absent.expand(B, -1)
        fields = [table(profile_BP[:, k]) for k, table in enumerate(self.fields)]
        u_BU = torch.tanh(self.layer(torch.cat(fields, dim=-1))).float()
        known_B1 = (profile_BP > 0).any(dim=1, keepdim=True)
        return torch.where(known_B1, self.dropout(u_BU), self.absent)


def rows_of(vectors_UE: Tensor, index: Tensor) -> Tensor:
    """`vectors[index]`, its gradient summed by the embedding kernel (threaded, unlike index's)."""
    return F.embedding(index, vectors_UE)


def _start(table: nn.Embedding, std: float) -> None:
    nn.init.normal_(table.weight, std=std)
    with torch.no_grad():
        table.weight[0].zero_()
