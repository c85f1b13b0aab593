"""Arms side by side: who answers whom, what the log says of it, and what an arm hears."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from evaluation.marketplace.arms import Arm, Exploring, Shuffled, Split, Stamp, assignment
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.day import UNPROMPTED
from evaluation.marketplace.play import Marketplace, Played, play
from evaluation.marketplace.policies import (
    PROPOSALS,
    Actions,
    PopularityWithNoise,
    Ranked,
    Requests,
)
from evaluation.marketplace.run import Writer
from features.abtest.assignment import arms
from infra.store import Store
from serving.exposures import Exposure
from tests.evaluation.marketplace.conftest import FIRST

CONFIG = MarketplaceConfig(users=300, items=800, categories=32, shops=40, icons=40)
SHARES = {"policy": 0.5, "model": 0.5}
STAMPS = (Stamp(variant="policy"), Stamp(variant="model", model_version="7", line="dupn"))


@dataclass
class Numbers:
    """Ranks by item number, says level 3, and keeps what it hears and is asked."""

    heard: list[Actions] = field(default_factory=list)
    asked: list[tuple[Requests, int]] = field(default_factory=list)

    def rank(self, requests: Requests, rng: np.random.Generator) -> Ranked:
        self.asked.append((requests, sum(len(actions.user) for actions in self.heard)))
        score = -requests.candidates.astype(np.float32)
        level = np.full(requests.candidates.shape, 3, np.int8)
        return Ranked(
            score=score, sober=score, ctr=score, l2r=score, price_level=level[:, 0], level=level
        )

    def observe(self, actions: Actions) -> None:
        self.heard.append(actions)


@dataclass(frozen=True)
class Lived:
    model: Numbers
    played: Played
    impressions: pl.DataFrame
    arm_of: np.ndarray


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """One day, half of the users with a ranker of item numbers."""
    store, model = Store(tmp_path_factory.mktemp("arms")), Numbers()
    market = Marketplace.build(CONFIG, seed=1)
    arm_of = assignment(CONFIG.users, "salt", SHARES)
    arms = (Arm(STAMPS[0], PopularityWithNoise), Arm(STAMPS[1], lambda _: model))
    played = play(market, market.eve(), FIRST, Split.of(arm_of, arms), STAMPS)
    Writer(store, FIRST, market).write(played)
    table = store.partition("raw", FIRST, "impressions").table()
    return Lived(model, played, pl.DataFrame(table), arm_of)


def number(ids: pl.Series) -> np.ndarray:
    return ids.str.slice(1).cast(pl.Int64).to_numpy()


def test_users_are_split_by_the_hash_that_serving_uses():
    ids = pa.array([f"u{n:07d}" for n in range(500)])
    expected = np.array([list(SHARES).index(arm) for arm in arms(ids, "salt", SHARES)])
    np.testing.assert_array_equal(assignment(500, "salt", SHARES), expected)


def test_a_page_is_logged_with_the_arm_of_its_user(lived: Lived):
    of = np.array(list(SHARES))[lived.arm_of[number(lived.impressions["user_id"])]]
    assert lived.impressions["variant"].to_list() == of.tolist()
    assert set(lived.impressions["variant"]) == set(SHARES)


def test_exposures_have_the_columns_that_serving_writes(lived: Lived):
    written = list(Exposure.__dataclass_fields__)
    assert [*lived.impressions.columns, "latency_ms"] == written  # nobody waits for these pages


def test_an_arm_that_says_nothing_is_logged_with_nothing(lived: Lived):
    policy = lived.impressions.filter(variant="policy")
    model = lived.impressions.filter(variant="model")
    assert policy[["ctr", "l2r", "price_level"]].null_count().row(0) == (len(policy),) * 3
    assert model["model_version"].unique().to_list() == ["7"]
    assert model["price_level"].unique().to_list() == [3]
    assert model["l2r"].list.len().equals(model["item_ids"].list.len())


def test_scores_are_logged_beside_the_items_that_they_are_of(lived: Lived):
    model = lived.impressions.filter(variant="model")
    items = number(model["item_ids"].explode())
    np.testing.assert_array_equal(model["ctr"].explode().to_numpy(), -items.astype(np.float32))


def test_pages_show_the_highest_scores_first(lived: Lived):
    model = lived.impressions.filter(variant="model")
    assert model["l2r"].list.sort(descending=True).equals(model["l2r"])


def joined(actions: list[Actions], name: str) -> np.ndarray:
    return np.concatenate([getattr(one, name) for one in actions])


def test_an_arm_hears_of_its_own_users_only(lived: Lived):
    user, kind = (joined(lived.model.heard, name) for name in ("user", "type"))
    assert (lived.arm_of[user] == 1).all()
    assert set(kind) == {1, 2, 3, 4}
    clicked = lived.played.effects.by_user["clicked"][lived.arm_of == 1].sum()
    assert (kind == 1).sum() == clicked


def test_whatever_was_done_before_a_page_was_heard_before_it_is_ranked(lived: Lived):
    user, ts = (joined(lived.model.heard, name) for name in ("user", "ts"))
    for requests, so_far in lived.model.asked:
        for person, now in zip(requests.user.tolist(), requests.ts.tolist(), strict=True):
            mine = user == person
            assert (ts[mine] < now).sum() == mine[:so_far].sum()


def test_actions_carry_the_scenario_of_their_page(lived: Lived):
    """A page is the newest that the person asked for; what nobody prompted is of none."""
    names = ["user", "ts", "scenario"]
    asked = pl.concat(
        pl.DataFrame({name: getattr(one, name) for name in names}) for one, _ in lived.model.asked
    )
    heard = pl.DataFrame({name: joined(lived.model.heard, name) for name in [*names, "type"]})
    prompted = heard.filter(pl.col("scenario") != UNPROMPTED).sort("ts")
    pages = prompted.join_asof(asked.sort("ts"), on="ts", by="user", suffix="_of_page")
    assert pages["scenario_of_page"].equals(pages["scenario"], null_equal=False)
    assert set(pages.filter(type=1)["scenario"]) == {1, 2, 3}
    assert set(heard.filter(scenario=UNPROMPTED)["type"]) == {4}


def test_arms_change_nothing_of_a_world_in_which_all_arms_are_the_policy():
    market = Marketplace.build(CONFIG, seed=1)
    plain = play(market, market.eve(), FIRST)
    arms = (Arm(STAMPS[0], PopularityWithNoise),)
    split = Split.of(np.zeros(CONFIG.users, np.int8), arms)
    same = play(market, market.eve(), FIRST, split, STAMPS[:1])
    assert plain.parts[0].behaviors.equals(same.parts[0].behaviors)
    assert plain.parts[0].truth_pages.equals(same.parts[0].truth_pages)


def truth_by_place(played: Played) -> np.ndarray:
    """Mean `p_click` of the first and of the last items of logged pages."""
    chances = pl.concat(pl.DataFrame(part.truth_pages)["p_click"] for part in played.parts)
    ends = (chances.list.head(3), chances.list.tail(3))
    return np.array([end.explode().mean() for end in ends])


def test_the_truth_of_shuffled_scores_does_not_know_where_chance_put_an_item():
    market = Marketplace.build(MarketplaceConfig(users=1000, items=3000), seed=1)
    played = play(market, market.eve(), FIRST, lambda p: Shuffled(PopularityWithNoise(p)))
    first, last = truth_by_place(played)
    assert first == pytest.approx(last, rel=0.1)


def test_shuffled_scores_are_those_of_the_page_and_what_is_sober_stays():
    none, candidates = (
        np.zeros(50, np.int64),
        np.tile(np.arange(PROPOSALS, dtype=np.int32), (50, 1)),
    )
    requests = Requests(none, none, none.astype(np.int8), None, candidates)
    ranked = Shuffled(Numbers()).rank(requests, np.random.default_rng(0))
    np.testing.assert_array_equal(ranked.sober, -candidates)
    np.testing.assert_array_equal(-np.sort(-ranked.score, axis=1), -candidates)
    assert (ranked.score != ranked.sober).any(axis=1).all()


def test_an_arm_that_is_shuffled_ranks_as_its_ranker_shuffled():
    market = Marketplace.build(CONFIG, seed=1)
    said = Arm(STAMPS[0], PopularityWithNoise, shuffled=True)
    made = Arm(STAMPS[0], lambda popularity: Shuffled(PopularityWithNoise(popularity)))
    everybody = np.zeros(CONFIG.users, np.int8)
    mine, theirs = (
        play(market, market.eve(), FIRST, Split.of(everybody, [arm]), STAMPS[:1])
        for arm in (said, made)
    )
    assert mine.parts[0].impressions.equals(theirs.parts[0].impressions)
    assert mine.parts[0].behaviors.equals(theirs.parts[0].behaviors)


def test_exploration_deals_its_share_of_pages_at_random():
    pages = 4_000
    candidates = np.tile(np.arange(PROPOSALS, dtype=np.int32), (pages, 1))
    none = np.zeros(pages, np.int64)
    requests = Requests(none, none, none.astype(np.int8), None, candidates)
    ranked = Exploring(Numbers(), 0.25).rank(requests, np.random.default_rng(0))
    dealt = (np.argsort(-ranked.score, axis=1) != np.arange(PROPOSALS)).any(axis=1)
    assert dealt.mean() == pytest.approx(0.25, abs=0.03)
    np.testing.assert_array_equal(ranked.sober, -candidates)
    first = np.argsort(-ranked.score[dealt], axis=1)[:, 0]
    assert np.bincount(first, minlength=PROPOSALS).min() > 10
