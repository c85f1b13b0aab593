"""One question of each user: would they click this last? In the manner of MIMN's Taobao set.

There (Pi et al., KDD 2019) a user's last behaviour is the target, a random item of the whole log
takes its place half the time, what came before it is the sequence, and users are split. Two things
are otherwise here, because last clicks fall on the last day and most of them on items that nobody
of an excerpt's few users had met: beside items of the whole log, "never met before" tells most of
them, and counts of the log's end tell the rest.

- The random item is as new as the click: met before that day if it was, first met that day if not.
- All is known as it was the evening before: statistics (the tags of the day's catalog), and which
  ids have a row. An id's second sighting earns the row, and that may be the very click.

How popular an item is tells something still, as in MIMN's set: a click falls on what is popular.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.catalog import CatalogArrays
from features.draws import mix
from features.schemas import UNKNOWN_ROW, CandidateOrigin
from training.config import Task
from training.moments import IntArray, Lists
from training.peers.held import Held, Mask

SALT = 0x5DEECE66D
"""Folds do not follow the shares of users, which go by the same hash."""
IDS = ("item", "brand", "shop", "category")


def last_clicks(held: Held, seed: int, latest: int = 1) -> Held:
    """The last clicks of each user, each asked of one item: itself, or a random one.

    Args:
        held: derived moments of all days, the log's first day among them.
        seed: of the coins and of the items.
        latest: clicks of a user, at most; the newest.
    """
    moments = held.asking((Task.CTR,)).moments
    asked = np.flatnonzero(moments.candidates.lengths)
    order = asked[np.lexsort((asked, moments.ts[asked], moments.user_hash[asked]))]
    user = moments.user_hash[order]
    from_end = np.searchsorted(user, user, side="right") - np.arange(len(order))  # 1: the last
    mine = order[from_end <= latest]
    lists, rng = moments.candidates, np.random.default_rng(seed)
    columns = {name: values[lists.starts[mine]] for name, values in lists.columns.items()}
    swapped = rng.random(len(mine)) < 0.5
    others = as_new(columns["item"], moments.day[mine], held.catalogs, rng)
    lengths, starts = np.zeros((2, len(moments)), np.int64)
    lengths[mine], starts[mine] = 1, np.arange(len(mine))
    one_each = Lists(lengths, starts, _in_place(columns, others, swapped))
    changed = replace(moments, candidates=one_each)
    return replace(held, moments=changed, catalogs=of_the_evening_before(held.catalogs))


def as_new(
    item: IntArray, day: IntArray, catalogs: Sequence[CatalogArrays], rng: np.random.Generator
) -> IntArray:
    """For each item a random other one that, on its day, was as new; itself if there is none.

    Args:
        item: catalog rows.
        day: index of each one's catalog.
        catalogs: by day; before the first nobody had met anything.
        rng: draws.
    """
    found = np.array(item, np.int64)
    for number in np.unique(day):  # days and not rows
        todays = np.flatnonzero(day == number)
        met = catalogs[number].is_item()
        before = np.zeros_like(met)
        if number:
            earlier = catalogs[number - 1].is_item()
            before[: len(earlier)] = earlier
        for old in (False, True):
            mine = todays[before[item[todays]] == old]
            pool = np.flatnonzero(met & (before == old))
            if len(mine) and len(pool):
                drawn = rng.integers(0, len(pool), len(mine))
                again = pool[drawn] == item[mine]
                found[mine] = pool[np.where(again, (drawn + 1) % len(pool), drawn)]
    return found


def of_the_evening_before(catalogs: Sequence[CatalogArrays]) -> list[CatalogArrays]:
    """Each day's catalog with the rows that ids had the evening before; since then, unknown.

    The days were built once and in order, as those of a study are: then later ids have later rows.
    """
    lasts = [dict.fromkeys(IDS, UNKNOWN_ROW)]  # rows are given in order, and for ever
    lasts += [{name: int(getattr(one, name).max()) for name in IDS} for one in catalogs[:-1]]
    return [_with_rows(one, last) for one, last in zip(catalogs, lasts, strict=True)]


def folds_of(users: NDArray[np.uint64], folds: int) -> IntArray:
    """The fold, from 0 on, of each user, given by their hash."""
    return (mix(users ^ np.uint64(SALT)) % np.uint64(folds)).astype(np.int64)


def of_some(held: Held, keep: Mask) -> Held:
    """Only the candidates of some moments."""
    lists = held.moments.candidates
    left = replace(lists, lengths=np.where(keep, lists.lengths, 0))
    return replace(held, moments=replace(held.moments, candidates=left))


def _with_rows(catalog: CatalogArrays, last: Mapping[str, int]) -> CatalogArrays:
    rows = {name: getattr(catalog, name) for name in IDS}
    known: dict[str, Any] = {
        name: np.where(row <= last[name], row, UNKNOWN_ROW).astype(np.int32)
        for name, row in rows.items()
    }
    return replace(catalog, **known)


def _in_place(
    columns: Mapping[str, NDArray[Any]], others: IntArray, swapped: Mask
) -> Mapping[str, NDArray[Any]]:
    """The clicked candidates, or other items in the place of some."""
    swapped = swapped & (others != columns["item"])
    instead: Mapping[str, Any] = {
        "item": others,
        "clicked": 0,
        "label": -1,
        "purchased": 0,
        "origin": CandidateOrigin.SAME_DAY,
    }
    changed = {
        name: np.where(swapped, value, columns[name]).astype(columns[name].dtype)
        for name, value in instead.items()
    }
    unknown = {"features": np.zeros_like(columns["features"])}  # those of another question
    return {**columns, **changed, **unknown}
