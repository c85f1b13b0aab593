"""What people do with what they are shown: the documented probabilities.

A look (position) times a wish (a logistic function of reasons) gives a click; what is clicked may
be bookmarked, carted or bought. Every constant carries the reason that a shop engineer would give.
All of it is closed form, so the truth can be written down beside the log.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.needs import Chosen, cooled
from evaluation.marketplace.people import NEEDS, Minds, People, attitude
from evaluation.marketplace.policies import AD, RECOMMEND, SEARCH
from evaluation.marketplace.query import Queries
from evaluation.marketplace.session import DAY_MS
from evaluation.marketplace.world import Floats, Ints32, Items, World

BASE = {SEARCH: -2.7, RECOMMEND: -3.2, AD: -3.5}
"""Log odds of a click on a seen item that means nothing to the person; ads are skipped most."""
TASTE = 1.4
"""A lastingly liked category, at strength one."""
CURRENT = 1.8
"""The category one is shopping for right now, at heat one: the strongest reason there is."""
PENDING = 1.3
"""Another need that is alive, at heat one: it catches the eye in a feed."""
SATIATED = 2.6
"""Fall of interest in a category right after buying in it: nobody needs two washing machines."""
SATIETY_DAYS = 4.0
"""Time in which satiety falls to 1/e: socks wear out, curiosity returns."""
PRICE = 0.75
"""Weight of the squared distance from the price looked for, in standard deviations of price."""
PRICE_CAP = 3.5
"""Largest price penalty: far too dear is as bad as absurdly dear."""
BRAND = 1.5
"""The wished brand; people who want one hardly look at others."""
STYLE, SECOND_STYLE = 1.0, 0.4
"""Looks: the need's style (or one's own in a feed), and the person's second style."""
ATTRIBUTE = 1.1
"""The wished attribute: a person who needs waterproof needs waterproof."""
QUALITY = 0.35
"""Good photos and reviews, per standard deviation: everybody likes them."""
SHOP = 0.3
"""A shop's attraction, per unit."""
KNOWN_SHOP = 0.9
"""A shop one has lately bought from, times the person's loyalty: delivery worked. Where people
look around in shops, also that of the last click: one went there for what it has."""
INSIDE = 0.75
"""On the page of a shop that one went to: who is inside looks around, as much as people do on a day
of the real log (with more they do too much, docs/log.md)."""
WEEKEND = 0.4
"""Leisure categories on Saturday and Sunday: there is time to browse."""
LOOK_FALL = 0.06
"""Examination is 1 / (1 + 0.06 x position): half the eyes are gone at the seventeenth item."""

BOOKMARK_BASE, BOOKMARK_FIT = -4.0, 0.5
CART_BASE, CART_FIT = -3.6, 0.65
BUY_BASE, BUY_FIT = -5.8, 0.75
"""Log odds after a click and weight of the fit: dearer decisions depend more on fit."""
SEARCHING = 0.5
"""Carts and purchases in search against feeds: who searches means it."""
LIVE_BASE, LIVE_FIT = -2.3, 0.4
"""Buying within five minutes of carting: a live cart is a decision nearly made."""
COMMITTED = 1.4
"""Having carted in the category within five minutes raises buying there: the wallet is out."""
LIVE_MS = 300_000
"""Five minutes, as Figure 9 of the paper finds (Section 6.4): older carts are storage."""


@dataclass(frozen=True)
class Scene:
    """One round's pages with all that choice depends on; shapes (pages, ...)."""

    user: NDArray[np.int64]
    now: NDArray[np.int64]
    scenario: NDArray[np.int8]
    need: Chosen
    item: NDArray[np.int32]  # (pages, WIDEST); arbitrary where not shown
    shown: NDArray[np.bool_]
    inside: Ints32  # (pages,) the shop whose page it is, -1: none


@dataclass(frozen=True)
class Odds:
    """Probabilities (pages, WIDEST); `click` is given a look, the rest given a click."""

    click: Floats
    bookmark: Floats
    cart: Floats
    buy: Floats  # at once, without a cart
    live: Floats  # from the cart, given carted

    @property
    def purchase(self) -> Floats:
        """Bought by either way, given a click."""
        return 1 - (1 - self.buy) * (1 - self.cart * self.live)


@dataclass(frozen=True)
class Reasons:
    """Everything constant over a block's day."""

    world: World
    items: Items
    everybody: People
    low: int
    interest: Floats  # (users, categories): tastes less satiety


def interest(world: World, minds: Minds, midnight: int, weekend: bool) -> Floats:
    """(users, categories) log odds that tastes add and satiety takes, at the day's start."""
    users = np.arange(len(minds.taste))
    out = np.zeros((len(users), len(world.category_share)), np.float32)
    for slot in range(minds.taste.shape[1]):
        strength = TASTE * np.exp(0.5 * minds.taste_strength[:, slot])
        out[users, minds.taste[:, slot]] = strength
    if weekend:
        out += np.float32(WEEKEND) * world.category_leisure
    for slot in range(minds.bought.shape[1]):
        has = np.flatnonzero(minds.bought[:, slot] >= 0)
        age = (midnight - minds.bought_ms[has, slot]) / DAY_MS
        out[has, minds.bought[has, slot]] -= SATIATED * np.exp(-np.maximum(age, 0) / SATIETY_DAYS)
    return out


