"""A simulated day as the tables of `raw/` and `truth/`: what a shop would log, and what it cannot.

`raw/dt=D/{behaviors,impressions,follows,items,users,icons,shops}` follow the data contracts (ids,
type and scenario are strings, `ts` is int64 milliseconds UTC). Some behaviours arrive a day late,
and broken or repeated rows are mixed in; no true row is lost to that.

`truth/dt=D/pages`, one row a logged page:
    request_id       as in `impressions`
    item_ids         in the order shown; the lists below are parallel to it
    p_click          chance of a click, position marginalised over the ranking's exploration,
                     among pages of its length
    p_purchase       chance of a purchase with this request_id (at once or from the live cart)
    p_click_seen     `p_click` for a reader of minds who has to guess what was not typed of a need
                     that was born with this very page (price, brand, style, attribute and, in
                     feeds, the need itself may be unsaid). A plug-in: one guess stands for what
                     was not said, where an average over all that may be unsaid would order such
                     pages better, those with a department alone the most; and a word about the
                     price gives it the exact level. So the difference from `p_click` tells
                     roughly, and rather too large, what part of the ceiling rests on latent state
                     that no history can show, and is no bound. What a history *can* show may
                     still take a longer one than there is.
    fresh            whether the need behind the page was born with it
The price level bought is distributed as the sum of `p_purchase` over the page's items of each
level (levels as the catalog of the pipeline has them); its largest share is the PPP ceiling.

`truth/dt=D/follows`: user_id, icon_id, ts, p_follow; one row an icon shown.

Where pages are ranked by arms, `impressions` has the columns that `serving.exposures` writes:
`variant`, `model_version`, `line`, `price_level`, and beside the data contract `ctr` and `l2r` (in
the order shown); scores and level are null for an arm that gives none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluation.marketplace import choice, words
from evaluation.marketplace.arms import Stamp
from evaluation.marketplace.day import DayLog
from evaluation.marketplace.people import People
from evaluation.marketplace.policies import SEARCH, WIDEST
from evaluation.marketplace.query import Queries
from evaluation.marketplace.session import DAY_MS
from evaluation.marketplace.world import Items, World

TYPES = (None, "click", "bookmark", "cart", "purchase")
SCENARIOS = (None, "search", "recommend", "ad", "unknown")
AGES = ("18-24", "25-29", "30-34", "35-44", "45-54", "55+")
RAW_BEHAVIORS = ("user_id", "item_id", "type", "scenario", "ts", "request_id", "price")


@dataclass(frozen=True)
class BlockTables:
    """One block's share of a day."""

    behaviors: pl.DataFrame
    impressions: pa.Table
    follows: pl.DataFrame
    truth_pages: pa.Table
    clicks: NDArray[np.int64]  # items clicked, for the shop's counters
    pages: int
    items_shown: int  # on logged pages


def tables(
    rng: np.random.Generator,
    world: World,
    items: Items,
    log: DayLog,
    prefix: str,
    stamps: Sequence[Stamp] = (),
) -> BlockTables:
    """One block's log as tables; which pages are logged is drawn here.

    Args:
        rng: the block's stream.
        world: where it happened.
        items: of the day.
        log: what happened.
        prefix: of the request ids.
        stamps: of the arms, by number; none where the logging policy alone ranks.
    """
    pages, actions = DayLog.columns(log.pages), DayLog.columns(log.actions)
    count = log.num_pages
    scenario = pages["scenario"]
    config = world.config
    share = np.where(scenario == SEARCH, config.logged_search, config.logged_other)
    logged = rng.random(count) < share
    number = np.where(logged, np.arange(count), -1)
    request = words.ids(prefix, 7, number)
    page = actions["page"]
    behaviors = pl.DataFrame(
        {
            "user_id": words.ids("u", 7, actions["user"]),
            "item_id": words.ids("i", 7, actions["item"]),
            "type": _names(TYPES, actions["type"]),
            "scenario": _names(SCENARIOS, actions["scenario"]),
            "ts": actions["ts"],
            "request_id": _gather(request, page),
            "price": items.price[actions["item"]],
        }
    )
    keep = np.flatnonzero(logged)
    return BlockTables(
        behaviors=behaviors,
        impressions=_impressions(world, pages, keep, request, stamps),
        follows=_follows(DayLog.columns(log.follows)),
        truth_pages=_truth(pages, keep, request),
        clicks=actions["item"][actions["type"] == 1],
        pages=count,
        items_shown=int(pages["size"][keep].sum()),
    )


