"""Recall and ranking, and that a better ranker earns more clicks (the closed loop is closed)."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import timedelta

import numpy as np
import pytest

from evaluation.marketplace import policies
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.play import Marketplace, Played, play
from evaluation.marketplace.policies import (
    PROPOSALS,
    Actions,
    PopularityWithNoise,
    Ranked,
    Ranker,
    Requests,
)
from evaluation.marketplace.world import Floats
from tests.evaluation.marketplace.conftest import FIRST

CONFIG = MarketplaceConfig(users=400, items=800, categories=32, shops=40, icons=40)


@pytest.fixture(scope="module")
def market() -> Marketplace:
    return Marketplace.build(CONFIG, seed=1)


@dataclass(frozen=True)
class Words:
    """A ranker that reads the query: category, brand and attribute, then popularity."""

    market: Marketplace
    popularity: Floats

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        items, queries = self.market.world.items(1), requests.queries  # of two days
        item = requests.candidates
        score = 2.0 * (items.category[item] == queries.category[:, None])
        score += 2.0 * (items.brand[item] == queries.brand[:, None])
        suits = (items.attributes[item] == queries.attribute[:, None, None]).any(axis=2)
        score = (score + 2.0 * suits + self.popularity[item]).astype(np.float32)
        return Ranked(score=score, sober=score)

    def observe(self, actions: Actions) -> None:
        pass


def clicks_per_page(played: Played) -> float:
    return sum(len(part.clicks) for part in played.parts) / sum(p.pages for p in played.parts)


def test_a_ranker_that_reads_the_query_earns_more_clicks(market: Marketplace):
    plain = clicks_per_page(play(market, market.eve(), FIRST))
    reading = clicks_per_page(play(market, market.eve(), FIRST, lambda p: Words(market, p)))
    assert reading > 1.1 * plain


@dataclass(frozen=True)
class Keeping:
    """Another ranker that keeps what it is asked first: everybody's first page of the day."""

    ranker: Ranker
    asked: list[Requests]

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        self.asked.append(requests)
        return self.ranker.rank(requests, rng)

    def observe(self, actions: Actions) -> None:
        self.ranker.observe(actions)


@dataclass(frozen=True)
class Day:
    asked: Requests  # everybody's first page
    played: Played
    taste: np.ndarray
    strength: np.ndarray


def two_days(market: Marketplace, ranker: Callable[[Floats], Ranker]) -> list[Day]:
    found, carried = [], market.eve()
    for number in range(2):
        asked: list[Requests] = []
        today = FIRST + timedelta(number)
        played = play(market, carried, today, lambda p, to=asked: Keeping(ranker(p), to))
        minds, carried = played.after.minds, played.after
        found.append(Day(asked[0], played, minds.taste.copy(), minds.taste_strength.copy()))
    return found


@pytest.fixture(scope="module")
def arms(market: Marketplace) -> tuple[list[Day], list[Day]]:
    """The same two days under the logging policy, and under a ranker that reads."""
    return two_days(market, PopularityWithNoise), two_days(market, lambda p: Words(market, p))


def test_both_arms_meet_the_same_people(market: Marketplace, arms: tuple[list[Day], list[Day]]):
    """They come at the same times, new ones among them, and their tastes drift alike."""
    for plain, reading in zip(*arms, strict=True):
        assert not plain.played.parts[0].behaviors.equals(reading.played.parts[0].behaviors)
        for name in ("user", "ts"):
            np.testing.assert_array_equal(*(getattr(d.asked, name) for d in (plain, reading)))
        np.testing.assert_array_equal(plain.taste, reading.taste)
        np.testing.assert_array_equal(plain.strength, reading.strength)
    first, second = arms[0]
    assert (first.taste != second.taste).any()
    assert (market.everybody.joined[second.asked.user] == 1).any()


def test_both_arms_meet_the_same_wishes_before_they_have_shown_anything(
    arms: tuple[list[Day], list[Day]],
):
    """What is shown changes what is wanted later, so no page but everybody's first is the same."""
    plain, reading = (days[0].asked for days in arms)
    np.testing.assert_array_equal(plain.scenario, reading.scenario)
    for name, words in vars(plain.queries).items():
        np.testing.assert_array_equal(words, getattr(reading.queries, name))


def test_a_ranker_sees_nothing_latent():
    assert {f.name for f in fields(Requests)} == {
        "user", "ts", "scenario", "queries", "candidates",
    }  # fmt: skip


def test_recall_gives_items_on_sale_without_repeats(market: Marketplace):
    items = market.world.items(3)
    recall = policies.recall(market.world, items, items.fame, day=3)
    pages = 500
    rng = np.random.default_rng(0)
    category = rng.integers(0, CONFIG.categories, pages).astype(np.int32)
    drawn = recall.draw(
        rng,
        np.full(pages, policies.SEARCH, np.int8),
        category,
        market.world.category_department[category],
        np.ones(pages, bool),
        np.full(pages, -1, np.int32),
    )
    assert drawn.shape == (pages, PROPOSALS)
    there = drawn >= 0
    assert (items.death[drawn[there]] > 3).all()
    for row in drawn[:50]:
        found = row[row >= 0]
        assert len(np.unique(found)) == len(found)
    department = market.world.category_department[items.category[drawn]]
    wanted = market.world.category_department[category][:, None]
    assert (department == wanted)[there].all()
    own = (items.category[drawn] == category[:, None])[there].mean()
    assert own > 1 - policies.FUZZY - 0.15


def test_recall_follows_popularity(market: Marketplace):
    items = market.world.items(0)
    recall = policies.recall(market.world, items, items.fame, day=0)
    share = np.bincount(recall.everywhere[0], minlength=len(items)) / recall.everywhere.size
    expected = np.exp(items.fame) / np.exp(items.fame).sum()
    assert np.abs(share - expected).max() < 2 / recall.everywhere.size + 1e-6


def test_the_logging_policy_explores(market: Marketplace):
    ranker: Ranker = PopularityWithNoise(np.zeros(100, np.float32))
    one = np.ones(1, np.int64)
    requests = Requests(one, one, np.ones(1, np.int8), None, np.arange(28, dtype=np.int32)[None])
    rng = np.random.default_rng(0)
    first = {int(ranker.rank(requests, rng).score.argmax()) for _ in range(200)}
    assert len(first) > 20
    assert (ranker.rank(requests, rng).sober == 0).all()
