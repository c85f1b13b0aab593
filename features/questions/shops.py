"""Shop preference (SPP, the transfer task): asked once a user and day, at the first moment."""

import numpy as np
import pyarrow as pa

from features import labels, lists
from features.catalog import FIRST_ROW
from features.distinct import distinct, within
from features.draws import mix
from features.questions import negatives
from features.questions.negatives import Wish
from features.questions.world import Group, SamplesConfig, World
from features.timeline import Codes, Ints


def columns(group: Group, world: World, config: SamplesConfig, seed: int) -> dict[str, pa.Array]:
    """`shop` and `shop_preferred`: negatives by popularity from the shops that were not touched."""
    asked_at, moment_of = _asked_at(group)
    since = group.own_day.take(group.own_day.ts >= asked_at[group.own_day.user])
    shop = world.catalog.shop[world.rows_of(since.items)[since.item]]
    owner, liked = labels.preferred_shops(shop, since.type, since.user)
    hashes = group.moments.table.column("user_hash").to_numpy()[moment_of[owner]]
    seeds = mix(hashes + liked.astype(np.uint64) + np.uint64(seed))
    wish = Wish(seeds, hashes, np.zeros(len(owner), np.int32))
    drawn = negatives.other_clicks(world.pool, wish, config.shop_negatives)
    other = world.catalog.shop[drawn.item]
    loser, fresh = _not_touched(owner[drawn.moment], other, _pairs(since.user, shop))
    moment = np.concatenate([moment_of[owner], moment_of[loser]])
    shops = np.concatenate([liked, fresh])
    preferred = np.repeat(np.array([1, 0], np.int8), [len(liked), len(fresh)])
    order = np.argsort(moment, kind="stable")
    count = np.bincount(moment, minlength=len(group.moments.user))
    return {
        "shop": lists.asked(count, shops[order]),
        "shop_preferred": lists.asked(count, preferred[order]),
    }


def _asked_at(group: Group) -> tuple[Ints, Ints]:
    """When each user is asked, and at which moment; who has no first moment, never."""
    moments, users = group.moments, len(group.own_day.offsets) - 1
    first = np.flatnonzero(moments.table.column("first").to_numpy(zero_copy_only=False))
    asked_at, moment_of = np.full(users, np.iinfo(np.int64).max), np.zeros(users, np.int64)
    asked_at[moments.user[first]] = moments.ts[first]
    moment_of[moments.user[first]] = first
    return asked_at, moment_of


def _not_touched(user: Codes, shop: Codes, touched: Ints) -> tuple[Ints, Codes]:
    """The different (user, shop) pairs of a known shop that are none of `touched`; sorted."""
    pairs = _pairs(user, shop)
    fresh = distinct(pairs[(shop >= FIRST_ROW) & ~within(pairs, distinct(touched))])
    return fresh >> 32, (fresh & 0xFFFFFFFF).astype(np.int32)


def _pairs(user: Codes, shop: Codes) -> Ints:
    """User and shop in one integer: sets of pairs are then sets of integers, one sort each."""
    return (user.astype(np.int64) << 32) | shop
