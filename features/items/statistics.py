"""What the days so far say about every item, shop, brand and category, as arrays by catalog row.

`statistics(D)` holds days up to D; a moment of day E may look at `statistics(E-1)` only. The same
arrays feed ranking features, catalog tags, yardsticks and LR-CTR, offline and online.
"""

from dataclasses import dataclass
from datetime import date
from typing import Annotated

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from features import price
from features.catalog import CatalogArrays, lookup
from features.items import counts, lr_ctr
from features.items.counts import COUNT_FIELDS, Counts, Overall
from features.items.deciles import EDGES
from features.items.lr_ctr import ItemSide
from features.price import NO_EDGES, PriceEdges
from features.property import day_number
from features.schemas import UNKNOWN_ROW
from infra.config import BOUND, LARGEST_SEED, Config
from infra.store import Store

ITEM = pa.schema(
    [
        ("item_hash", pa.uint64()),
        ("item_id", pa.string()),
        ("first_day", pa.date32()),  # first day with a behaviour or a display
        *COUNT_FIELDS,
    ]
)
"""`statistics/dt=D/item`: items with any event so far, in hash order."""

GROUP = pa.schema([("row", pa.int32()), ("items", pa.int64()), *COUNT_FIELDS])
"""`statistics/dt=D/{shop,brand,category}`: sums over the items of a vocabulary row, ascending."""

GROUPS = ("shop", "brand", "category")

OVERALL = pa.schema(
    [
        ("ctr", pa.float64()),
        ("cvr", pa.float64()),
        ("prior_impressions", pa.float64()),
        ("prior_clicks", pa.float64()),
        *EDGES,
    ]
)
"""`statistics/dt=D/overall`: one row; the market's rates and the inner edges of tag deciles."""


class StatisticsConfig(Config):
    """How days are weighed and what the regression learns from."""

    half_life_days: float = Field(14.0, gt=0)
    """After so many days an event counts half."""
    prior_impressions: float = Field(20.0, gt=0)
    """Displays that the market's click-through rate weighs in an item's smoothed rate."""
    prior_clicks: float = Field(20.0, gt=0)
    """Clicks that the market's conversion weighs in an item's smoothed conversion."""
    min_prices: int = Field(20, ge=1)
    """Priced items that a category needs for price levels of its own."""
    lr_samples: int = Field(200_000, ge=1)
    """Displays that LR-CTR learns from, about; drawn by hash. Of a log without pages: clicks and
    what is drawn beside them, fewer by the share of behaviours that are no clicks."""
    lr_negatives: int = Field(4, ge=1)
    """Items drawn per click of a log without pages, uniformly from those with evidence (behaviours
    that count at least half a fresh one) the day before."""
    lr_l2: float = Field(10.0, gt=0)
    """Pull of LR-CTR's weights towards yesterday's, in displays."""
    seed: int = Field(7, ge=0, le=LARGEST_SEED)
    """Of the drawn negatives."""
    rows_per_batch: Annotated[int, BOUND] = Field(1_000_000, ge=1)
    """Behaviours, and items on pages (the day's, or the day's before if they are more), that one
    worker counts at a time (about 60 bytes each); at least a bucket."""
    rows_per_range: Annotated[int, BOUND] = Field(500_000, ge=1)
    """Items that one worker merges at a time (about 100 bytes each); bounded by `beam.buckets`."""

    @property
    def decay(self) -> float:
        """What a day leaves of a count."""
        return float(0.5 ** (1.0 / self.half_life_days))


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """One entry per catalog row in every array; a group's figures stand at each of its items."""

    day: date | None
    """The last day in the figures; None before the first."""
    item: Counts
    shop: Counts
    brand: Counts
    category: Counts
    first_day: NDArray[np.int32]
    """Days since 1970-01-01 of the first event; 0 where there was none."""
    price_edges: NDArray[np.float32]
    """Six inner edges of the item's category, [N, 6]; NaN where none are known."""
    lr_ctr: NDArray[np.float32]
    """LR-CTR: probability of a click; zeros before the first day."""
    overall: Overall
    edges: PriceEdges

    @property
    def ctr(self) -> NDArray[np.float32]:
        """Smoothed click-through rate of the item."""
        return self.overall.click_through(self.item)

    @property
    def cvr(self) -> NDArray[np.float32]:
        """Smoothed purchases a click of the item."""
        return self.overall.conversion(self.item)

    @property
    def age_days(self) -> NDArray[np.int32]:
        """Days from the first event to `day`; -1 where there was none."""
        last = day_number(self.day) if self.day else 0
        return np.where(self.first_day > 0, last - self.first_day, -1).astype(np.int32)


