"""The predecessor online (Section 6.5): Wide ranks, MaxEnt says the price level.

MaxEnt is the paper's "former online model" of prices; of ranking it names none, and Wide is our
choice, as "widely used in large-scale search systems" (Section 6.1). Pages are ranked by Wide's
click probability, and the price level bought is predicted from the user's price history alone. They
learn from the same samples as the network, and every night: Wide goes on with the new day, MaxEnt
is fitted again to the price questions of all days so far, the newest `evaluate.fit_moments` of
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from evaluation import fitted
from evaluation.history import History
from features import catalog
from features.questions import world as worlds
from features.questions.relevance import TitleIndex
from features.raw.dataset import load as load_dataset
from features.schemas import POOL, PRICE_LEVELS
from features.timeline import Codes
from infra.store import Store
from pipeline.settings import Settings
from serving.moments import Desk, Moments
from serving.pages import AT_ONCE, Scored
from training.data import Position, Reader, Samples
from training.peers.config import WideConfig
from training.peers.wide import Wide
from training.sizes import vocabulary_sizes


def learn(
    store: Store, days: Sequence[date], config: WideConfig, seed: int, wide: Wide | None = None
) -> Wide:
    """Wide after some days of samples.

    Args:
        store: where they are.
        days: learnt together: mixed, `config.epochs` times if it is new, else once.
        config: of a new one.
        seed: of the order.
        wide: what is learnt on; a new one when absent.
    """
    known = Wide.new(config) if wide is None else wide
    samples = Samples(store, days)
    if not samples.moments:
        return known
    reader = Reader(samples, batch_size=config.batch_size, buffer=16_384, seed=seed)
    for epoch in range(config.epochs if wide is None else 1):
        for loaded in reader.epoch(Position(epoch)):
            if len(loaded.batch.cand_C):
                known.learn(loaded.batch)
    return known


def recipe(
    store: Store, days: Sequence[date], config: WideConfig, seed: int, known: str = ""
) -> str:
    """Twelve hex digits that change when anything does that `learn` makes Wide of.

    Args:
        store: where the samples are.
        days: see `learn`.
        config: the same.
        seed: the same.
        known: the recipe of what is learnt on; empty where there is none.
    """
    samples = Samples(store, days)
    return config.decided_by(
        seed=seed,
        known=known,
        samples=" ".join(one.stamp for one in samples.manifests),
        catalog=" ".join(samples.catalog_stamps),
    )


@dataclass(frozen=True)
class Prices:
    """MaxEnt on the price history, or the commonest level where it had too little to learn from.

    Where no day asked a price, every level is as likely as another.
    """

    fit: Pipeline | None
    usual: int | None

    @classmethod
    def on(cls, store: Store, days: Sequence[date], settings: Settings) -> "Prices":
        """Fitted on the newest price questions of some days."""
        levels = catalog.load(store, max(days)).price_level
        config = settings.evaluate
        fit = fitted.max_entropy(store, days, config.fit_moments, levels, config.max_entropy_c)
        return cls(fit, fitted.most_frequent_level(store, days))

    def preference(self, moments: Moments, levels: NDArray[np.int8]) -> NDArray[np.float32]:
        """(moments, 7): probabilities of the price levels.

        Args:
            moments: whose histories are looked at.
            levels: price level by catalog row.
        """
        shares = np.zeros((len(moments), PRICE_LEVELS), np.float32)
        if self.fit is None:
            likely = range(PRICE_LEVELS) if self.usual is None else (self.usual,)
            shares[:, list(likely)] = 1 / len(likely)
            return shares
        history = History(
            moment=np.repeat(np.arange(len(moments)), moments.length),
            item=moments.item.astype(np.int64),
            type=moments.type.astype(np.int64),
            ago=np.repeat(moments.spans.stop, moments.length) - 1 - np.arange(len(moments.item)),
            moments=len(moments),
        )
        shares[:, self.fit.classes_] = self.fit.predict_proba(history.price_levels(levels))
        return shares


class Predecessor:
    """Answers moments from the tables of a day.

    Args:
        wide: ranks.
        prices: says the price level.
        desk: builds the batches.
    """

    def __init__(self, wide: Wide, prices: Prices, desk: Desk) -> None:
        self.wide, self.prices, self.desk = wide, prices, desk

    def __call__(self, moments: Moments, candidates: Codes) -> Scored:
        """See `page_rankers.Answer`; the ranking score is the logit of the click."""
        scores = np.empty(candidates.shape, np.float32)
        for start in range(0, len(moments), AT_ONCE):  # blocks of moments
            rows = np.arange(start, min(start + AT_ONCE, len(moments)))
            batch = self.desk.pages(moments.take(rows), candidates[rows]).batch
            scores[rows] = self.wide.logits(batch).reshape(len(rows), -1)
        levels = self.desk.world.catalog.price_level
        return Scored(
            ctr=(1 / (1 + np.exp(-scores))).astype(np.float32),
            l2r=scores,
            price_preference=self.prices.preference(moments, levels),
        )


def desk(settings: Settings, day: date) -> Desk:
    """Tables of a day, as a bundle of that day has them."""
    store, zone = settings.store, load_dataset(settings.dataset).time_zone
    world = worlds.load(store, day, zone, POOL.empty_table())
    return Desk(world, TitleIndex.of(world.titles, world.token), vocabulary_sizes(store, day))
