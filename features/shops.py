"""Shop preference (SPP, the transfer task): asked once a user and day, at the first moment."""

import numpy as np
import pyarrow as pa

from features import labels, lists, negatives
from features.catalog import FIRST_ROW
from features.distinct import distinct, within
from features.draws import mix
from features.negatives import Wish
from features.world import Group, SamplesConfig, World


def columns(group: Group, world: World, config: SamplesConfig, seed: int) -> dict[str, pa.Array]:
    """`shop` and `shop_preferred`: negatives by popularity from the shops that were not touched."""
    moments, own_day = group.moments, group.own_day
    first = np.flatnonzero(moments.table.column("first").to_numpy(zero_copy_only=False))
    users = len(own_day.offsets) - 1
    asked_at, moment_of = np.full(users, np.iinfo(np.int64).max), np.zeros(users, np.int64)
    asked_at[moments.user[first]] = moments.ts[first]
    moment_of[moments.user[first]] = first
    since = own_day.take(own_day.ts >= asked_at[own_day.user])
    shop = world.catalog.shop[world.rows_of(since.items)[since.item]]
    owner, liked = labels.preferred_shops(shop, since.type, since.user)
    hashes = moments.table.column("user_hash").to_numpy()[moment_of[owner]]
    seeds = mix(hashes + liked.astype(np.uint64) + np.uint64(seed))
    wish = Wish(seeds, hashes, np.zeros(len(owner), np.int32))
    drawn = negatives.other_clicks(world.pool, wish, config.shop_negatives)
    other = world.catalog.shop[drawn.item]
    touched = distinct((since.user.astype(np.int64) << 32) | shop)
    pair = (owner[drawn.moment].astype(np.int64) << 32) | other
    fresh = distinct(pair[(other >= FIRST_ROW) & ~within(pair, touched)])
    moment = np.concatenate([moment_of[owner], moment_of[fresh >> 32]])
    shops = np.concatenate([liked, (fresh & 0xFFFFFFFF).astype(np.int32)])
    preferred = np.repeat(np.array([1, 0], np.int8), [len(liked), len(fresh)])
    order = np.argsort(moment, kind="stable")
    count = np.bincount(moment, minlength=len(moments.user))
    return {
        "shop": lists.asked(count, shops[order]),
        "shop_preferred": lists.asked(count, preferred[order]),
    }
