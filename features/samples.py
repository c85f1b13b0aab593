"""Samples: one row a moment, the sequence cut strictly before it and every question it asks.

A moment of day E is looked up in the catalog and vocabulary of E and the statistics of E - 1,
also where its window closes, and it is published, on E + 1: nothing that arrived after its own
day changes anything but its labels.
"""

import numpy as np
import pyarrow as pa

from features import labels, lists
from features.catalog import CatalogArrays
from features.property import LocalClock, told
from features.query import tokens_of
from features.questions import candidates, offers, shops
from features.questions.candidates import Asked
from features.questions.meetings import Pasts
from features.questions.world import Group, SamplesConfig, World
from features.schemas import SAMPLES, CandidateOrigin, MomentKind
from features.timeline import Codes

__all__ = ["Group", "SamplesConfig", "World", "build"]


def build(group: Group, world: World, config: SamplesConfig, window_ms: int, seed: int) -> pa.Table:
    """The samples of a group, in the order of its moments."""
    item = world.rows_of(group.past.items)[group.past.item]
    asked = candidates.candidates(group, world, config, window_ms, seed)
    moments = group.moments
    table = moments.table
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: table.column(name) for name in ("sample_id", "user_hash", "user_id", "scenario")
    }
    columns["ts"] = table.column("ts").cast(SAMPLES.field("ts").type)
    columns["query"] = tokens_of(table.column("query"), world.token)
    columns["profile"] = lists.matrix(group.profile)
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
    columns |= candidates.columns(asked, pasts, moments, world, config)
    columns["price_level"] = _prices(group, asked, world, window_ms)
    columns["price_offer"] = _offers(table, world, config)
    columns |= _icons(table, world)
    columns |= shops.columns(group, world, config, seed)
    return pa.table([columns[name] for name in SAMPLES.names], schema=SAMPLES)


def _sequence(group: Group, item: Codes, clock: LocalClock) -> dict[str, pa.Array]:
    spans, past = group.spans, group.past
    rows = spans.rows()
    until = np.repeat(group.moments.ts, spans.length)
    seen = told(past.type, past.scenario, past.ts, until, clock, rows)
    offsets = lists.offsets(spans.length)
    columns = {f"seq_{name}": lists.lists(offsets, codes) for name, codes in seen.items()}
    return {"seq_item": lists.lists(offsets, item[rows]), **columns}


def priced_clicks(table: pa.Table, items: CatalogArrays) -> int:
    """How many clicked candidates of samples have a price level in their catalog."""
    clicked = table["cand_clicked"].combine_chunks().flatten().to_numpy() > 0
    rows = table["cand_item"].combine_chunks().flatten().to_numpy()[clicked]
    return int((items.price_level[rows] > 0).sum())


def _prices(group: Group, asked: Asked, world: World, window_ms: int) -> pa.Array:
    """Level of what is bought: the topmost item bought of a page, or where a touch led."""
    moments, actions = group.moments, group.actions
    level = np.zeros(len(moments.user), np.int8)
    bought = np.flatnonzero((asked.outcome.purchased > 0) & (asked.origin == CandidateOrigin.SHOWN))
    bought = bought[world.catalog.price_level[asked.item[bought]] > 0][::-1]
    level[asked.moment[bought]] = world.catalog.price_level[asked.item[bought]]
    derived = moments.table.column("kind").to_numpy() >= MomentKind.CLICK
    none = np.empty(0, np.int64)
    touched = np.flatnonzero(labels.led_to_purchase(actions, window_ms)) if derived.any() else none
    if len(touched):
        keys, first = np.unique(actions.key[touched], return_index=True)
        own = moments.table.column("key").to_numpy()
        place = np.minimum(np.searchsorted(keys, own), len(keys) - 1)
        hit = np.flatnonzero(derived & (keys[place] == own))
        codes = actions.item[touched[first[place[hit]]]]
        level[hit] = world.catalog.price_level[world.rows_of(actions.items)[codes]]
    return pa.array(level, mask=level == 0)


def _offers(table: pa.Table, world: World, config: SamplesConfig) -> pa.Array:
    queries = table.column("query").combine_chunks()
    if not config.price_offers or queries.null_count == len(queries):
        return pa.nulls(len(queries), SAMPLES.field("price_offer").type)
    return offers.column(queries, world.offers, world.token)


def _icons(table: pa.Table, world: World) -> dict[str, pa.Array]:
    shown = table.column("icon_ids").combine_chunks()
    count = shown.value_lengths().fill_null(0).to_numpy()
    followed = table.column("icon_followed").combine_chunks().flatten().to_numpy()
    rows = world.icon.rows_of(shown.flatten())
    return {"icon": lists.asked(count, rows), "icon_followed": lists.asked(count, followed)}
