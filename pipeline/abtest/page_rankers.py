"""Real rankers behind the marketplace's protocol: what a page asks, in the rows that a model knows.

`evaluation.marketplace` says what it needs of a ranker, `serving` answers many moments at once, and
they never meet; here they are introduced. A ranker sees what the service sees: the user's id and
profile, the words of the query, the candidates, yesterday's `sequences` and whatever its users have
done today up to this very page.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluation.marketplace import words
from evaluation.marketplace.play import Carried, Marketplace
from evaluation.marketplace.policies import Actions, Ranked, Requests
from evaluation.marketplace.world import World as Place
from features.buckets import hash_ids
from features.catalog import lookup
from features.profiles import by_name
from features.questions.world import World
from features.timeline import Codes
from serving.crowd import Behaviors, Crowd
from serving.moments import Moments, query_tokens
from serving.pages import Scored
from serving.snapshot import Snapshot

Answer = Callable[[Moments, Codes], Scored]
"""Moments and their candidates (catalog rows; negative: none) -> scores."""


@dataclass(frozen=True)
class Audience:
    """What all rankers of a day know of it: who may come, what is on sale, what was done before."""

    place: Place
    people: NDArray[np.uint64]
    """Hash of each user number's id."""
    items: NDArray[np.uint64]
    """The same of items."""
    snapshot: Snapshot
    """Histories and profiles at the end of the day before."""

    @classmethod
    def of(cls, market: Marketplace, carried: Carried, known: Snapshot) -> "Audience":
        """Of the day after `carried`."""
        place = market.world
        count = len(place.items(carried.day + 1))
        return cls(place, _hashes("u", place.config.users), _hashes("i", count), known)


class PageArm:
    """A model that ranks one arm's pages of one day.

    Args:
        audience: of the day.
        world: the tables that the model reads.
        answer: the model.
        columns: of the profiles that it knows, in its order; the snapshot's, if absent.
    """

    def __init__(
        self,
        audience: Audience,
        world: World,
        answer: Answer,
        columns: Sequence[str] | None = None,
    ) -> None:
        self.place = audience.place
        self.world = world
        self.answer = answer
        self.rows = self._rows_of(audience.items)
        self.crowd = Crowd(audience.snapshot, audience.people, self._rows_of)
        known = audience.snapshot.columns
        self.profiles = by_name(self.crowd.profiles, known, known if columns is None else columns)

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        """By L2R (`serving.pages`); what it explores is for `arms.Exploring`."""
        del rng
        candidates = np.where(requests.candidates < 0, -1, self.rows[requests.candidates])
        scored = self.answer(self._moments(requests), candidates)
        return Ranked(
            score=scored.l2r,
            sober=scored.l2r,
            ctr=scored.ctr,
            l2r=scored.l2r,
            price_level=scored.price_level,
            level=self.world.catalog.price_level[np.maximum(candidates, 0)],
        )

    def observe(self, actions: Actions) -> None:
        """The very next page of these users rests on it."""
        self.crowd.add(
            Behaviors(
                user=actions.user.astype(np.int32),
                item=self.rows[actions.item],
                ts=actions.ts,
                type=actions.type,
                scenario=actions.scenario,
            )
        )

    def _moments(self, requests: Requests) -> Moments:
        user = requests.user.astype(np.int32)
        length, past = self.crowd.before(user, requests.ts)
        texts = words.query_text(self.place, requests.queries).to_arrow().cast(pa.string())
        return Moments(
            ts=requests.ts,
            length=length,
            item=past.item,
            behaved=past.ts,
            type=past.type,
            scenario=past.scenario,
            query=query_tokens(texts, self.world.token),
            profile=self.profiles[user],
        )

    def _rows_of(self, hashes: NDArray[np.uint64]) -> Codes:
        return lookup(hashes, self.world.catalog.hashes, self.world.catalog.rows)


def _hashes(letter: str, count: int) -> NDArray[np.uint64]:
    return hash_ids(words.ids(letter, 7, np.arange(count)).to_arrow().cast(pa.string()))
