"""One day of one block of users, page by page: choose a need, fill a page, act, remember.

Rounds run over everybody's first pages, then everybody's second pages, and so on; what happened in
one round (a purchase, a cart, a click) changes the mind that enters the next.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace import choice, needs, query
from evaluation.marketplace.choice import Odds, Reasons, Scene
from evaluation.marketplace.filling import fill
from evaluation.marketplace.follows import FollowPages
from evaluation.marketplace.people import NEEDS, Minds
from evaluation.marketplace.policies import (
    AD,
    RECOMMEND,
    SEARCH,
    WIDEST,
    Actions,
    Ranker,
    Recall,
    Requests,
)  # fmt: skip
from evaluation.marketplace.session import DAY_MS, Schedule, gaps_ms

CLICK, BOOKMARK, CART, BUY = 1, 2, 3, 4
UNPROMPTED = 4
"""Scenario code of what was done from the cart page: no request, scenario unknown."""

SEARCHES, ADS = 0.42, 0.12
"""Share of pages by scenario; the rest are recommendations."""
PAGE_GAP_S = 45.0
"""Median seconds between the last action on a page and the next page."""
SPARK = 0.15
"""Chance that a click in a feed on something unlooked-for starts a need: window shopping works."""
WARMTH = 0.1
"""Heat that a page with clicks adds to the need they serve: looking whets the appetite."""
REMEMBERED = 0.07
"""Chance that a session starts with buying what lies in the cart, when it is fresh."""
FORGOTTEN_DAYS = 1.5
"""Time in which that chance falls to 1/e."""


@dataclass
class DayLog:
    """Column name -> arrays, one array a round; `columns` joins them."""

    pages: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    actions: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    follows: list[dict[str, NDArray[Any]]] = field(default_factory=list)
    num_pages: int = 0

    @staticmethod
    def columns(rounds: list[dict[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        """All rounds joined."""
        if not rounds:
            return {}
        return {name: np.concatenate([part[name] for part in rounds]) for name in rounds[0]}


@dataclass(frozen=True)
class Block:
    """What the rounds of one block share."""

    reasons: Reasons
    minds: Minds  # views: the block's rows
    births: needs.Births
    recall: Recall
    ranker: Ranker
    follows: FollowPages
    midnight: int

    def run(self, rng: np.random.Generator, plan: Schedule) -> DayLog:
        """The block's day."""
        log = DayLog()
        users = len(self.minds.taste)
        clock = np.full(users, self.midnight, np.int64)
        at_hand = np.full(users, -1, np.int64)
        for part in plan.rounds():
            user, opens = plan.user[part], plan.opens[part]
            gap = gaps_ms(rng, len(user), PAGE_GAP_S)
            start = np.where(opens, self.midnight + plan.start_ms[part], 0)
            now = np.maximum(start, clock[user] + gap)
            awake = now < self.midnight + DAY_MS
            user, opens, now = user[awake], opens[awake], now[awake]
            self._visit(rng, log, user[opens], now[opens])
            held = np.where(opens, -1, at_hand[user])
            scene, clock[user] = self._page(rng, log, user, now, held)
            at_hand[user] = scene.need.slot
        return log

    def _visit(
        self, rng: np.random.Generator, log: DayLog,
        user: NDArray[np.int64], now: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """What a session opens with: the cart, and perhaps a page of icons."""
        minds = self.minds
        age = (now - minds.cart_ms[user, 0]) / DAY_MS
        chance = REMEMBERED * np.exp(-np.maximum(age, 0) / FORGOTTEN_DAYS)
        item = minds.cart_item[user, 0]
        on_sale = self.reasons.items.death[item] > self.follows.day
        buys = (item >= 0) & on_sale & (rng.random(len(user)) < chance)
        buyer = user[buys]
        if len(buyer):
            when = now[buys] - gaps_ms(rng, len(buyer), 20.0) % 60_000
            when = np.maximum(when, self.midnight)
            self._note(log, np.full(len(buyer), -1), buyer, item[buys], when, BUY)
            self._buy(buyer, item[buys], when)
        rows = self.follows.shown(rng, minds, user, now)
        if rows:
            log.follows.append(rows)

    def _page(
        self, rng: np.random.Generator, log: DayLog, user: NDArray[np.int64],
        now: NDArray[np.int64], held: NDArray[np.int64],
    ) -> tuple[Scene, NDArray[np.int64]]:  # fmt: skip
        """Show one page to each user; the scene, and when each user is done with it."""
        minds, reasons = self.minds, self.reasons
        need = needs.choose(rng, minds, self.births, user, now, held)
        where = rng.random(len(user))
        scenario = np.where(where < SEARCHES, SEARCH, np.where(where > 1 - ADS, AD, RECOMMEND))
        scenario = scenario.astype(np.int8)
        departments = reasons.world.category_department
        queries = query.ask(rng, need, departments[need.category], scenario == SEARCH)
        searching = queries.typed
        last = minds.last_category[user, 0]
        category = np.where(searching, queries.category, last)
        near = np.where(searching, queries.department, np.where(last >= 0, departments[last], 0))
        exact = queries.category >= 0
        inside = self._entered(rng, user, scenario)
        candidates = self.recall.draw(rng, scenario, category, near, exact, inside)
        requests = Requests(user + reasons.low, now, scenario, queries, candidates)
        filled = fill(rng, self.ranker, requests)
        item, shown = filled.item, filled.shown
        scene = Scene(user, now, scenario, need, item, shown, inside)
        odds = choice.odds(reasons, minds, scene)
        seen, fresh = odds.click.copy(), need.fresh
        if fresh.any():
            said = queries.rows(fresh)
            seen[fresh] = choice.click_unsaid(reasons, minds, _rows(scene, fresh), said)
        first = log.num_pages
        log.num_pages += len(user)
        log.pages.append(
            {
                "user": user + reasons.low, "ts": now, "scenario": scenario,
                "category": queries.category, "department": queries.department,
                "brand": queries.brand, "style": queries.style, "attribute": queries.attribute,
                "price": queries.price, "size": shown.sum(axis=1), "item": item,
                "rank": filled.rank, "click": odds.click, "buy": odds.purchase, "seen": seen,
                "fresh": need.fresh, "inside": inside >= 0, **filled.said,
            }
        )  # fmt: skip
        return scene, self._act(rng, log, scene, odds, first)

    def _entered(
        self, rng: np.random.Generator, user: NDArray[np.int64], scenario: NDArray[np.int8]
    ) -> NDArray[np.int32]:
        """The shop that each page is of, any that the person knows and that sells; -1: none."""
        world, nobody = self.reasons.world, np.full(len(user), -1, np.int32)
        if not world.config.in_shop:
            return nobody
        shops = choice.known_shops(world, self.minds, user)
        shops = np.where(self.recall.by_shop[shops, 0] >= 0, shops, -1)
        any_of = np.argmax(rng.random(shops.shape) * (shops >= 0), axis=1)
        enters = (scenario == RECOMMEND) & (rng.random(len(user)) < world.config.in_shop)
        return np.where(enters, shops[np.arange(len(user)), any_of], nobody)

    def _act(
        self, rng: np.random.Generator, log: DayLog, scene: Scene, odds: Odds, first: int
    ) -> NDArray[np.int64]:
        """Draw the actions, log them and let them change the minds; when each user is done."""
        looked = rng.random(scene.item.shape, np.float32) < odds.click * choice.look(WIDEST)
        page, column = np.nonzero(looked & scene.shown)
        gap = gaps_ms(rng, len(page))
        total = np.cumsum(gap)
        starts = np.searchsorted(page, np.arange(len(scene.user) + 1))
        before = np.concatenate([[0], total])[starts[:-1]]
        clicked_ms = scene.now[page] + total - before[page]
        user, item = scene.user[page], scene.item[page, column]
        self._note(log, page + first, user, item, clicked_ms, CLICK)
        self._warm(rng, scene, page, item, clicked_ms)
        done = scene.now.copy()
        np.maximum.at(done, page, clicked_ms)
        after = gaps_ms(rng, len(page), 15.0).clip(max=100_000)
        say = rng.random((4, len(page)), np.float32)
        at = (page, column)
        marked = say[0] < odds.bookmark[at]
        carted = say[1] < odds.cart[at]
        bought = say[2] < odds.buy[at]
        live = carted & ~bought & (say[3] < odds.live[at])
        for chosen, when, kind in (
            (marked, clicked_ms + after, BOOKMARK),
            (carted, clicked_ms + after, CART),
            (bought, clicked_ms + 2 * after, BUY),
            (live, clicked_ms + 3 * after, BUY),
        ):
            rows = np.flatnonzero(chosen)
            self._note(log, page[rows] + first, user[rows], item[rows], when[rows], kind)
            np.maximum.at(done, page[rows], when[rows])
        kept = carted & ~bought & ~live
        self._cart(user[kept], item[kept], clicked_ms[kept] + after[kept])
        gone = bought | live
        self._buy(user[gone], item[gone], clicked_ms[gone] + 2 * after[gone])
        return done

    def _note(
        self, log: DayLog, page: NDArray[np.int64], user: NDArray[np.int64],
        item: NDArray[np.int32], ts: NDArray[np.int64], kind: int,
    ) -> None:  # fmt: skip
        """Log what was done and tell the ranker; `page` is -1 or one of the newest round."""
        scenario = np.full(len(user), UNPROMPTED, np.int8)
        on_page = page >= 0
        if on_page.any():
            shown = log.pages[-1]["scenario"]
            scenario[on_page] = shown[page[on_page] - (log.num_pages - len(shown))]
        done = Actions(
            user=user + self.reasons.low,
            item=item.astype(np.int32),
            ts=ts,
            type=np.full(len(user), kind, np.int8),
            scenario=scenario,
        )
        log.actions.append({"page": page.astype(np.int64), **vars(done)})
        self.ranker.observe(done)

    def _warm(
        self, rng: np.random.Generator, scene: Scene, page: NDArray[np.int64],
        item: NDArray[np.int32], ts: NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Clicks keep a need warm; a click in a feed may start one.

        A click brings back all the heat that the need had when it was last pursued: who looks at
        running shoes again after a week shops for them as before. Several clicks of a page count
        once.
        """
        minds, user = self.minds, scene.user[page]
        category = self.reasons.items.category[item]
        minds.last_category[user, 0] = category
        minds.last_shop[user, 0] = self.reasons.items.shop[item]
        for slot in range(NEEDS):
            serves = minds.need[user, slot] == category
            who = user[serves]
            minds.need_heat[who, slot] = np.minimum(
                minds.need_heat[who, slot] + WARMTH, needs.HOTTEST
            )
            minds.need_ms[who, slot] = ts[serves]
        new = (minds.need[user] != category[:, None]).all(axis=1)
        new &= (scene.scenario[page] != SEARCH) & (rng.random(len(page)) < SPARK)
        rows = np.flatnonzero(new)
        rows = rows[np.unique(user[rows], return_index=True)[1]]
        who = user[rows]
        slot = np.argmin(needs.cooled(minds, who, ts[rows]), axis=1)
        self.births.fill(rng, minds, who, slot, category[rows])
        minds.need_heat[who, slot] = 0.8
        minds.need_ms[who, slot] = ts[rows]

    def _cart(
        self, user: NDArray[np.int64], item: NDArray[np.int32], ts: NDArray[np.int64]
    ) -> None:
        user, rows = _last(user)
        minds = self.minds
        minds.cart_item[user, 1:] = minds.cart_item[user, :-1]
        minds.cart_ms[user, 1:] = minds.cart_ms[user, :-1]
        minds.cart_item[user, 0] = item[rows]
        minds.cart_ms[user, 0] = ts[rows]

    def _buy(self, user: NDArray[np.int64], item: NDArray[np.int32], ts: NDArray[np.int64]) -> None:
        """A purchase ends the need, satiates, empties the cart of it and is remembered.

        Of several purchases of one user at a time, the last one does so.
        """
        user, rows = _last(user)
        item, ts = item[rows], ts[rows]
        minds, category = self.minds, self.reasons.items.category[item]
        for name, value in (
            ("bought", category), ("bought_shop", self.reasons.items.shop[item]), ("bought_ms", ts),
        ):  # fmt: skip
            ring = getattr(minds, name)
            ring[user, 1:] = ring[user, :-1]
            ring[user, 0] = value
        met = minds.need[user] == category[:, None]
        minds.need_heat[user] = np.where(met, 0, minds.need_heat[user])
        minds.need[user] = np.where(met, -1, minds.need[user])
        held = minds.cart_item[user] == item[:, None]
        minds.cart_item[user] = np.where(held, -1, minds.cart_item[user])
        self.reasons.interest[user, category] -= np.float32(choice.SATIATED)


def _rows(scene: Scene, keep: NDArray[np.bool_]) -> Scene:
    need = needs.Chosen(**{name: value[keep] for name, value in vars(scene.need).items()})
    return Scene(
        scene.user[keep], scene.now[keep], scene.scenario[keep], need,
        scene.item[keep], scene.shown[keep], scene.inside[keep],
    )  # fmt: skip


def _last(user: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each user once, and the index of its last row."""
    distinct, first = np.unique(user[::-1], return_index=True)
    return distinct, len(user) - 1 - first