def odds(reasons: Reasons, minds: Minds, scene: Scene) -> Odds:
    """The probabilities of every action on every item of the pages."""
    items, need = reasons.items, scene.need
    item, person = scene.item, scene.user + reasons.low
    category = items.category[item]
    current = category == need.category[:, None]
    search = (scene.scenario == SEARCH)[:, None]
    fit = _fit(reasons, scene, category, current)
    wish = _wish(reasons, minds, scene, category, current)
    base = np.array([0, BASE[SEARCH], BASE[RECOMMEND], BASE[AD]], np.float32)[scene.scenario]
    base = base + np.where(scene.inside >= 0, np.float32(INSIDE), np.float32(0))
    loyal = reasons.everybody.loyalty[person][:, None]
    shop = items.shop[item]
    known = np.zeros(item.shape, bool)
    for familiar in known_shops(reasons.world, minds, scene.user).T:
        known |= shop == familiar[:, None]
    fit += KNOWN_SHOP * loyal * known + SHOP * reasons.world.shop_attraction[shop]
    eager = fit + 0.5 * current * need.heat[:, None] + SEARCHING * search
    committed = category == _live_category(reasons, minds, scene)[:, None]
    return Odds(
        click=_logistic(base[:, None] + wish + fit),
        bookmark=_logistic(BOOKMARK_BASE + BOOKMARK_FIT * eager),
        cart=_logistic(CART_BASE + CART_FIT * eager),
        buy=_logistic(BUY_BASE + BUY_FIT * eager + COMMITTED * committed),
        live=_logistic(LIVE_BASE + LIVE_FIT * eager + COMMITTED * committed),
    )


def known_shops(world: World, minds: Minds, user: NDArray[np.int64]) -> Ints32:
    """(users, 2) shops last bought from, -1: none; with `in_shop` also that of the last click."""
    bought = minds.bought_shop[user, :2]
    return np.hstack([bought, minds.last_shop[user]]) if world.config.in_shop else bought


def click_unsaid(reasons: Reasons, minds: Minds, scene: Scene, said: Queries) -> Floats:
    """Click odds of pages with a fresh need, to somebody who knows only what was typed of it.

    Wishes that were not typed are replaced by the person's usual ones, or by none. A need whose
    category was not typed is as good as absent. One guess, not an average over what may be unsaid;
    and who typed "cheap" or "premium" is known to the exact level.
    """
    need, person = scene.need, scene.user + reasons.low
    everybody = reasons.everybody
    usual = attitude(everybody.wealth[person], everybody.salt[person], need.category)
    named = said.category >= 0
    known = replace(
        need,
        category=np.where(named, need.category, -2),
        heat=np.where(named, need.heat, np.float32(0)),
        level=np.where(said.price != 0, need.level, usual),
        brand=said.brand,
        style=np.where(said.style >= 0, need.style, everybody.style[person]),
        attribute=said.attribute,
    )
    minds = replace(minds, need_heat=minds.need_heat.copy())
    minds.need_heat[scene.user, need.slot] = 0  # nor is it known as one need among others
    return odds(reasons, minds, replace(scene, need=known)).click


def look(width: int) -> Floats:
    """Chance that each position is looked at."""
    return (1 / (1 + LOOK_FALL * np.arange(width))).astype(np.float32)


def _fit(reasons: Reasons, scene: Scene, category: NDArray[np.int32],
         current: NDArray[np.bool_]) -> Floats:  # fmt: skip
    """How well an item suits: price, looks, brand, attribute, quality."""
    items, need, item = reasons.items, scene.need, scene.item
    person = scene.user + reasons.low
    usual = attitude(
        reasons.everybody.wealth[person][:, None], reasons.everybody.salt[person][:, None], category
    )
    off = items.level[item] - np.where(current, need.level[:, None], usual)
    style = items.style[item]
    own = np.where(current, need.style[:, None], reasons.everybody.style[person][:, None])
    second = reasons.everybody.second_style[person][:, None]
    fit = -np.minimum(np.float32(PRICE) * off * off, np.float32(PRICE_CAP))
    fit += np.where(style == own, np.float32(STYLE), np.float32(0))
    fit += np.where((style == second) & (own != second), np.float32(SECOND_STYLE), np.float32(0))
    fit += np.float32(QUALITY) * items.quality[item]
    branded = items.brand[item] == need.brand[:, None]
    fit += np.where(current & branded, np.float32(BRAND), np.float32(0))
    attributes = items.attributes[item]
    suits = (attributes == need.attribute[:, None, None]).any(axis=2)
    fit += np.where(current & suits, np.float32(ATTRIBUTE), np.float32(0))
    return fit


def _wish(reasons: Reasons, minds: Minds, scene: Scene, category: NDArray[np.int32],
          current: NDArray[np.bool_]) -> Floats:  # fmt: skip
    """How much the category is wanted: the need at hand, other needs, tastes, satiety."""
    wish = reasons.interest[scene.user[:, None], category]
    heat = cooled(minds, scene.user, scene.now)
    for slot in range(NEEDS):
        other = (category == minds.need[scene.user, slot][:, None]) & ~current
        wish += other * (np.float32(PENDING) * heat[:, slot, None])
    wish += current * (np.float32(CURRENT) * scene.need.heat[:, None])
    return wish


def _live_category(reasons: Reasons, minds: Minds, scene: Scene) -> NDArray[np.int32]:
    """The category of each user's newest cart while it is live, else -1."""
    item = minds.cart_item[scene.user, 0]
    age = scene.now - minds.cart_ms[scene.user, 0]
    live = (item >= 0) & (age >= 0) & (age < LIVE_MS)
    return np.where(live, reasons.items.category[item], -1)


def _logistic(x: Floats) -> Floats:
    return (1 / (1 + np.exp(-x))).astype(np.float32, copy=False)
