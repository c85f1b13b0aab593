"""Simple answers to the same questions: what a model must beat to have learnt anything.

Item-side figures are those of the day before the moment's; recency and "seen before" come from
the moment's own history; what is fitted (logistic regressions, icon rates) sees training days
only. The MaxEnt price model is the paper's comparison online (Section 6.5, Table 3, Figure 10).
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from evaluation import fitted
from evaluation.history import History
from evaluation.metrics import AnyArray, Floats
from evaluation.questions import COLUMNS, Questions, from_samples, matrix, tables
from evaluation.settings import EvaluateConfig
from features import ranking
from features.catalog import CatalogArrays
from infra.store import Store
from training.ancestry import Part

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Yardstick:
    """Scores beside the questions of the named measures; for PPP the said level, 0-based."""

    name: str
    title: str
    measures: tuple[str, ...]
    scores: AnyArray


@dataclass(frozen=True)
class Kind:
    """A yardstick before it is computed."""

    title: str
    measures: tuple[str, ...]


MAX_ENTROPY = "max_entropy"
"""The yardstick whose price levels Figure 10 sets beside the model's."""
CLICKS = ("ctr_auc",)
RANKS = ("l2r_auc", "l2r_weighted_auc", "l2r_purchase_auc")
KINDS = {
    "popularity": Kind("popularity (clicks so far)", (*CLICKS, *RANKS)),
    "sales": Kind("sales volume", RANKS),
    "historical_ctr": Kind("smoothed historical CTR", CLICKS),
    "seen_before": Kind("seen before", CLICKS),
    "category_recency": Kind("category recency", CLICKS),
    "lr_ctr": Kind("LR-CTR", (*CLICKS, *RANKS)),
    "logistic_regression": Kind("logistic regression on ranking features", (*CLICKS, *RANKS)),
    MAX_ENTROPY: Kind("MaxEnt on the price history", ("ppp_precision",)),
    "most_frequent_level": Kind("most frequent level", ("ppp_precision",)),
    "last_level": Kind("level of the last behaviour", ("ppp_precision",)),
    "icon_popularity": Kind("icon popularity", ("fifp_auc",)),
}
FEATURES = {
    "popularity": "popularity",
    "sales": "sales_volume",
    "historical_ctr": "item_ctr",
    "lr_ctr": "lr_ctr",
}
"""Yardsticks that are a ranking feature as it stands: point in time by construction."""
READ = (*COLUMNS, "seq_type", "cand_features")


@dataclass(frozen=True)
class Learnt:
    """What was fitted on the training days."""

    ranking: "Pipeline | None"
    max_entropy: "Pipeline | None"
    level: int | None
    icons: Floats

    @classmethod
    def on(
        cls, store: Store, days: Sequence[date], catalog: CatalogArrays, config: EvaluateConfig
    ) -> "Learnt":
        """Fitted on samples of `days`."""
        return cls(
            ranking=fitted.ranking(store, days, config.fit_moments),
            max_entropy=fitted.max_entropy(
                store, days, config.fit_moments, catalog.price_level, config.max_entropy_c
            ),
            level=fitted.most_frequent_level(store, days),
            icons=fitted.icon_rates(store, days, config.smoothing),
        )


def compute(
    store: Store,
    day: date,
    training_days: Sequence[date],
    catalog: CatalogArrays,
    config: EvaluateConfig,
    some: Part | None = None,
) -> list[Yardstick]:
    """Every yardstick that the day and the training days allow, in the order of KINDS.

    One that says the same of every question knows nothing here (a log without pages has no
    click-through rate) and is left out; the report says so.

    Args:
        store: where the samples are.
        day: the evaluation day.
        training_days: days whose samples the model learnt from.
        catalog: of the evaluation day.
        config: bounds of the fits.
        some: which of the day's users asked; all when absent.
    """
    learnt = Learnt.on(store, training_days, catalog, config)
    parts: dict[str, list[AnyArray]] = defaultdict(list)
    for table in tables(store, day, READ, some):
        answers = Answering(table, catalog, learnt)
        for name, scores in answers.all():
            parts[name].append(scores)
    whole = {name: np.concatenate(parts[name]) for name in KINDS if name in parts}
    return [
        Yardstick(name, KINDS[name].title, KINDS[name].measures, scores)
        for name, scores in whole.items()
        if knows_something(name, scores)
    ]


def knows_something(name: str, scores: AnyArray) -> bool:
    """Whether it tells questions apart; one level for all is what `most_frequent_level` is."""
    return name == "most_frequent_level" or (len(scores) > 0 and bool(np.ptp(scores) > 0))


def absent(found: Sequence[Yardstick]) -> list[str]:
    """Titles of the yardsticks that this log does not allow."""
    names = {one.name for one in found}
    return [kind.title for name, kind in KINDS.items() if name not in names]


@dataclass
class Answering:
    """The yardsticks' answers for one file of samples."""

    table: pa.Table
    catalog: CatalogArrays
    learnt: Learnt

    def all(self) -> Iterator[tuple[str, AnyArray]]:
        """Name and scores of each."""
        yield from self._of_features()
        yield from self._of_history()
        yield from self._of_prices()
        icon = self.questions.icons.icon
        yield "icon_popularity", self.learnt.icons[np.minimum(icon, len(self.learnt.icons) - 1)]

    @cached_property
    def questions(self) -> Questions:
        """What the file asks."""
        return from_samples(self.table)

    @cached_property
    def history(self) -> History:
        """What its moments know."""
        return History.of(self.table)

    def _of_features(self) -> Iterator[tuple[str, AnyArray]]:
        values: AnyArray = matrix(self.table["cand_features"])
        if not values.size:
            values = np.zeros((len(self.questions.candidates.item), len(ranking.NAMES)))
        column = dict(zip(ranking.NAMES, values.T, strict=True))
        for name, feature in FEATURES.items():
            yield name, column[feature]
        if self.learnt.ranking is not None:
            yield "logistic_regression", fitted.probability(self.learnt.ranking, values)

    def _of_history(self) -> Iterator[tuple[str, AnyArray]]:
        asked, history = self.questions.candidates, self.history
        seen = history.recency(history.item, asked.moment, asked.item)
        yield "seen_before", (seen > 0).astype(np.float64)
        category = np.where(self.catalog.category > 1, self.catalog.category, -1)
        of = category[np.minimum(history.item, len(category) - 1)]
        wanted = category[np.minimum(asked.item, len(category) - 1)]
        yield "category_recency", history.recency(of, asked.moment, wanted)

    def _of_prices(self) -> Iterator[tuple[str, AnyArray]]:
        moment = self.questions.prices.moment
        shares = self.history.price_levels(self.catalog.price_level)[moment]
        if self.learnt.max_entropy is not None:
            yield MAX_ENTROPY, fitted.said(self.learnt.max_entropy, shares)
        if self.learnt.level is None:  # nothing to say where no behaviour has a level, either
            return
        yield "most_frequent_level", np.full(len(moment), self.learnt.level)
        last = shares[:, -7:]
        known = last.sum(1) > 0
        yield "last_level", np.where(known, last.argmax(1), self.learnt.level)
