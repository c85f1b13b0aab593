"""Samples: one row a moment, the sequence cut strictly before it and every question it asks.

A moment of day E is looked up in the catalog and vocabulary of E and the statistics of E - 1,
also where its window closes, and it is published, on E + 1: nothing that arrived after its own
day changes anything but its labels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from features import labels, negatives, ranking
from features.catalog import FIRST_ROW, CatalogArrays
from features.moments import Moments
from features.negatives import Drawn, Pool, Wish
from features.property import LocalClock, gap_bucket
from features.query import tokens_of
from features.ranking import Candidates, Pasts
from features.relevance import Tokens, relevance
from features.schemas import SAMPLES, CandidateOrigin, MomentKind
from features.statistics import Statistics
from features.timeline import Codes, Ints, Spans, Timeline, codes_of
from features.vocabulary import Vocabulary
from infra.config import Config

Int8s = NDArray[np.int8]


class SamplesConfig(Config):
    """Which questions are asked, and of what weight the answers are."""

    negatives: Literal["same-day", "uniform", "popularity", "mimn"] = "same-day"
    """Protocol of derived moments. `mimn`: only the last click of a user and day is a moment,
    against one uniform draw."""

    any_category: int = Field(5, ge=0)
    """Negatives of a derived moment from any category."""
    same_category: int = Field(4, ge=0)
    """Negatives of a derived moment from the positive's category (`same-day` only)."""
    shop_negatives: int = Field(4, ge=1)
    """SPP: shops drawn by popularity for each preferred one."""

    weight_none: float = Field(1.0, ge=0)
    """n_i of equation (9) where nothing happened; below, by the strongest action."""
    weight_click: float = Field(1.0, ge=0)
    weight_bookmark: float = Field(2.0, ge=0)
    weight_cart: float = Field(3.0, ge=0)
    weight_purchase: float = Field(5.0, ge=0)

    @property
    def weights(self) -> NDArray[np.float32]:
        """n_i by BehaviorType, 0 for none."""
        by_type = (self.weight_click, self.weight_bookmark, self.weight_cart, self.weight_purchase)
        return np.array([self.weight_none, *by_type], np.float32)


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


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Candidates of all moments, by moment; the positive of a derived moment comes first."""

    moment: Ints
    item: Codes
    """Catalog row."""
    origin: Int8s
    outcome: labels.Outcome


def build(group: Group, world: World, config: SamplesConfig, window_ms: int, seed: int) -> pa.Table:
    """The samples of a group, in the order of its moments."""
    item = world.catalog.rows_of(group.past.items)[group.past.item]
    asked = _candidates(group, world, config, window_ms, seed)
    moments = group.moments
    table = moments.table
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: table.column(name) for name in ("sample_id", "user_hash", "user_id", "scenario")
    }
    columns["ts"] = table.column("ts").cast(SAMPLES.field("ts").type)
    columns["query"] = tokens_of(table.column("query"), world.token)
    columns["profile"] = _matrix(group.profile)
    columns |= _sequence(group, item, world.clock)
    pasts = Pasts(
        owner=group.past_owner,
        item=item,
        type=group.past.type,
        ts=group.past.ts,
        spans=group.spans,
        moment_owner=group.moment_owner,
        moment_ts=moments.ts,
    )
    columns |= _candidate_columns(asked, pasts, moments, world, config)
    columns["price_level"] = _prices(group, asked, world, window_ms)
    columns |= _icons(table, world)
    columns |= _shops(group, world, config, seed)
    return pa.table([columns[name] for name in SAMPLES.names], schema=SAMPLES)


def _sequence(group: Group, item: Codes, clock: LocalClock) -> dict[str, pa.Array]:
    spans, past = group.spans, group.past
    rows = spans.rows()
    parts = clock.parts(past.ts)
    gap = np.repeat(group.moments.ts, spans.length) - past.ts[rows]
    offsets = _offsets(spans.length)
    values = {
        "seq_item": item[rows],
        "seq_type": past.type[rows],
        "seq_scenario": past.scenario[rows],
        "seq_gap": gap_bucket(gap),
        "seq_daypart": parts.daypart[rows],
        "seq_weekend": parts.weekend[rows],
    }
    return {name: _lists(offsets, flat) for name, flat in values.items()}


def _candidates(
    group: Group, world: World, config: SamplesConfig, window_ms: int, seed: int
) -> Asked:
    """Shown items of pages with their outcomes; clicked items of derived moments with negatives."""
    moments, actions = group.moments, group.actions
    kind = moments.table.column("kind").to_numpy()
    lists = moments.table.column("item_ids").combine_chunks()
    moment = np.repeat(np.arange(len(kind)), lists.value_lengths().fill_null(0).to_numpy())
    ids = codes_of(actions.items, lists.flatten())
    action_item, code = ids.codes[: len(actions.items)], ids.codes[len(actions.items) :]
    pairs = labels.match(
        *_label_keys(group, moment, code, action_item[actions.item], len(ids.values))
    )
    outcome = labels.outcome(pairs, actions, len(code), moments.ts[moment], window_ms)
    page = kind[moment] == MomentKind.PAGE
    origin = np.where(page, CandidateOrigin.SHOWN, CandidateOrigin.CLICKED).astype(np.int8)
    keep = kind[moment] != MomentKind.TOUCH
    shown = Asked(
        moment=moment[keep],
        item=world.catalog.rows_of(ids.values)[code][keep],
        origin=origin[keep],
        outcome=_only(outcome, np.flatnonzero(keep)),
    )
    return _with_negatives(shown, moments, world, config, seed)


def _label_keys(
    group: Group, moment: Ints, code: Codes, action_item: Codes, items: int
) -> tuple[Ints, Ints]:
    """Integers that are equal where an action is about a candidate.

    Pages join by user, request and item, derived moments by user and item. The two kinds of keys
    never meet, for a log has pages or derived moments.
    """
    moments, actions = group.moments, group.actions
    owner = moments.user[moment].astype(np.int64)
    if (moments.table.column("kind").to_numpy() == MomentKind.PAGE).any():
        both = codes_of(actions.requests, moments.table.column("request_id"))
        wanted = both.codes[len(actions.requests) :][moment]
        named = np.append(both.codes[: len(actions.requests)], -1)[actions.request]
        width = np.int64(len(both.values) + 1)
        # A request belongs to one user: that the user is the same is checked by the key as well.
        candidate = (owner * width + wanted) * items + code
        action = (actions.user * width + named) * items + action_item
        return np.where(wanted < 0, -1, candidate), np.where(named < 0, -1, action)
    return owner * items + code, actions.user.astype(np.int64) * items + action_item


def _with_negatives(
    shown: Asked, moments: Moments, world: World, config: SamplesConfig, seed: int
) -> Asked:
    positive = np.flatnonzero(shown.origin == CandidateOrigin.CLICKED)
    if not len(positive):
        return shown
    of = shown.moment[positive]
    whole = moments.table
    seeds = negatives.mix(whole.column("key").to_numpy()[of] + np.uint64(seed))
    wish = Wish(seeds, whole.column("user_hash").to_numpy()[of], shown.item[positive])
    parts = [shown]
    for origin, drawn in _draws(wish, world, config):
        none = np.zeros(len(drawn.item), np.int8)
        parts.append(
            Asked(
                moment=of[drawn.moment],
                item=drawn.item,
                origin=np.full(len(drawn.item), origin, np.int8),
                outcome=labels.Outcome(none, none, none),
            )
        )
    moment = np.concatenate([part.moment for part in parts])
    order = np.argsort(moment, kind="stable")
    outcome = labels.Outcome(
        *(
            np.concatenate([getattr(part.outcome, name) for part in parts])[order]
            for name in ("clicked", "strongest", "purchased")
        )
    )
    return Asked(
        moment=moment[order],
        item=np.concatenate([part.item for part in parts])[order],
        origin=np.concatenate([part.origin for part in parts])[order],
        outcome=outcome,
    )


def _draws(wish: Wish, world: World, config: SamplesConfig) -> list[tuple[CandidateOrigin, Drawn]]:
    number = config.any_category
    if config.negatives == "mimn":
        return [(CandidateOrigin.SAME_DAY, negatives.uniform(world.catalog, wish, 1))]
    if config.negatives == "uniform":
        return [(CandidateOrigin.SAME_DAY, negatives.uniform(world.catalog, wish, number))]
    if config.negatives == "popularity":
        return [(CandidateOrigin.SAME_DAY, negatives.popular(world.statistics, wish, number))]
    category = world.catalog.category[wish.item]
    again = Wish(negatives.mix(wish.seed), wish.user_hash, wish.item)
    return [
        (CandidateOrigin.SAME_DAY, negatives.other_clicks(world.pool, wish, number)),
        (
            CandidateOrigin.SAME_CATEGORY,
            negatives.same_category(world.pool, again, category, config.same_category),
        ),
    ]


def _candidate_columns(
    asked: Asked, pasts: Pasts, moments: Moments, world: World, config: SamplesConfig
) -> dict[str, pa.Array]:
    fits = _relevance(asked, moments, world)
    candidates = Candidates(moment=asked.moment, item=asked.item, relevance=fits)
    table = ranking.features(candidates, pasts, world.catalog, world.item_table)
    count = np.bincount(asked.moment, minlength=len(moments.user))
    strongest = asked.outcome.strongest
    values = {
        "cand_item": asked.item,
        "cand_clicked": asked.outcome.clicked,
        "cand_label": np.where(strongest > 0, 1, -1).astype(np.int8),
        "cand_weight": config.weights[strongest],
        "cand_features": _matrix(table),
        "cand_purchased": asked.outcome.purchased,
        "cand_origin": asked.origin,
    }
    return {name: _asked(count, flat) for name, flat in values.items()}


def _relevance(asked: Asked, moments: Moments, world: World) -> NDArray[np.float32]:
    queries = moments.table.column("query").combine_chunks()
    if queries.null_count == len(queries) or world.titles.null_count == len(world.titles):
        return np.zeros(len(asked.item), np.float32)
    distinct, title_of = np.unique(asked.item, return_inverse=True)
    coded = codes_of(queries)
    query = Tokens.of(pa.concat_arrays([coded.values, pa.nulls(1, pa.string())]), world.token)
    query_of = np.where(coded.codes < 0, len(coded.values), coded.codes).astype(np.int64)
    title = Tokens.of(world.titles.take(pa.array(distinct)), world.token)
    return relevance(query, query_of[asked.moment], title, title_of)


def _prices(group: Group, asked: Asked, world: World, window_ms: int) -> pa.Array:
    """Level of the item bought: first purchase of a page, or what a first touch leads to."""
    moments, actions = group.moments, group.actions
    level = np.zeros(len(moments.user), np.int8)
    bought = np.flatnonzero((asked.outcome.purchased > 0) & (asked.origin == CandidateOrigin.SHOWN))
    level[asked.moment[bought][::-1]] = world.catalog.price_level[asked.item[bought]][::-1]
    touched = np.flatnonzero(labels.led_to_purchase(actions, window_ms))
    if len(touched):
        keys, first = np.unique(actions.key[touched], return_index=True)
        own = moments.table.column("key").to_numpy()
        place = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
        derived = moments.table.column("kind").to_numpy() >= MomentKind.CLICK
        hit = np.flatnonzero(derived & (keys[place] == own))
        codes = actions.item[touched[first[place[hit]]]]
        level[hit] = world.catalog.price_level[world.catalog.rows_of(actions.items)[codes]]
    return pa.array(level, mask=level == 0)


def _icons(table: pa.Table, world: World) -> dict[str, pa.Array]:
    lists = table.column("icon_ids").combine_chunks()
    count = lists.value_lengths().fill_null(0).to_numpy()
    followed = table.column("icon_followed").combine_chunks().flatten().to_numpy()
    rows = world.icon.rows_of(lists.flatten())
    return {"icon": _asked(count, rows), "icon_followed": _asked(count, followed)}


def _shops(group: Group, world: World, config: SamplesConfig, seed: int) -> dict[str, pa.Array]:
    moments, own_day = group.moments, group.own_day
    first = np.flatnonzero(moments.table.column("first").to_numpy(zero_copy_only=False))
    users = len(own_day.offsets) - 1
    asked_at, moment_of = np.full(users, np.iinfo(np.int64).max), np.zeros(users, np.int64)
    asked_at[moments.user[first]] = moments.ts[first]
    moment_of[moments.user[first]] = first
    since = own_day.take(own_day.ts >= asked_at[own_day.user])
    shop = world.catalog.shop[world.catalog.rows_of(since.items)[since.item]]
    owner, liked = labels.preferred_shops(shop, since.type, since.user)
    hashes = moments.table.column("user_hash").to_numpy()[moment_of[owner]]
    seeds = negatives.mix(hashes + liked.astype(np.uint64) + np.uint64(seed))
    wish = Wish(seeds, hashes, np.zeros(len(owner), np.int32))
    drawn = negatives.other_clicks(world.pool, wish, config.shop_negatives)
    other = world.catalog.shop[drawn.item]
    touched = np.unique((since.user.astype(np.int64) << 32) | shop)
    pair = (owner[drawn.moment].astype(np.int64) << 32) | other
    fresh = np.unique(pair[(other >= FIRST_ROW) & ~np.isin(pair, touched)])
    moment = np.concatenate([moment_of[owner], moment_of[fresh >> 32]])
    shops = np.concatenate([liked, (fresh & 0xFFFFFFFF).astype(np.int32)])
    preferred = np.repeat(np.array([1, 0], np.int8), [len(liked), len(fresh)])
    order = np.argsort(moment, kind="stable")
    count = np.bincount(moment, minlength=len(moments.user))
    return {"shop": _asked(count, shops[order]), "shop_preferred": _asked(count, preferred[order])}


def _only(outcome: labels.Outcome, rows: Ints) -> labels.Outcome:
    return labels.Outcome(outcome.clicked[rows], outcome.strongest[rows], outcome.purchased[rows])


def _asked(count: Ints, flat: NDArray[np.generic] | pa.Array) -> pa.ListArray:
    """A list per moment; null where nothing is asked."""
    values = flat if isinstance(flat, pa.Array) else pa.array(flat)
    return pa.ListArray.from_arrays(_offsets(count), values, mask=pa.array(count == 0))


def _lists(offsets: pa.Array, flat: NDArray[np.generic]) -> pa.ListArray:
    return pa.ListArray.from_arrays(offsets, pa.array(flat))


def _matrix(rows: NDArray[np.generic]) -> pa.ListArray:
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(rows.shape[1])
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(rows.reshape(-1)))


def _offsets(length: Ints) -> pa.Array:
    return pa.array(np.append(0, np.cumsum(length)).astype(np.int32))
