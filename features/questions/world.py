"""What samples are made from: the settings, what all users share, and one bucket's moments."""

from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features import catalog as catalogs
from features import ranking, vocabulary
from features.carry import ONE_DAY, yesterday
from features.catalog import CatalogArrays
from features.items import statistics
from features.items.statistics import Statistics
from features.price import dearness
from features.property import LocalClock
from features.questions.moments import Moments
from features.questions.negatives import Pool
from features.questions.offers import Offers
from features.questions.relevance import Titles
from features.schemas import BehaviorType
from features.timeline import Codes, Spans, Timeline
from features.vocabulary import Vocabulary
from infra.config import Config, incompatible
from infra.store import Store

_REMEMBERED = 8
"""Arrays of ids whose rows are kept at hand."""


class SamplesConfig(Config):
    """Which questions are asked, and of what weight the answers are."""

    negatives: Literal["same-day", "uniform", "popularity", "mimn"] = "same-day"
    """Protocol of derived moments. `mimn`: as many negatives as positives, one uniform draw for
    each click (MIMN's own samples take only the last click of each user)."""

    any_category: int = Field(5, ge=0)
    """Negatives of a derived moment from any category."""
    same_category: int = Field(4, ge=0)
    """Negatives of a derived moment from the positive's category (`same-day` only)."""
    shop_negatives: int = Field(4, ge=1)
    """SPP: shops drawn by popularity for each preferred one."""

    weight_none: float = Field(1.0, ge=0, le=1e6)
    """n_i of equation (9) where nothing happened; below, by the strongest action."""
    weight_click: float = Field(1.0, ge=0, le=1e6)
    """Clicked."""
    weight_bookmark: float = Field(2.0, ge=0, le=1e6)
    """Bookmarked."""
    weight_cart: float = Field(3.0, ge=0, le=1e6)
    """Put in the cart."""
    weight_purchase: float = Field(5.0, ge=0, le=1e6)
    """Bought."""

    weight_of_price: float = Field(0.0, ge=0, le=3)
    """Where sales count more than orders: n_i of carts and purchases is multiplied by e^this at
    the dearest price level, by e^-this at the cheapest, and the exponent is even between
    (docs/adr/0020)."""

    price_offers: bool = False
    """What is on offer for a query, as shares of the price levels, stands in the samples, for
    networks with `model.price_offers` (docs/adr/0022)."""

    @model_validator(mode="after")
    def _something_is_asked(self) -> "SamplesConfig":
        drawn = self.any_category + self.same_category * (self.negatives == "same-day")
        if not drawn and self.negatives != "mimn":
            raise incompatible(
                "samples.any_category leaves derived moments without negatives: set it to 1 or "
                'more, or samples.same_category with samples.negatives = "same-day"'
            )
        if not self.weights.any():
            raise incompatible(
                "samples.weight_none, weight_click, weight_bookmark, weight_cart and "
                "weight_purchase are all 0, so that no rank would be learnt: set one of them"
            )
        return self

    @property
    def weights(self) -> NDArray[np.float32]:
        """n_i by BehaviorType, 0 for none, whatever the price."""
        by_type = (self.weight_click, self.weight_bookmark, self.weight_cart, self.weight_purchase)
        return np.array([self.weight_none, *by_type], np.float32)

    def weigh(self, strongest: NDArray[np.int8], level: NDArray[np.int8]) -> NDArray[np.float32]:
        """n_i of candidates, by their strongest action and price level (0 where unknown)."""
        weight = self.weights[strongest]
        if self.weight_of_price:
            dear = np.exp(self.weight_of_price * dearness(level)).astype(np.float32)
            weight = np.where(strongest >= BehaviorType.CART, weight * dear, weight)
        return weight


@dataclass(frozen=True, kw_only=True)
class World:
    """What a moment of one day may look up; shared by all buckets."""

    catalog: CatalogArrays
    item_table: NDArray[np.float32]
    """`ranking.item_features` with the statistics of the day before."""
    statistics: Statistics
    titles: pa.Array
    """By catalog row."""
    pool: Pool
    token: Vocabulary
    icon: Vocabulary
    clock: LocalClock
    _asked: dict[int, tuple[pa.Array, Codes]] = field(default_factory=dict)

    @cached_property
    def offers(self) -> Offers:
        """Of the statistics of the day before."""
        return Offers.of(self.titles, self.token, self.catalog, self.statistics.item)

    @cached_property
    def title_words(self) -> Titles:
        """Of `titles`."""
        return Titles(self.titles, self.token)

    def rows_of(self, ids: pa.Array) -> Codes:
        """Catalog rows of distinct ids; looked up once for the same array.

        A bucket asks for the items of its timeline several times; threads have a bucket each.
        """
        known = self._asked.get(id(ids))
        if known is None or known[0] is not ids:
            known = (ids, self.catalog.rows_of_distinct(ids))
            for old in list(self._asked)[: 1 - _REMEMBERED]:  # a copy: other threads ask as well
                self._asked.pop(old, None)
            self._asked[id(ids)] = known
        return known[1]


def load(store: Store, day: date, zone: str, pool: pa.Table) -> World:
    """The world of `day`, from its catalog and vocabularies and the statistics of the day before.

    Args:
        store: where they are; a bundle carries a small one of its own.
        day: the moments' own day.
        zone: the data set's time zone.
        pool: schema POOL, of that day; without rows where nobody draws negatives.
    """
    catalog = catalogs.load(store, day)
    before = yesterday(store, "statistics", day, "item")
    known = statistics.load(store, day - ONE_DAY if before else None, catalog)
    return World(
        catalog=catalog,
        item_table=ranking.item_features(catalog, known),
        statistics=known,
        titles=catalogs.load_titles(store, day),
        pool=Pool.of(pool, catalog),
        token=vocabulary.load(store, day, "token"),
        icon=vocabulary.load(store, day, "icon"),
        clock=LocalClock(zone),
    )


@dataclass(frozen=True, kw_only=True)
class Group:
    """Moments of one own day, of one bucket."""

    moments: Moments
    past: Timeline
    """What had arrived by the end of the moments' own day."""
    spans: Spans
    """Histories in `past`."""
    actions: Timeline
    """What has arrived by now: labels come from here."""
    own_day: Timeline
    """Behaviours of the own day that had arrived by its end (SPP)."""
    past_owner: Codes
    """Ascending number of whose row it is in `past`."""
    moment_owner: Codes
    profile: NDArray[np.int32]
    """[moments, profile columns]."""