def empty(catalog: CatalogArrays) -> Statistics:
    """Before the first day: nothing has happened to anything."""
    none = Counts.zeros(catalog.num_rows)
    return Statistics(
        day=None,
        item=none,
        shop=none,
        brand=none,
        category=none,
        first_day=np.zeros(catalog.num_rows, np.int32),
        price_edges=np.full((catalog.num_rows, price.NUM_EDGES), np.nan, np.float32),
        lr_ctr=np.zeros(catalog.num_rows, np.float32),
        overall=Overall(),
        edges=NO_EDGES,
    )


def load(store: Store, day: date | None, catalog: CatalogArrays) -> Statistics:
    """Statistics of `day` by the rows of `catalog` (of that day or a later one); zeros for None.

    Raises:
        PartitionMissing: `statistics` has not run for that day.
    """
    if day is None:
        return empty(catalog)
    item, first_day = _items(store, day, catalog)
    groups = {name: _group(store, day, name).take(getattr(catalog, name)) for name in GROUPS}
    overall = overall_of(store.partition("statistics", day, "overall").table())
    edges = price.of_table(store.partition("statistics", day, "price").table())
    weights = lr_ctr.of_table(store.partition("statistics", day, "lr_ctr").table())
    known = len(edges.table) > 0
    unscored = Statistics(
        day=day,
        item=item,
        **groups,
        first_day=first_day,
        price_edges=edges.rows(catalog.category) if known else empty(catalog).price_edges,
        lr_ctr=np.zeros(catalog.num_rows, np.float32),
        overall=overall,
        edges=edges,
    )
    scores = lr_ctr.score(lr_ctr.design(item_side(unscored, catalog)), weights)
    return Statistics(**{**unscored.__dict__, "lr_ctr": scores})


def item_side(statistics: Statistics, catalog: CatalogArrays) -> ItemSide:
    """The inputs of LR-CTR, by catalog row."""
    return ItemSide(
        item=statistics.item,
        shop=statistics.shop,
        brand=statistics.brand,
        category=statistics.category,
        age_days=statistics.age_days,
        price_level=catalog.price_level,
        overall=statistics.overall,
    )


def item_counts(store: Store, day: date, catalog: CatalogArrays) -> Counts:
    """The items' own counts alone, by catalog row."""
    return _items(store, day, catalog)[0]


def _items(store: Store, day: date, catalog: CatalogArrays) -> tuple[Counts, NDArray[np.int32]]:
    table = store.partition("statistics", day, "item").require().table()
    first_day = np.zeros(catalog.num_rows, np.int32)
    if not table.num_rows:
        return Counts.zeros(catalog.num_rows), first_day
    rows = lookup(table.column("item_hash").to_numpy(), catalog.hashes, catalog.rows)
    sums = counts.of_table(table).summed(rows, catalog.num_rows)
    first_day[rows] = table.column("first_day").cast(pa.int32()).to_numpy()
    first_day[UNKNOWN_ROW] = 0
    return without_unknown(sums), first_day


def _group(store: Store, day: date, name: str) -> Counts:
    table = store.partition("statistics", day, name).table()
    if not table.num_rows:
        return Counts.zeros(UNKNOWN_ROW + 1)
    rows = table.column("row").to_numpy()
    return counts.of_table(table).summed(rows, int(rows.max()) + 1)


def without_unknown(sums: Counts) -> Counts:
    """Zeros in rows 0 and 1: what nobody can name has no figures."""
    for name in counts.COUNTED:
        getattr(sums, name)[: UNKNOWN_ROW + 1] = 0
    return sums


def overall_of(table: pa.Table) -> Overall:
    """The published row as a value."""
    row = table.to_pylist()[0]
    edges = {
        name.removesuffix("_edges"): np.array(row.pop(name))
        for name in list(row)
        if name.endswith("_edges")
    }
    return Overall(**row, edges=edges)
