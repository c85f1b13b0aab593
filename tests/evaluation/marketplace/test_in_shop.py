"""People who look around in shops that they know (`marketplace.in_shop`)."""

import hashlib
import io
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest

from evaluation.marketplace import choice, logs, policies
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.day import Block
from evaluation.marketplace.people import Minds
from evaluation.marketplace.play import Marketplace, play
from evaluation.marketplace.policies import RECOMMEND, PopularityWithNoise, Requests
from evaluation.marketplace.seeds import Purpose, stream
from tests.evaluation.marketplace.conftest import FIRST, SMALL

INSIDE = SMALL.model_copy(update={"in_shop": 0.6})


@pytest.fixture(scope="module")
def market() -> Marketplace:
    return Marketplace.build(INSIDE, seed=1)


class Watched(PopularityWithNoise):
    """The logging policy; notes the pages that it ranks."""

    pages: ClassVar[list[Requests]] = []

    def rank(self, requests: Requests, rng: np.random.Generator):
        self.pages.append(requests)
        return super().rank(requests, rng)


def pages_of(market: Marketplace) -> list[Requests]:
    """All pages of the second day, when most people know a shop."""
    Watched.pages.clear()
    first = play(market, market.eve(), FIRST)
    play(market, first.after, FIRST.replace(day=3), Watched)
    return Watched.pages


def one_shop(market: Marketplace, pages: Requests) -> np.ndarray:
    there = pages.candidates >= 0
    shop = np.where(there, market.world.items(1).shop[pages.candidates], -1)
    return (there.sum(axis=1) > 1) & (np.where(there, shop, shop.max(axis=1)[:, None])
                                      == shop.max(axis=1)[:, None]).all(axis=1)  # fmt: skip


def test_the_setting_is_the_share_of_recommendation_pages_that_are_of_one_shop(market):
    pages = pages_of(market)
    feed = np.concatenate([page.scenario == RECOMMEND for page in pages])
    inside = np.concatenate([one_shop(market, page) for page in pages])
    assert not inside[~feed].any()
    assert 0.35 < inside[feed].mean() <= 0.65, "those who know a shop, 0.6"


def test_a_page_of_a_shop_has_what_it_sells_now_and_nothing_else(market):
    items = market.world.items(3)
    recall = policies.recall(market.world, items, items.fame, day=3)
    shop = np.arange(INSIDE.shops, dtype=np.int32)
    rng, feed = stream(1, Purpose.DAY, 0, 0), np.full(len(shop), RECOMMEND, np.int8)
    nothing, department = np.full_like(shop, -1), np.zeros_like(shop)
    drawn = recall.draw(rng, feed, nothing, department, feed < 0, shop)
    sold = {int(one): set(np.flatnonzero((items.shop == one) & (items.death > 3))) for one in shop}
    for one, row in zip(shop, drawn, strict=True):
        assert set(row[row >= 0]) <= sold[int(one)]
    assert sum(len(set(row[row >= 0])) for row in drawn) > 0.4 * sum(map(len, sold.values()))


def test_nobody_goes_into_a_shop_that_sells_nothing(market):
    minds = market.eve().minds
    minds.bought_shop[:], minds.last_shop[:] = -1, 3
    sold = np.zeros((INSIDE.shops, 4), np.int32)
    block = SimpleNamespace(
        reasons=SimpleNamespace(world=market.world),
        minds=minds,
        recall=SimpleNamespace(by_shop=sold),
    )
    user, feed = np.arange(len(minds.last_shop)), np.full(len(minds.last_shop), RECOMMEND, np.int8)
    assert set(Block._entered(block, stream(1, Purpose.DAY, 0, 0), user, feed)) == {-1, 3}
    sold[3] = -1
    assert set(Block._entered(block, stream(1, Purpose.DAY, 0, 0), user, feed)) == {-1}


def test_known_are_the_shops_of_late_purchases_and_of_the_last_click(market):
    minds = market.eve().minds
    minds.bought_shop[5] = [3, 4, 6, -1, -1, -1]
    minds.last_shop[5] = 7
    user = np.array([5])
    assert choice.known_shops(market.world, minds, user).tolist() == [[3, 4, 7]]
    strict = replace(market.world, config=SMALL)
    assert choice.known_shops(strict, minds, user).tolist() == [[3, 4]], "nobody looks around"


def test_what_is_looked_at_in_a_shop_is_told_from_pages_of_shops_alone():
    """They are as long as what the shop sells: on short pages an item stands high."""
    inside = np.arange(40) % 2 == 0
    size = np.where(inside, 3, 15)
    rank = np.stack([stream(1, Purpose.DAY, 0, n).permutation(20) for n in range(40)])
    rank = np.where(np.arange(20) < size[:, None], rank % size[:, None], 0)
    pages = {"inside": inside, "size": size, "rank": rank}
    found = logs._looks(pages, np.arange(40))
    owner = np.repeat(inside, size)
    for kind in (True, False):
        alone = {name: values[inside == kind] for name, values in pages.items()}
        assert np.array_equal(found[owner == kind], logs._looks(alone, np.arange(20)))
    assert found[owner].mean() > found[~owner].mean() + 0.1


def test_people_keep_to_shops_more_than_where_nobody_looks_around(market):
    """Of two items that somebody clicks on the second day, how often one shop has both."""

    def together(place: Marketplace) -> float:
        first = play(place, place.eve(), FIRST)
        played = play(place, first.after, FIRST.replace(day=3))
        log = played.parts[0].behaviors.filter(played.parts[0].behaviors["type"] == "click")
        number = log["item_id"].str.slice(1).cast(int, strict=False).fill_null(0).to_numpy()
        shop, user = played.items.shop[number % len(played.items)], log["user_id"].to_numpy()
        same = shop[:, None] == shop[None]
        mine = (user[:, None] == user[None]) & (number[:, None] != number[None])
        return float(same[mine].mean())

    assert together(market) > 1.5 * together(Marketplace.build(SMALL, seed=1))


def test_where_nobody_looks_around_the_settings_have_the_digest_of_before():
    plain = SMALL.model_dump_json(exclude={"in_shop"})
    assert SMALL.digest() == hashlib.sha256(plain.encode()).hexdigest()[:12]
    assert INSIDE.digest() != SMALL.digest()
    assert MarketplaceConfig(in_shop=0.1).digest() != MarketplaceConfig(in_shop=0.2).digest()


def test_a_state_that_is_older_than_shops_is_gone_on_with(market):
    with np.load(io.BytesIO(market.eve().minds.saved())) as arrays:
        old = {name: arrays[name] for name in arrays.files if name != "last_shop"}
    sink = io.BytesIO()
    np.savez(sink, **old)
    assert (Minds.load(sink.getvalue()).last_shop == -1).all()
