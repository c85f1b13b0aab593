"""The reasons of `choice`, `needs` and `follows`, one by one, on a world made small."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation.marketplace import choice, needs
from evaluation.marketplace.choice import Reasons, Scene
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.follows import FollowPages
from evaluation.marketplace.needs import Births, Chosen
from evaluation.marketplace.people import Minds
from evaluation.marketplace.play import Marketplace
from evaluation.marketplace.policies import RECOMMEND, SEARCH
from evaluation.marketplace.query import Queries
from evaluation.marketplace.session import DAY_MS
from evaluation.marketplace.world import Items

NOW = 1_800_000_000_000
CONFIG = MarketplaceConfig(users=50, items=400, categories=16, shops=20, icons=30)
USER, CATEGORY = 3, 5


@pytest.fixture(scope="module")
def market() -> Marketplace:
    return Marketplace.build(CONFIG, seed=1)


@pytest.fixture
def minds(market: Marketplace) -> Minds:
    return market.eve().minds


def item_of(items: Items, category: int) -> int:
    return int(np.flatnonzero(items.category == category)[0])


def need(**changes: int | float) -> Chosen:
    plain = Chosen(
        slot=np.array([0]),
        category=np.array([CATEGORY], np.int32),
        level=np.zeros(1, np.float32),
        brand=np.array([-1], np.int32),
        style=np.array([0], np.int32),
        attribute=np.array([-1], np.int32),
        heat=np.ones(1, np.float32),
        fresh=np.array([False]),
    )
    arrays = {name: np.array([value]) for name, value in changes.items()}
    return replace(plain, **arrays)


def scene_of(item: int, wanted: Chosen, scenario: int, inside: int = -1) -> Scene:
    return Scene(
        user=np.array([USER]),
        now=np.array([NOW]),
        scenario=np.array([scenario], np.int8),
        need=wanted,
        item=np.array([[item]], np.int32),
        shown=np.array([[True]]),
        inside=np.array([inside], np.int32),
    )


def reasons_of(market: Marketplace, minds: Minds) -> Reasons:
    liked = choice.interest(market.world, minds, NOW - 3_600_000, weekend=False)
    return Reasons(market.world, market.world.items(0), market.everybody, 0, liked)


def odds(
    market: Marketplace, minds: Minds, item: int, wanted: Chosen, scenario: int = SEARCH
) -> dict[str, float]:
    found = choice.odds(reasons_of(market, minds), minds, scene_of(item, wanted, scenario))
    names = ("click", "bookmark", "cart", "buy", "live", "purchase")
    return {name: float(getattr(found, name)[0, 0]) for name in names}


def test_a_wished_brand_attribute_style_or_price_attracts(market: Marketplace, minds: Minds):
    items = market.world.items(0)
    item = item_of(items, CATEGORY)
    level, style = float(items.level[item]), int(items.style[item])
    plain = need(level=level + 1.0, style=(style + 1) % 6)
    base = odds(market, minds, item, plain)
    for better in (
        replace(plain, brand=items.brand[[item]]),
        replace(plain, attribute=items.attributes[[item], 0]),
        replace(plain, style=items.style[[item]]),
        replace(plain, level=items.level[[item]]),
        replace(plain, heat=np.array([1.3], np.float32)),
    ):
        found = odds(market, minds, item, better)
        assert found["click"] > base["click"]
        assert found["purchase"] > base["purchase"]


def test_the_need_at_hand_lifts_only_its_category(market: Marketplace, minds: Minds):
    items = market.world.items(0)
    inside, outside = item_of(items, CATEGORY), item_of(items, CATEGORY + 1)
    cold, warm = need(heat=0.0), need(heat=1.0)
    assert odds(market, minds, inside, warm)["click"] > odds(market, minds, inside, cold)["click"]
    assert odds(market, minds, outside, warm) == odds(market, minds, outside, cold)


def test_a_purchase_satiates_and_satiety_passes(market: Marketplace, minds: Minds):
    item = item_of(market.world.items(0), CATEGORY)
    before = odds(market, minds, item, need(category=-2))["click"]
    minds.bought[USER, 0] = CATEGORY
    found = []
    for days in (1, 4, 30):
        minds.bought_ms[USER, 0] = NOW - days * DAY_MS
        found.append(odds(market, minds, item, need(category=-2))["click"])
    assert found[0] < found[1] < found[2]
    assert found[0] < 0.3 * before
    assert found[2] == pytest.approx(before, rel=0.01)


def test_a_live_cart_raises_buying_in_its_category_for_five_minutes(
    market: Marketplace, minds: Minds
):
    item = item_of(market.world.items(0), CATEGORY)
    before = odds(market, minds, item, need())["buy"]
    minds.cart_item[USER, 0] = item
    minds.cart_ms[USER, 0] = NOW - choice.LIVE_MS + 1
    live = odds(market, minds, item, need())["buy"]
    minds.cart_ms[USER, 0] = NOW - choice.LIVE_MS
    assert live > 2 * before
    assert odds(market, minds, item, need())["buy"] == before


def test_a_known_shop_is_trusted(market: Marketplace, minds: Minds):
    items = market.world.items(0)
    item = item_of(items, CATEGORY)
    before = odds(market, minds, item, need())["click"]
    minds.bought_shop[USER, 1] = items.shop[item]
    assert odds(market, minds, item, need())["click"] > before


def test_who_went_into_a_shop_looks_around(market: Marketplace, minds: Minds):
    item = item_of(market.world.items(0), CATEGORY)
    feed, shop = (
        choice.odds(reasons_of(market, minds), minds, scene_of(item, need(), RECOMMEND, inside))
        for inside in (-1, int(market.world.items(0).shop[item]))
    )
    assert shop.click > 1.5 * feed.click
    assert (shop.cart, shop.purchase) == (feed.cart, feed.purchase), "looking is not buying"


def test_searchers_mean_it(market: Marketplace, minds: Minds):
    item = item_of(market.world.items(0), CATEGORY)
    search, feed = (odds(market, minds, item, need(), s) for s in (SEARCH, RECOMMEND))
    assert search["click"] > feed["click"]
    assert search["cart"] > feed["cart"]


def test_purchase_is_buying_at_once_or_from_the_live_cart(market: Marketplace, minds: Minds):
    found = odds(market, minds, item_of(market.world.items(0), CATEGORY), need())
    by_hand = found["buy"] + (1 - found["buy"]) * found["cart"] * found["live"]
    assert found["purchase"] == pytest.approx(by_hand, rel=1e-5)


def test_of_a_fresh_need_only_what_was_typed_counts_as_visible(market: Marketplace, minds: Minds):
    items = market.world.items(0)
    item = item_of(items, CATEGORY)
    wanted = need(brand=items.brand[item], level=items.level[item])
    reasons, none = reasons_of(market, minds), np.array([-1], np.int32)

    def visible(typed: Chosen, **parts: np.ndarray) -> float:
        silent = dict.fromkeys(("category", "department", "brand", "style", "attribute"), none)
        said = Queries(**{**silent, "price": np.zeros(1, np.int8), **parts})
        scene = scene_of(item, typed, SEARCH)
        return float(choice.click_unsaid(reasons, minds, scene, said)[0, 0])

    category = {"category": wanted.category, "department": np.zeros(1, np.int32)}
    unwished = replace(wanted, brand=none)
    assert visible(wanted) == visible(replace(wanted, category=np.array([CATEGORY + 1])))
    assert visible(wanted, **category) > visible(wanted)
    assert visible(wanted, **category) == visible(unwished, **category)
    assert visible(wanted, **category, brand=wanted.brand) > visible(wanted, **category)


def test_looks_fall_with_position():
    look = choice.look(20)
    assert look[0] == 1
    assert (np.diff(look) < 0).all()


def test_needs_cool_to_one_over_e(minds: Minds):
    minds.need_heat[USER, 0] = 1.0
    minds.need_ms[USER, 0] = NOW
    later = NOW + int(needs.COOLING_DAYS * DAY_MS)
    assert needs.cooled(minds, np.array([USER]), np.array([later]))[0, 0] == pytest.approx(
        np.exp(-1), rel=1e-5
    )


def test_the_hottest_need_is_pursued_most_and_sessions_stay_with_theirs(
    market: Marketplace, minds: Minds
):
    user = np.arange(CONFIG.users)
    minds.need[:] = [1, 2, 3, 4]
    minds.need_heat[:] = [1.2, 0.1, 0.1, 0.1]
    minds.need_ms[:] = NOW
    births = Births(market.world, market.everybody, 0)
    now = np.full(CONFIG.users, NOW)

    def share(slot: int, at_hand: int) -> float:
        found = []
        for seed in range(40):
            rng = np.random.default_rng(seed)
            copy = Minds(**{name: value.copy() for name, value in vars(minds).items()})
            held = np.full(CONFIG.users, at_hand)
            chosen = needs.choose(rng, copy, births, user, now, held)
            found.append(((chosen.slot == slot) & ~chosen.fresh).mean())
        return float(np.mean(found))

    total = 1.5 + needs.OPENING
    assert share(0, at_hand=-1) == pytest.approx(1.2 / total, abs=0.03)
    total = 1.2 * needs.STAY + 0.3 + needs.WANDER
    assert share(0, at_hand=0) == pytest.approx(1.2 * needs.STAY / total, abs=0.03)


def test_icons_of_ones_style_are_followed(market: Marketplace, minds: Minds):
    pages = FollowPages(market.world, market.everybody, 0, 0)
    user = np.arange(CONFIG.users)
    icon = np.tile(np.arange(len(market.world.icon_style)), (CONFIG.users, 1))
    chance = pages.chance(minds, user, np.full(CONFIG.users, NOW), icon)
    mine = market.world.icon_style[icon] == market.everybody.style[:, None]
    assert chance[mine].mean() > 2 * chance[~mine].mean()


def test_follow_pages_show_five_different_icons(market: Marketplace, minds: Minds):
    pages = FollowPages(market.world, market.everybody, 0, 0)
    user = np.arange(CONFIG.users)
    rows = pages.shown(np.random.default_rng(0), minds, user, np.full(CONFIG.users, NOW))
    shown = rows["icon"].reshape(-1, 5)
    assert (np.diff(np.sort(shown, axis=1), axis=1) > 0).all()
