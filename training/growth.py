"""Tables that grow: a checkpoint fitted to a later day's vocabulary, its old rows bit for bit.

Rows are append-only, so growth is a longer table: weights, sums of squared gradients and answers to
old samples stay what they were. A new item starts from the mean of the trained rows of its
category, since that is what the network knows of it; a new row of any other table from the mean of
the trained rows there. Trained: AdaGrad's sum is not zero. New rows have no sum yet, so their first
steps are as large as those of the first day.

A table may have rows that no id has yet: where a past day was built again, later days' ids keep
theirs (docs/adr/0013). Whoever has learnt only up to such a day does not know them, so they hold
what the unknown row holds, and are new rows to the update that learns their day.

Eviction, when it comes, is another way from one table to the next: the rows to keep, then the rest.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from features import vocabulary
from features.catalog import FIRST_ROW, CatalogArrays
from features.schemas import UNKNOWN_ROW
from infra.errors import TrainingError
from infra.store import Store
from training.batch import NOTED, VocabularySizes
from training.learner import Learner

logger = logging.getLogger(__name__)

ITEM = "item.item.weight"
PRICE_WORDS = "price_memory.words.weight"
"""Only in a network with a memory of prices."""


class Table(NamedTuple):
    """An embedding table of the network."""

    feature: str | None
    """Whose vocabulary its rows are of; None of a profile column whose name was not noted."""
    rows: int


def tables(sizes: VocabularySizes, *, price_memory: bool = False) -> dict[str, int]:
    """Rows of each table of the network, by its name among the weights."""
    found = by_feature(sizes, price_memory=price_memory)
    return {name: table.rows for name, table in found.items()}


def by_feature(sizes: VocabularySizes, *, price_memory: bool = False) -> dict[str, Table]:
    """Each table of the network, by its name among the weights."""
    named = {f"item.{name}.weight": Table(name, getattr(sizes, name)) for name in _ITEM_TABLES}
    columns = sizes.profile_names or [None] * len(sizes.profile)
    fields = {
        f"user.fields.{k}.weight": Table(*column)
        for k, column in enumerate(zip(columns, sizes.profile, strict=True))
    }
    tokens = Table("token", sizes.token)
    by_setting = {PRICE_WORDS: tokens} if price_memory else {}
    plain = {"query.token.weight": tokens, "icon.weight": Table("icon", sizes.icon)}
    return named | plain | fields | by_setting


_ITEM_TABLES = ("item", "brand", "shop", "category", "tag")


def joined(old: VocabularySizes, new: VocabularySizes) -> VocabularySizes:
    """Sizes that hold every row of both, with the profile columns of the old.

    An update cannot give the network another input, so a column that came later is left out until
    the line is trained anew, and one that went is unknown of everybody.

    Raises:
        TrainingError: the old network weighs other properties or ranking features than there are
            now; or profile columns came or went of which nobody noted the names.
    """
    if old.misfit:
        raise TrainingError(f"the champion {old.misfit}. Train the line anew with `dupn train`.")
    names, profile = _columns(old, new)
    plain, other = asdict(old), asdict(new)
    counted = plain.keys() - {"profile", "property_names", *NOTED}
    rows = {name: max(plain[name], other[name]) for name in counted}
    weighed = old.ranking_names or new.ranking_names
    return VocabularySizes(
        **rows, profile=profile, profile_names=names, ranking_names=weighed,
        property_names=old.property_names,
    )  # fmt: skip


def _columns(
    old: VocabularySizes, new: VocabularySizes
) -> tuple[tuple[str, ...] | None, tuple[int, ...]]:
    """Names and rows of the old one's profile columns."""
    if old.profile_names is not None and new.profile_names is not None:
        rows = dict(zip(new.profile_names, new.profile, strict=True))
        named = zip(old.profile_names, old.profile, strict=True)
        later = sorted(rows.keys() - set(old.profile_names))
        if later:
            logger.warning(
                "the network does not know the users' columns %s: they are left out until the line "
                "is trained anew with `dupn train`", ", ".join(later).replace("profile_", ""),
            )  # fmt: skip
        return old.profile_names, tuple(max(size, rows.get(name, 0)) for name, size in named)
    if len(old.profile) != len(new.profile):
        raise TrainingError(
            f"the champion knows {len(old.profile)} profile columns, whose names were not noted "
            f"when it was trained, and the vocabulary has {len(new.profile)} now. Train the line "
            "anew with `dupn train`."
        )
    rows_of_both = zip(old.profile, new.profile, strict=True)
    return old.profile_names or new.profile_names, tuple(max(pair) for pair in rows_of_both)


