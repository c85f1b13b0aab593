"""Wide: "a linear logistic regression model widely used in large-scale search systems" (Table 2).

"User profiles, item features and rich cross-product feature transformations are the model input",
learnt with FTRL. It is the paper's predecessor online (Section 6.5): what it knows of somebody's
past is the last few items that were clicked, crossed with the candidate; counts and recencies of
the whole history, which the network's ranking features hold, are not item features, and `history`
says whether they are given all the same.

Features are hashed into one table. A batch is that of the network, so both see the same moments.
"""

from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from features import ranking
from training.batch import Batch
from training.peers.config import WideConfig
from training.peers.ftrl import ABSENT, Ftrl

Ints = NDArray[np.int64]
WORDS = 8
"""Query words that are crossed; later ones are left out."""
CLICKS = 3
"""Last clicks that are crossed."""
BINS = 10
"""Bins a unit of a ranking feature, whose values are of order one."""
WIDEST_BIN = 40
"""Bins beyond this many units on either side are one."""
ITEM_SIDE = (*ranking.ITEM_NAMES[1:], "query_relevance")
"""Ranking features that need nobody's history."""
HISTORY = ranking.USER_NAMES[:-1]
"""Those that do."""


@dataclass
class Wide:
    """Probability of a click from a batch of the network."""

    config: WideConfig
    model: Ftrl

    @classmethod
    def new(cls, config: WideConfig) -> "Wide":
        """Nothing learnt yet."""
        return cls(config, Ftrl.new(1 << config.bits, config))

    @classmethod
    def load(cls, archive: bytes, config: WideConfig) -> "Wide":
        """What `saved` wrote."""
        return cls(config, Ftrl.load(archive, config))

    def saved(self) -> bytes:
        """All that is learnt."""
        return self.model.saved()

    def learn(self, batch: Batch) -> float:
        """One step on the clicks of a batch; its mean log loss before the step."""
        rows = coordinates(batch, self.config)
        return self.model.learn(rows, batch.cand_clicked_C.numpy().astype(np.float64))

    def logits(self, batch: Batch) -> NDArray[np.float64]:
        """One a candidate."""
        return self.model.logits(coordinates(batch, self.config))


def coordinates(batch: Batch, config: WideConfig) -> NDArray[np.int32]:
    """(candidates, features): hashed feature numbers, `ABSENT` where a part is missing."""
    sheet = _Sheet(config.bits)
    moment = batch.cand_moment_C.numpy()
    item = _Attributes.of(batch, batch.cand_C.numpy())
    binned = _binned(batch, (*ITEM_SIDE, *(HISTORY if config.history else ())))
    level = binned[ITEM_SIDE.index("price_level")]
    sheet.add(np.ones((len(moment), 1), np.int64))
    for attribute in (item.item, item.brand, item.shop, item.category, item.tags, *binned):
        sheet.add(attribute)
    for field in batch.profile_BP.numpy().T:
        mine = field[moment][:, None]
        sheet.add(mine)
        for other in (item.category, item.brand, item.tags, level):
            sheet.cross(mine, other)
    for word in batch.query_BQ.numpy()[:, :WORDS].T:
        mine = word[moment][:, None]
        for place, other in enumerate((item.category, item.brand, item.tags)):
            sheet.cross(mine, other, slot=-1 - place)  # of every word: order does not matter
    for clicked in _last_clicks(batch):
        past = _Attributes.of(batch, clicked[moment])
        for one, other in zip(past.crossed, item.crossed, strict=True):
            sheet.cross(one, other)
        sheet.cross(past.category, level)
    return sheet.rows()


@dataclass(frozen=True)
class _Attributes:
    """Of some positions in `batch.items`; (rows, 1), tags (rows, G)."""

    item: Ints
    brand: Ints
    shop: Ints
    category: Ints
    tags: Ints

    @classmethod
    def of(cls, batch: Batch, places: Ints) -> "_Attributes":
        items = batch.items

        def of(values: Tensor) -> Ints:
            return values.numpy()[places][:, None]

        return cls(
            item=of(items.item_U),
            brand=of(items.brand_U),
            shop=of(items.shop_U),
            category=of(items.category_U),
            tags=items.tags_UG.numpy()[places],
        )

    @property
    def crossed(self) -> tuple[Ints, ...]:
        """What is crossed with itself of another item."""
        return self.item, self.shop, self.brand, self.category


class _Sheet:
    """Columns of hashed features; every kind of feature has a slot of its own."""

    def __init__(self, bits: int) -> None:
        self._bits = np.uint64(64 - bits)
        self._slots = count(1)
        self._columns: list[NDArray[np.int32]] = []

    def add(self, values: Ints) -> None:
        """(rows, k): k values of one kind; 0 is absent."""
        self.cross(np.ones((len(values), 1), np.int64), values)

    def cross(self, left: Ints, right: Ints, slot: int | None = None) -> None:
        """(rows, 1) with (rows, k): all k pairs."""
        kind = next(self._slots) if slot is None else slot
        key = ((left.astype(np.uint64) << np.uint64(32)) | right.astype(np.uint64)) + np.uint64(
            (kind * 0x632BE59BD9B4E019) % 2**64
        )
        place = (_mixed(key) >> self._bits).astype(np.int32)
        there = (left > 0) & (right > 0)
        self._columns.append(np.where(there, np.maximum(place, 1), ABSENT).astype(np.int32))

    def rows(self) -> NDArray[np.int32]:
        return np.concatenate(self._columns, axis=1)


def _binned(batch: Batch, names: tuple[str, ...]) -> list[Ints]:
    """Bins of ranking features, from 1 on."""
    given = batch.cand_features_CF.numpy()
    half = WIDEST_BIN // 2
    return [
        np.clip(np.floor(given[:, [ranking.NAMES.index(name)]] * BINS), -half, half).astype(
            np.int64
        )
        + half
        + 1
        for name in names
    ]


def _last_clicks(batch: Batch) -> list[Ints]:
    """Positions in `batch.items` of each moment's last clicks, newest first; 0: there is none."""
    seq, clicked = batch.seq_BT.numpy(), batch.type_BT.numpy() == 1
    if not seq.shape[1]:
        return [np.zeros(len(seq), np.int64)] * CLICKS
    from_end = np.cumsum(clicked[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(len(seq))
    found = []
    for rank in range(1, CLICKS + 1):
        hit = clicked & (from_end == rank)
        found.append(np.where(hit.any(axis=1), seq[rows, hit.argmax(axis=1)], 0))
    return found


def _mixed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Two rounds of multiply and shift: neighbouring keys, unrelated places."""
    key = (key ^ (key >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return (key ^ (key >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
