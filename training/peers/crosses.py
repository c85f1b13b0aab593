"""Features of Wide (Section 6.1): user profiles, item features and cross-product transformations.

What Wide knows of somebody's past is the last few items that were clicked, crossed with what is
asked about; counts and recencies of the whole history are no item features. L2R gets them all the
same: the ranking features r_i of equation (9) belong to that task, whoever learns it. A price level
is a tag of an item, so the tags of the last clicks tell at which levels somebody looks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from features import ranking
from features.schemas import PRICE_LEVELS, BehaviorType
from training.batch import Batch
from training.config import Task
from training.peers.config import WideConfig
from training.peers.sheet import Coordinates, Ints, Sheet

WORDS = 8
"""Query words that are crossed; later ones are left out."""
CLICKS = 3
"""Last clicks that are crossed."""
BINS = 10
"""Bins a unit of a ranking feature, whose values are of order one."""
WIDEST_BIN = 40
"""Bins on both sides of zero together: what is beyond two units is in the outermost one."""
LEVEL = "price_level"
"""The ranking feature that is crossed; networks see it among an item's tags."""
ITEM_SIDE = (*(name for name in ranking.ITEM_NAMES if name != "bias"), "query_relevance")
"""Ranking features that need nobody's history."""
HISTORY = tuple(name for name in ranking.USER_NAMES if name != "query_relevance")
"""Those that do."""


def of_clicks(batch: Batch, config: WideConfig) -> Coordinates:
    """CTR: (candidates, features)."""
    item = ITEM_SIDE if config.statistics else (LEVEL,)
    return _of_candidates(batch, config, item + (HISTORY if config.history else ()))


def of_ranking(batch: Batch, config: WideConfig) -> Coordinates:
    """L2R: the same, and all ranking features."""
    return _of_candidates(batch, config, ITEM_SIDE + HISTORY)


def of_prices(batch: Batch, config: WideConfig) -> Coordinates:
    """PPP: (price questions, levels, features); every feature has a weight for each level."""
    sheet = Sheet(config.bits)
    moment = batch.price_moment_K.numpy()
    clicked = [Attributes.of(batch, past[moment]) for past in last_clicks(batch)]
    sheet.add(_always(moment))
    for past in clicked:
        for attribute in (past.category, past.brand, past.shop, past.tags):
            sheet.add(attribute)
    for word in batch.query_BQ.numpy()[:, :WORDS].T:
        sheet.cross(_always(moment), word[moment][:, None], slot=-1)
    for field in batch.profile_BP.numpy().T:
        mine = field[moment][:, None]
        sheet.add(mine)
        sheet.cross(mine, clicked[0].category)
    return sheet.rows_by_class(PRICE_LEVELS)


def of_icons(batch: Batch, config: WideConfig) -> Coordinates:
    """FIFP: (icons shown, features)."""
    sheet = Sheet(config.bits)
    moment, icon = batch.icon_moment_I.numpy(), batch.icon_I.numpy()[:, None]
    sheet.add(_always(moment))
    sheet.add(icon)
    _profile_with(sheet, batch, moment, icon)
    for clicked in last_clicks(batch):
        past = Attributes.of(batch, clicked[moment])
        for attribute in (past.category, past.shop, past.brand):
            sheet.cross(attribute, icon)
    return sheet.rows()


def of_shops(batch: Batch, config: WideConfig) -> Coordinates:
    """SPP: (shops asked, features)."""
    sheet = Sheet(config.bits)
    moment, shop = batch.shop_moment_S.numpy(), batch.shop_S.numpy()[:, None]
    sheet.add(_always(moment))
    sheet.add(shop)
    _profile_with(sheet, batch, moment, shop)
    for clicked in last_clicks(batch):
        past = Attributes.of(batch, clicked[moment])
        sheet.add((past.shop == shop).astype(np.int64))
        for attribute in (past.category, past.shop, past.brand):
            sheet.cross(attribute, shop)
    return sheet.rows()


OF_TASK: dict[Task, Callable[[Batch, WideConfig], Coordinates]] = {
    Task.CTR: of_clicks,
    Task.L2R: of_ranking,
    Task.PPP: of_prices,
    Task.FIFP: of_icons,
    Task.SPP: of_shops,
}
"""Coordinates of each task's questions; the batch has to be in the processor's memory."""


@dataclass(frozen=True)
class Attributes:
    """Of some positions in `batch.items`; (rows, 1), tags (rows, G)."""

    item: Ints
    brand: Ints
    shop: Ints
    category: Ints
    tags: Ints

    @classmethod
    def of(cls, batch: Batch, places: Ints) -> "Attributes":
        """Zeros at position 0."""
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


def last_clicks(batch: Batch) -> list[Ints]:
    """Positions in `batch.items` of each moment's last clicks, newest first; 0: there is none."""
    seq, clicked = batch.seq_BT.numpy(), batch.type_BT.numpy() == BehaviorType.CLICK
    if not seq.shape[1]:
        return [np.zeros(len(seq), np.int64)] * CLICKS
    from_end = np.cumsum(clicked[:, ::-1], axis=1)[:, ::-1]
    rows = np.arange(len(seq))
    found = []
    for rank in range(1, CLICKS + 1):
        hit = clicked & (from_end == rank)
        found.append(np.where(hit.any(axis=1), seq[rows, hit.argmax(axis=1)], 0))
    return found


def _of_candidates(batch: Batch, config: WideConfig, features: tuple[str, ...]) -> Coordinates:
    sheet = Sheet(config.bits)
    moment = batch.cand_moment_C.numpy()
    item = Attributes.of(batch, batch.cand_C.numpy())
    binned = _binned(batch, features)
    level = binned[features.index(LEVEL)]
    sheet.add(_always(moment))
    for attribute in (item.item, item.brand, item.shop, item.category, item.tags, *binned):
        sheet.add(attribute)
    _profile_with(sheet, batch, moment, item.category, item.brand, item.tags, level)
    for word in batch.query_BQ.numpy()[:, :WORDS].T:
        mine = word[moment][:, None]
        for place, other in enumerate((item.category, item.brand, item.tags)):
            sheet.cross(mine, other, slot=-1 - place)  # of every word: order does not matter
    for clicked in last_clicks(batch):
        past = Attributes.of(batch, clicked[moment])
        for one, other in zip(past.crossed, item.crossed, strict=True):
            sheet.cross(one, other)
        sheet.cross(past.category, level)
    return sheet.rows()


def _profile_with(sheet: Sheet, batch: Batch, moment: Ints, *others: Ints) -> None:
    """The profile's fields, alone and with each of `others`."""
    for field in batch.profile_BP.numpy().T:
        mine = field[moment][:, None]
        sheet.add(mine)
        for other in others:
            sheet.cross(mine, other)


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


def _always(moment: Ints) -> Ints:
    """The constant, a row a question."""
    return np.ones((len(moment), 1), np.int64)