def grown(
    weights: Mapping[str, Tensor],
    sums: Mapping[str, Tensor],
    sizes: VocabularySizes,
    catalog: CatalogArrays,
) -> dict[str, Tensor]:
    """The weights with tables of `sizes`, and starts for rows that are new or hold the unknown.

    Args:
        weights: of the older network.
        sums: AdaGrad's, of its sparse tables: they tell which rows were trained.
        sizes: of the new network; no table may be smaller.
        catalog: of the newest day: it says which category a new item is of.
    """
    out = dict(weights)
    for name, rows in tables(sizes, price_memory=PRICE_WORDS in weights).items():
        old = weights[name]
        if rows < len(old):
            raise TrainingError(
                f"{name} has {len(old)} rows in the checkpoint and {rows} in the vocabulary, which "
                "only grows. Run `dupn vocabulary` for all days again, in order."
            )
        trained = sums[name].abs().sum(dim=1) > 0
        trained[:FIRST_ROW] = False
        fresh = torch.cat([_left_unknown(old, trained), torch.arange(len(old), rows)])
        if len(fresh):
            new = _mean_of(old, trained).expand(len(fresh), -1).clone()
            if name == ITEM:
                new = _of_categories(old, trained, _categories(catalog, rows), fresh, new)
            out[name] = torch.cat([old, old.new_empty(rows - len(old), old.shape[1])])
            out[name][fresh] = new
    return out


def _left_unknown(table: Tensor, trained: Tensor) -> Tensor:
    """Rows that `leave_unknown` wrote; where unknown is zeros, so is what nothing was learnt of."""
    same = (table == table[UNKNOWN_ROW]).all(dim=1) & ~trained
    same[:FIRST_ROW] = False
    return torch.nonzero(same & table[UNKNOWN_ROW].any()).squeeze(1)


@torch.no_grad()
def leave_unknown(learner: Learner, store: Store, day: date) -> None:
    """Let rows that no id has by `day` hold what the unknown row holds, in place.

    What was trained stays: an id may be gone from a day that was built again.

    Args:
        learner: has learnt from days up to `day`.
        store: where the vocabularies are.
        day: the newest that it, or whatever it started from, has learnt from.
    """
    weights, sums = learner.model.state_dict(), learner.optimizer.sparse.sums
    found = by_feature(learner.model.sizes, price_memory=PRICE_WORDS in weights)
    for name, (feature, size) in found.items():
        if feature is None:
            continue
        table = weights[name]
        rows = torch.from_numpy(vocabulary.not_given(store, day, feature, size)).to(table.device)
        rows = rows[sums[name][rows].abs().sum(dim=1) == 0]
        table[rows] = table[UNKNOWN_ROW].clone()


def grown_optimizer(state: Mapping[str, Any], sizes: VocabularySizes) -> dict[str, Any]:
    """The optimizer's state with sums of zero for the new rows."""
    sums = dict(state["sparse"])
    for name, rows in tables(sizes, price_memory=PRICE_WORDS in sums).items():
        old = sums[name]
        sums[name] = torch.cat([old, old.new_zeros(rows - len(old), old.shape[1])])
    return {**state, "sparse": sums}


def _of_categories(
    old: Tensor, trained: Tensor, category: Tensor, fresh: Tensor, fallback: Tensor
) -> Tensor:
    """Per fresh item the mean of the trained rows of its category; `fallback` where it has none."""
    of_old, of_new = category[: len(old)], category[fresh]
    rows = int(category.max()) + 1
    known = trained & (of_old >= FIRST_ROW)
    total = old.new_zeros(rows, old.shape[1], dtype=torch.float64)
    total.index_add_(0, of_old[known], old[known].double())
    seen = torch.bincount(of_old[known], minlength=rows)
    mean = (total / seen.clamp(min=1)[:, None]).to(old.dtype)
    return torch.where((seen > 0)[of_new][:, None], mean[of_new], fallback)


def _mean_of(table: Tensor, trained: Tensor) -> Tensor:
    """The mean of the trained rows; zeros where none was."""
    if not trained.any():
        return table.new_zeros(table.shape[1])
    return table[trained].double().mean(dim=0).to(table.dtype)


def _categories(catalog: CatalogArrays, rows: int) -> Tensor:
    """The category row of each row of the item vocabulary; 0 where the catalog does not say."""
    category = np.zeros(rows, np.int64)
    known = (catalog.item >= FIRST_ROW) & (catalog.item < rows)
    category[catalog.item[known]] = catalog.category[known]
    return torch.from_numpy(category)