def _impressions(
    world: World,
    pages: dict[str, NDArray[Any]],
    keep: NDArray[np.int64],
    request: pl.Series,
    stamps: Sequence[Stamp],
) -> pa.Table:
    query = Queries(
        *(pages[name][keep] for name in ("category", "department", "brand", "style",
                                         "attribute", "price"))
    )  # fmt: skip
    return pa.table(
        {
            "request_id": _arrow(request.gather(keep)),
            "user_id": _arrow(words.ids("u", 7, pages["user"][keep])),
            "ts": pages["ts"][keep],
            "scenario": _arrow(_names(SCENARIOS, pages["scenario"][keep])),
            "query": _arrow(words.query_text(world, query)),
            "item_ids": _lists(pages, keep, _arrow(words.ids("i", 7, _flat(pages, keep, "item")))),
            "variant": pa.nulls(len(keep), pa.string()),
            **_exposures(pages, keep, stamps),
        }
    )


def _exposures(
    pages: dict[str, NDArray[Any]], keep: NDArray[np.int64], stamps: Sequence[Stamp]
) -> dict[str, pa.Array]:
    """Which arm ranked each page, and what it said."""
    if not stamps:
        return {}
    arm, level = pages["arm"][keep], pages["price_level"][keep]
    columns = {
        name: _arrow(_names(tuple(getattr(stamp, name) for stamp in stamps), arm))
        for name in ("variant", "model_version", "line")
    }
    for name in ("ctr", "l2r"):
        lists = _lists(pages, keep, pa.array(_flat(pages, keep, name)))
        silent = np.isnan(pages[name][keep][:, 0])
        columns[name] = pc.if_else(pa.array(silent), pa.nulls(len(keep), lists.type), lists)
    return columns | {"price_level": pa.array(level, mask=level == 0)}


def _truth(pages: dict[str, NDArray[Any]], keep: NDArray[np.int64], request: pl.Series) -> pa.Table:
    looked = _looks(pages, keep)
    click = _flat(pages, keep, "click") * looked
    values = {
        "p_click": click,
        "p_purchase": click * _flat(pages, keep, "buy"),
        "p_click_seen": _flat(pages, keep, "seen") * looked,
    }
    ids = _arrow(words.ids("i", 7, _flat(pages, keep, "item")))
    return pa.table(
        {
            "request_id": _arrow(request.gather(keep)),
            "item_ids": _lists(pages, keep, ids),
            **{
                name: _lists(pages, keep, pa.array(value.astype(np.float32)))
                for name, value in values.items()
            },
            "fresh": pages["fresh"][keep],
        }
    )


def _looks(pages: dict[str, NDArray[Any]], keep: NDArray[np.int64]) -> NDArray[np.floating[Any]]:
    """Chance that each item of the kept pages is looked at, among pages of its kind.

    Kinds are parted by length, because a longer page leaves an item more places to land on; by
    arm, because arms explore differently; and pages of a shop, which have other items, from others.
    A page is among those of its kind itself: where a kind has few pages (the smallest worlds), the
    truth knows a little of where chance put its items.
    """
    arm = pages["arm"].astype(np.int64) if "arm" in pages else 0
    said = (2 * arm + pages["inside"]) * (WIDEST + 1) + pages["size"]
    known, kind = np.unique(said, return_inverse=True)
    by_kind = np.zeros((len(known), WIDEST))
    for one in range(len(known)):
        by_kind[one] = _look_by_rank({name: pages[name][kind == one] for name in ("size", "rank")})
    owner = np.repeat(kind[keep], pages["size"][keep])
    return by_kind[owner, _flat(pages, keep, "rank")]


def _look_by_rank(pages: dict[str, NDArray[Any]]) -> NDArray[np.floating[Any]]:
    """Mean chance of being looked at, by the rank an item has without exploration."""
    shown = np.arange(WIDEST) < pages["size"][:, None]
    rank = pages["rank"][shown]
    column = np.broadcast_to(np.arange(WIDEST), shown.shape)[shown]
    total = np.bincount(rank, weights=choice.look(WIDEST)[column], minlength=WIDEST)
    return total / np.maximum(np.bincount(rank, minlength=WIDEST), 1)


def _follows(columns: dict[str, NDArray[Any]]) -> pl.DataFrame:
    empty = np.empty(0, np.int64)
    return pl.DataFrame(
        {
            "user_id": words.ids("u", 7, columns.get("user", empty)),
            "icon_id": words.ids("k", 4, columns.get("icon", empty)),
            "ts": columns.get("ts", empty),
            "followed": columns.get("followed", empty.astype(bool)),
            "p_follow": columns.get("chance", empty.astype(np.float32)),
        }
    )


