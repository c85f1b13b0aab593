"""How well the truth itself orders the same questions: the most that any model could reach.

Only a simulated log has a `truth/` (its schema stands in `evaluation.marketplace.logs`). Moments
whose window closed on D may have begun on D - 1, so both days are read. A question whose item or
icon has no row of its own cannot be told apart from its like, and counts as unknown (NaN).

Beside the ceiling stands the *visible* one: the same probabilities for someone who knows all but
needs that were born with the page and not put into words, which no history can show. These are
guessed once and not averaged over (`evaluation.marketplace.logs`), so it is no bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluation.metrics import AnyArray, Floats, Ints
from evaluation.questions import Questions
from features import vocabulary
from features.catalog import FIRST_ROW, CatalogArrays
from features.questions.moments import requests_of
from features.schemas import PRICE_LEVELS
from infra.store import Store

PAGE_COLUMNS = ("p_click", "p_purchase", "p_click_seen")


@dataclass(frozen=True)
class Truth:
    """Scores of the truth by measure, one per question; NaN where it is not known."""

    best: Mapping[str, AnyArray] = field(default_factory=dict)
    visible: Mapping[str, AnyArray] = field(default_factory=dict)


def scores(store: Store, day: date, questions: Questions, items: CatalogArrays) -> Truth:
    """The truth of the day's questions; empty where the log is real and nobody knows it.

    Args:
        store: where `truth/` may be.
        day: the evaluation day.
        questions: of that day.
        items: the catalog that the questions' rows belong to.
    """
    pages, follows = _table(store, day, "pages"), _table(store, day, "follows")
    best: dict[str, AnyArray] = {}
    visible: dict[str, AnyArray] = {}
    if pages is not None:
        page = _Pages.of(pages, questions, items)
        click = page.of_candidates(questions, page.values["p_click"])
        best |= {"ctr_auc": click, "l2r_auc": click}
        best["l2r_purchase_auc"] = page.of_candidates(questions, page.values["p_purchase"])
        best["ppp_precision"] = page.likeliest_level(questions, items.price_level)
        seen = page.of_candidates(questions, page.values["p_click_seen"])
        visible |= {"ctr_auc": seen, "l2r_auc": seen}
    if follows is not None:
        icons = vocabulary.load(store, day, "icon").rows_of(follows["icon_id"])
        best["fifp_auc"] = _of_icons(follows, questions, icons)
    return Truth(best, visible)


@dataclass(frozen=True)
class _Pages:
    """Shown items of the pages that were asked, flat: the moment each belongs to and its row."""

    moment: Ints
    item: NDArray[np.int32]
    values: Mapping[str, Floats]

    @classmethod
    def of(cls, pages: pa.Table, questions: Questions, items: CatalogArrays) -> "_Pages":
        asked = requests_of(pa.array(questions.moments.sample_id, pa.string()))
        moment = _places(pages["request_id"], asked)
        pages = pages.filter(pa.array(moment >= 0))  # before they are flattened: a day has many
        lengths = pc.list_value_length(pages["item_ids"]).to_numpy()
        return cls(
            moment=np.repeat(moment[moment >= 0], lengths),
            item=items.rows_of(pc.list_flatten(pages["item_ids"])),
            values={
                name: pc.list_flatten(pages[name]).to_numpy().astype(np.float64)
                for name in PAGE_COLUMNS
            },
        )

    def of_candidates(self, questions: Questions, value: Floats) -> Floats:
        """The value of every candidate."""
        asked = questions.candidates
        return _joined((self.moment, self.item, value), (asked.moment, asked.item))

    def likeliest_level(self, questions: Questions, level_of: AnyArray) -> Floats:
        """Per PPP question, the level (0-based) that holds most of the page's purchase chance."""
        level = level_of[np.minimum(self.item, len(level_of) - 1)].astype(np.int64)
        usable = np.flatnonzero(level > 0)
        cell = self.moment[usable] * PRICE_LEVELS + level[usable] - 1
        size = len(questions.moments.user) * PRICE_LEVELS
        chance = np.bincount(cell, self.values["p_purchase"][usable], minlength=size)
        mine = chance.reshape(-1, PRICE_LEVELS)[questions.prices.moment]
        return np.where(mine.sum(1) > 0, mine.argmax(1), np.nan)


def _of_icons(follows: pa.Table, questions: Questions, icons: NDArray[np.int32]) -> Floats:
    ts = follows["ts"].cast(pa.int64()).cast(pa.string())
    ids = pc.binary_join_element_wise("follow", follows["user_id"], ts, "-")
    value = follows["p_follow"].to_numpy().astype(np.float64)
    asked = questions.icons
    moment = _places(ids, pa.array(questions.moments.sample_id, pa.string()))
    return _joined((moment, icons, value), (asked.moment, asked.icon))


def _joined(known: tuple[Ints, AnyArray, Floats], asked: tuple[Ints, AnyArray]) -> Floats:
    """The value of each (moment, row) that is asked; NaN where it is unknown or not unique."""
    moment, row, value = known
    usable = np.flatnonzero((moment >= 0) & (row >= FIRST_ROW))
    span = int(max(row.max(initial=0), asked[1].max(initial=0))) + 1
    code = moment[usable] * span + row[usable]
    keys, first, count = np.unique(code, return_index=True, return_counts=True)
    wanted = asked[0] * span + asked[1]
    out = np.full(len(wanted), np.nan)
    if not len(keys):
        return out
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    hit = (keys[place] == wanted) & (count[place] == 1)
    out[hit] = value[usable][first[place[hit]]]
    return out


def _places(names: pa.ChunkedArray, asked: pa.Array) -> Ints:
    """Where each name stands among those of the asked moments; -1 where it was not asked."""
    found = pc.index_in(names, value_set=asked, skip_nulls=True)
    return pc.fill_null(found, -1).to_numpy().astype(np.int64)


def _table(store: Store, day: date, name: str) -> pa.Table | None:
    """Truth of the day and of the day before, or None."""
    partitions = [store.partition("truth", d, name) for d in (day - timedelta(days=1), day)]
    found = [partition.table() for partition in partitions if partition.exists()]
    tables = [table for table in found if table.num_rows]
    return pa.concat_tables(tables) if tables else None
