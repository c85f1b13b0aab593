"""One question of each user: would they click this last? In the manner of MIMN's Taobao set.

There (Pi et al., KDD 2019) a user's last behaviour is the target, a random item of the whole log
takes its place half the time, what came before it is the sequence, and users are split. Half of
the random items were met once in the whole log, while a click falls on what is popular: how well
known an item is tells the two apart, so figures are not comparable with the other protocols'.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features import negatives
from features.catalog import CatalogArrays
from features.schemas import CandidateOrigin
from training.config import Task
from training.moments import IntArray, Lists
from training.peers.held import Held, Mask

SALT = 0x5DEECE66D
"""Folds do not follow the shares of users, which go by the same hash."""


def last_clicks(held: Held, seed: int, latest: int = 1) -> Held:
    """The last clicks of each user, each asked of one item: itself, or a random one.

    Args:
        held: derived moments of all days.
        seed: of the coins and of the items.
        latest: clicks of a user, at most; the newest.
    """
    moments, catalog = held.asking((Task.CTR,)).moments, held.catalogs[-1]
    asked = np.flatnonzero(moments.candidates.lengths)
    order = asked[np.lexsort((asked, moments.ts[asked], moments.user_hash[asked]))]
    user = moments.user_hash[order]
    from_end = np.searchsorted(user, user, side="right") - np.arange(len(order))  # 1: the last
    mine = order[from_end <= latest]
    columns = _one_each(moments.candidates, mine, catalog, np.random.default_rng(seed))
    lengths, starts = np.zeros((2, len(moments)), np.int64)
    lengths[mine], starts[mine] = 1, np.arange(len(mine))
    # Rows of the catalog are for ever, so the last one also holds the items of days before.
    changed = replace(
        moments, candidates=Lists(lengths, starts, columns), day=np.zeros(len(moments), np.int64)
    )
    return replace(held, moments=changed, catalogs=[catalog])


def folds_of(users: NDArray[np.uint64], folds: int) -> IntArray:
    """The fold, from 0 on, of each user, given by their hash."""
    return (negatives.mix(users ^ np.uint64(SALT)) % np.uint64(folds)).astype(np.int64)


def of_some(held: Held, keep: Mask) -> Held:
    """Only the candidates of some moments."""
    lists = held.moments.candidates
    left = replace(lists, lengths=np.where(keep, lists.lengths, 0))
    return replace(held, moments=replace(held.moments, candidates=left))


def _one_each(
    lists: Lists, rows: IntArray, catalog: CatalogArrays, rng: np.random.Generator
) -> Mapping[str, NDArray[Any]]:
    """The clicked candidate of each row, which comes first, or a random one in its place."""
    columns = {name: values[lists.starts[rows]] for name, values in lists.columns.items()}
    swapped = rng.random(len(rows)) < 0.5
    items = np.flatnonzero(catalog.is_item())
    drawn = rng.integers(0, len(items), len(rows))
    again = items[drawn] == columns["item"]
    random = items[np.where(again, (drawn + 1) % len(items), drawn)]
    columns["item"] = np.where(swapped, random, columns["item"]).astype(np.int32)
    instead = {"clicked": 0, "label": -1, "purchased": 0, "origin": CandidateOrigin.SAME_DAY}
    for name, value in instead.items():
        columns[name] = np.where(swapped, value, columns[name]).astype(columns[name].dtype)
    columns["features"] = np.zeros_like(columns["features"])  # those of another question
    return columns