def dirt(rng: np.random.Generator, behaviors: pl.DataFrame, share: float) -> pl.DataFrame:
    """Rows to add to a day: broken copies of true rows (five kinds) and exact repeats."""
    count = rng.binomial(len(behaviors), share) if len(behaviors) else 0
    kind = rng.integers(0, 6, count)
    rows = behaviors[rng.integers(0, max(len(behaviors), 1), count)]
    rows = rows.with_columns(pl.Series("kind", kind))
    ahead = int(rng.integers(2, 400)) * DAY_MS
    return rows.with_columns(
        user_id=pl.when(pl.col("kind") != 0).then("user_id"),
        item_id=pl.when(pl.col("kind") != 1).then("item_id"),
        type=pl.when(pl.col("kind") == 2).then(pl.lit("swipe")).otherwise("type"),
        ts=pl.when(pl.col("kind") == 3)
        .then(pl.col("ts") // 1000)
        .when(pl.col("kind") == 4)
        .then(pl.col("ts") + ahead)
        .otherwise("ts"),
    ).drop("kind")


def snapshots(world: World, items: Items, everybody: People, day: int) -> dict[str, pl.DataFrame]:
    """The catalog tables of a day: what is on sale, who has an account."""
    alive = np.flatnonzero(items.death > day)
    user = np.flatnonzero(everybody.joined <= day)
    icon, shop = np.arange(len(world.icon_style)), np.arange(len(world.shop_tier))
    department = words.departments(world)
    known = Items(**{name: value[alive] for name, value in vars(items).items()})
    tiers = ("value", "middle", "upper")
    return {
        "items": pl.DataFrame(
            {
                "item_id": words.ids("i", 7, alive),
                "shop_id": words.ids("s", 4, known.shop),
                "brand_id": words.ids("b", 4, known.brand),
                "category_id": words.ids("c", 4, known.category),
                "tags": words.tags(known),
                "price": known.price,
                "title": words.titles(world, known),
            }
        ),
        "users": pl.DataFrame(
            {
                "user_id": words.ids("u", 7, user),
                "gender": _names(("f", "m"), everybody.gender[user]),
                "age": _names(AGES, everybody.age[user]),
                "city": _names(("tier4", "tier3", "tier2", "tier1"), everybody.city[user]),
            }
        ),
        "icons": pl.DataFrame(
            {
                "icon_id": words.ids("k", 4, icon),
                "style": _names(words.STYLE_WORDS, world.icon_style),
                "department": _names(tuple(department), world.icon_department),
            }
        ),
        "shops": pl.DataFrame(
            {
                "shop_id": words.ids("s", 4, shop),
                "department": _names(tuple(department), world.shop_department),
                "tier": _names(tiers, np.digitize(world.shop_tier, [-0.5, 0.5])),
            }
        ),
    }


def no_behaviors() -> pl.DataFrame:
    """The behaviours of a day on which nobody did anything."""
    kinds = (pl.String, pl.String, pl.String, pl.String, pl.Int64, pl.String, pl.Float32)
    return pl.DataFrame(schema=dict(zip(RAW_BEHAVIORS, kinds, strict=True)))


def _flat(pages: dict[str, NDArray[Any]], keep: NDArray[np.int64], name: str) -> NDArray[Any]:
    """The shown entries of the kept pages, page by page."""
    shown = np.arange(WIDEST) < pages["size"][keep][:, None]
    return pages[name][keep][shown]


def _lists(pages: dict[str, NDArray[Any]], keep: NDArray[np.int64], values: pa.Array) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(pages["size"][keep])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _names(vocabulary: tuple[str | None, ...], codes: NDArray[Any]) -> pl.Series:
    return pl.Series(vocabulary, dtype=pl.String).gather(codes.astype(np.uint32))


def _gather(series: pl.Series, index: NDArray[np.int64]) -> pl.Series:
    """`series[index]`, null where the index is negative."""
    extended = series.extend_constant(None, 1)
    return extended.gather(np.where(index < 0, len(series), index).astype(np.uint32))


def arrow_table(frame: pl.DataFrame) -> pa.Table:
    """With plain strings and lists, as the data contracts have them."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return table.cast(pa.schema([pa.field(f.name, _small(f.type)) for f in table.schema]))


def _small(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_list(kind):
        return pa.list_(_small(kind.value_type))
    return kind


def _arrow(series: pl.Series) -> pa.Array:
    array = series.to_arrow(compat_level=pl.CompatLevel.oldest())
    return array.cast(pa.string()) if pa.types.is_large_string(array.type) else array
