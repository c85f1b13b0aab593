"""Asks a network where it looks: the attention on every behaviour, under any query.

A query is put in the place of a moment's own; user, history and clock stay the moment's, so what
changes is the query alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property

import numpy as np
import torch

from evaluation.metrics import AnyArray, Floats
from evaluation.predict import answering
from evaluation.settings import EvaluateConfig
from evaluation.studies.attention import Example, Weights
from evaluation.studies.histories import Histories, most_varied, others, plurality
from features.schemas import UNKNOWN_ROW
from infra.store import Store
from training.collate import collate, known
from training.model.network import Network
from training.moments import Gathered, Lists
from training.peers.held import Held

QUERIES = 4
"""Rows of Figure 8."""
FEWEST_IN_EXAMPLE = 20
"""Behaviours of its history."""
UNNAMED = "?"


@dataclass(frozen=True)
class Named:
    """What rows of the vocabularies are called in the log, by row."""

    words: Mapping[int, str]
    categories: Mapping[int, str]

    @classmethod
    def of(cls, store: Store, day: date) -> "Named":
        """As they are known on a day."""
        return cls(_ids(store, day, "token"), _ids(store, day, "category"))


class Asked:
    """The moments of the asked days that have a query and a history.

    Args:
        learnt: the days from which a query's category is known.
        asked: the days that are asked.
    """

    def __init__(self, learnt: Held, asked: Held) -> None:
        self.learnt, self.held = learnt, asked
        moments = asked.moments
        self.rows = np.flatnonzero((moments.query.lengths > 0) & (moments.sequence.lengths > 0))

    @cached_property
    def histories(self) -> Histories:
        """Their behaviours, flat."""
        moments = self.held.moments
        sequence = moments.sequence.gather(self.rows)
        owner, category = sequence.owner, _categories(self.held, self.rows, sequence)
        moment, clicked = _clicked(self.held, self.rows)
        width = int(max(category.max(initial=0), clicked.max(initial=0))) + 1
        return Histories(
            user=moments.user_hash[self.rows],
            length=sequence.lengths,
            wanted=self.wanted,
            clicks=np.bincount(moment, minlength=len(self.rows)) > 0,
            kind=sequence.flat("type").astype(np.int64),
            gap=sequence.flat("gap").astype(np.int64),
            category=category,
            clicked=np.isin(owner * width + category, moment * width + clicked),
        )

    @cached_property
    def wanted(self) -> AnyArray:
        """Category of each moment's query: of most clicks after the same words on learnt days.

        0 where there was none, or a word is unknown.
        """
        learnt = self.learnt.moments
        typed = np.flatnonzero(learnt.query.lengths > 0)
        before, now = _words(learnt.query, typed), _words(self.held.moments.query, self.rows)
        width = max(before.shape[1], now.shape[1])
        both = np.concatenate([_wide(before, width), _wide(now, width)])
        code = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
        moment, category = _clicked(self.learnt, typed)
        found = plurality(code[moment], category, int(code.max(initial=-1)) + 1)
        unknown = (now == UNKNOWN_ROW).any(axis=1)
        return np.where(unknown, 0, found[code[len(typed) :]])

    def weights(self, network: Network, config: EvaluateConfig) -> Weights:
        """Under each moment's query, and under another user's."""
        donor = self.rows[others(self.held.moments.user_hash[self.rows], config.seed)]
        size = config.batch_size
        return Weights(
            own=self.attention(network, self.rows, self.rows, size),
            shuffled=self.attention(network, self.rows, donor, size),
        )

    def attention(self, network: Network, rows: AnyArray, queries: AnyArray, size: int) -> Floats:
        """The weight of every behaviour of `rows`, one moment after the other.

        Args:
            network: on any device.
            rows: of the held moments; one may stand there several times.
            queries: moments whose query is put in, one a row.
            size: moments at a time.
        """
        parts = [np.empty(0, np.float64)]
        with answering(network):
            parts += list(self._attention(network, rows, queries, size))
        return np.concatenate(parts)

    def _attention(
        self, network: Network, rows: AnyArray, queries: AnyArray, size: int
    ) -> Iterator[Floats]:
        device = str(next(iter(network.parameters())).device)
        held, query = self.held, self.held.moments.query
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            batch = collate(held.moments, part, held.catalogs, held.sizes)
            tokens = _words(query, queries[start : start + size])
            put_in = torch.from_numpy(known(tokens, held.sizes.token).astype(np.int64))
            weight = network(replace(batch, query_BQ=put_in).to(device)).attention_BT.cpu()
            real = torch.arange(weight.shape[1]) < batch.length_B[:, None]
            yield weight[real].double().numpy()

    def example(self, network: Network, names: Named) -> Example | None:
        """One user under the most typed query of each of their four most frequent categories."""
        found = self.histories
        typed, row = self._most_typed()
        chosen = most_varied(found, typed, QUERIES, FEWEST_IN_EXAMPLE)
        if chosen is None:
            return None
        order = np.argsort(typed)
        queries = row[order[np.searchsorted(typed, chosen.categories, sorter=order)]]
        rows = np.full(QUERIES, self.rows[chosen.moment])
        weights = self.attention(network, rows, queries, QUERIES).reshape(QUERIES, -1)
        category = found.category[found.owner == chosen.moment]
        same = category[:, None] == chosen.categories
        place = np.where(same.any(axis=1), same.argmax(axis=1), -1)
        words = [row[row > 0] for row in _words(self.held.moments.query, queries)]
        return Example(
            user=f"{int(found.user[chosen.moment]):016x}",
            queries=tuple(" ".join(names.words.get(int(w), UNNAMED) for w in one) for one in words),
            categories=tuple(names.categories.get(int(c), UNNAMED) for c in chosen.categories),
            place=tuple(place.tolist()),
            weights=tuple(tuple(row) for row in weights.round(6).tolist()),
        )

    def _most_typed(self) -> tuple[AnyArray, AnyArray]:
        """Categories that queries are known by, and a moment with the most typed query of each.

        Of equally frequent queries the first in order of words.
        """
        at = np.flatnonzero(self.wanted > 0)
        words = _words(self.held.moments.query, self.rows[at])
        _, first, count = np.unique(words, axis=0, return_index=True, return_counts=True)
        category = self.wanted[at[first]]
        order = np.lexsort((np.arange(len(first)), -count, category))
        categories, place = np.unique(category[order], return_index=True)
        return categories, self.rows[at[first[order[place]]]]


def _ids(store: Store, day: date, feature: str) -> Mapping[int, str]:
    table = store.partition("vocabulary", day, feature).require().table(["id", "row"])
    return dict(zip(table["row"].to_pylist(), table["id"].to_pylist(), strict=True))


def _words(query: Lists, rows: AnyArray) -> AnyArray:
    """Token rows of queries, zeros on the right."""
    found = query.gather(rows)
    return found.padded(found.flat("row"), int(found.lengths.max(initial=0)))


def _wide(table: AnyArray, width: int) -> AnyArray:
    return np.pad(table, ((0, 0), (0, width - table.shape[1])))


def _clicked(held: Held, rows: AnyArray) -> tuple[AnyArray, AnyArray]:
    """Of everything clicked at some moments: the moment's place in `rows`, and the category."""
    shown = held.moments.candidates.gather(rows)
    category = _categories(held, rows, shown)
    keep = (shown.flat("clicked") > 0) & (category > UNKNOWN_ROW)
    return shown.owner[keep], category[keep]


def _categories(held: Held, rows: AnyArray, lists: Gathered) -> AnyArray:
    """Category of every item in some lists, by the catalog of its moment's day."""
    item, day = lists.flat("item"), held.moments.day[rows][lists.owner]
    found = np.zeros(len(item), np.int64)
    for index, catalog in enumerate(held.catalogs):  # a few days, not rows
        mine = day == index
        found[mine] = catalog.category[item[mine]]
    return found
