"""Chosen moments of a window -> the tensors of `training.batch`, without a loop over rows.

Items are embedded once a batch however often they stand in it, so the distinct catalog rows are
found by hashing, and one gather per attribute fetches their vocabulary rows from the catalog of
the moment's own day: tags that are statistics must not come from a later day.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from features.catalog import CatalogArrays
from features.profiles import by_name
from features.schemas import PROPERTIES, UNKNOWN_ROW
from infra.errors import TrainingError
from training.batch import Batch, Items, VocabularySizes
from training.moments import Gathered, IntArray, Moments


def collate(
    moments: Moments, rows: IntArray, catalogs: Sequence[CatalogArrays], sizes: VocabularySizes
) -> Batch:
    """The batch of `rows`, in that order.

    Args:
        moments: the window that holds them.
        rows: positions in the window.
        catalogs: one per value of `moments.day`.
        sizes: gives the number of profile fields and of ranking features.
    """
    seq, cand = moments.sequence.gather(rows), moments.candidates.gather(rows)
    icons, shops = moments.icons.gather(rows), moments.shops.gather(rows)
    query, profile = moments.query.gather(rows), moments.profile.gather(rows)
    day = moments.day[rows]
    catalog_rows = np.concatenate([seq.flat("item"), cand.flat("item")])
    items, places = _distinct_items(
        catalog_rows, day[np.r_[seq.owner, cand.owner]], catalogs, sizes
    )
    width = int(seq.lengths.max(initial=0))
    price_moment = np.flatnonzero(moments.price_level[rows])

    def padded(name: str) -> torch.Tensor:
        return torch.from_numpy(seq.padded(seq.flat(name), width))

    return Batch(
        items=items,
        seq_BT=torch.from_numpy(seq.padded(places[: len(seq.owner)], width)),
        **{f"{name}_BT": padded(name) for name in PROPERTIES},
        length_B=torch.from_numpy(seq.lengths),
        query_BQ=torch.from_numpy(
            query.padded(known(query.flat("row"), sizes.token), int(query.lengths.max(initial=0)))
        ),
        profile_BP=torch.from_numpy(_profile(profile, moments.profile_names, sizes)),
        cand_C=torch.from_numpy(places[len(seq.owner) :]),
        cand_moment_C=torch.from_numpy(cand.owner),
        cand_clicked_C=_float(cand.flat("clicked")),
        cand_label_C=_float(cand.flat("label")),
        cand_weight_C=_float(cand.flat("weight")),
        cand_features_CF=_float(_features(cand, sizes.ranking_features)),
        cand_origin_C=_long(cand.flat("origin")),
        price_moment_K=torch.from_numpy(price_moment),
        price_level_K=_long(moments.price_level[rows][price_moment]) - 1,
        icon_moment_I=torch.from_numpy(icons.owner),
        icon_I=_long(known(icons.flat("row"), sizes.icon)),
        icon_followed_I=_float(icons.flat("followed")),
        shop_moment_S=torch.from_numpy(shops.owner),
        shop_S=_long(known(shops.flat("row"), sizes.shop)),
        shop_preferred_S=_float(shops.flat("preferred")),
        offer_BL=None if moments.offer is None else torch.from_numpy(moments.offer[rows]),
        weight_B=None if moments.weight is None else torch.from_numpy(moments.weight[rows]),
        known_B=None if moments.known is None else torch.from_numpy(moments.known[rows]),
    )


def _distinct_items(
    catalog_rows: NDArray[np.int32],
    day: IntArray,
    catalogs: Sequence[CatalogArrays],
    sizes: VocabularySizes,
) -> tuple[Items, IntArray]:
    """Vocabulary rows of the distinct (day, catalog row) pairs, and each input's place in them."""
    keys = (day << 32) | catalog_rows
    coded = pa.array(keys).dictionary_encode()  # hashing: five times as fast as np.unique
    distinct = coded.dictionary.to_numpy()
    distinct_day, distinct_row = distinct >> 32, distinct & 0xFFFFFFFF
    tags_per_item = catalogs[0].tags.shape[1]
    table = np.zeros((5 + tags_per_item, len(distinct) + 1), np.int64)
    for index in np.unique(distinct_day):  # a few days, not rows
        catalog, mine = catalogs[index], np.flatnonzero(distinct_day == index)
        row = distinct_row[mine]
        for place, name in enumerate(("item", "brand", "shop", "category")):
            table[place, mine + 1] = known(getattr(catalog, name)[row], getattr(sizes, name))
        table[4, mine + 1] = catalog.price_level[row]
        table[5:, mine + 1] = known(catalog.tags[row].T, sizes.tag)
    item, brand, shop, category, price = (torch.from_numpy(table[i]) for i in range(5))
    items = Items(
        item_U=item,
        brand_U=brand,
        shop_U=shop,
        category_U=category,
        tags_UG=torch.from_numpy(np.ascontiguousarray(table[5:].T)),
        price_U=price,
    )
    return items, coded.indices.to_numpy().astype(np.int64) + 1


def known(rows: NDArray[Any], size: int) -> NDArray[Any]:
    """Vocabulary rows that the network has; later ones (a newer day's) are unknown to it."""
    return np.where(rows < size, rows, UNKNOWN_ROW)


def _profile(profile: Gathered, names: Sequence[str] | None, sizes: VocabularySizes) -> IntArray:
    """One column per field of the network, found by name; by place where names are not known."""
    wanted, rows = sizes.profile_names, np.array(sizes.profile, np.int64)
    if names is None or wanted is None:
        return _profile_by_place(profile, rows)
    padded = by_name(profile.padded(profile.flat("row"), len(names)), names, wanted)
    return np.where(padded < rows, padded, UNKNOWN_ROW)


def _profile_by_place(profile: Gathered, sizes: IntArray) -> IntArray:
    """Rows without a profile are padding."""
    if profile.lengths.max(initial=0) > len(sizes):
        raise TrainingError(
            f"a sample has {profile.lengths.max()} profile fields, the network knows {len(sizes)}, "
            "and what they are called was not noted then. Run `dupn samples` of the day again."
        )
    padded = profile.padded(profile.flat("row"), len(sizes))
    return np.where(padded < sizes, padded, UNKNOWN_ROW)


def _features(candidates: Gathered, count: int) -> NDArray[np.float32]:
    values = candidates.flat("features")
    if values.size == 0:
        return np.zeros((len(candidates.owner), count), np.float32)
    if values.shape[1] != count:
        raise TrainingError(
            f"candidates have {values.shape[1]} ranking features, the model expects {count}. "
            "Train a new model, or build the samples with the features it was trained on."
        )
    return values


def _float(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _long(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64))
