"""Many pages at once are answered as the service answers them one by one."""

import numpy as np
import pyarrow as pa
import pytest

from features.buckets import hash_ids
from serving import snapshot
from serving.crowd import Behaviors, Crowd
from serving.histories import LiveBehavior
from serving.moments import Moments, query_tokens
from serving.pages import PageRanker
from tests.chain import EVALUATED, recorded_questions
from tests.serving.world import open_shop

CANDIDATES = 28
PEOPLE = 150
STRANGERS = 3
MINUTE = 60_000


def midnight() -> int:
    return int(np.datetime64(EVALUATED, "ms").astype(np.int64))


@pytest.fixture(scope="module")
def shop(chain, tmp_path_factory):
    return open_shop(chain, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def ids():
    return [f"u{number:07d}" for number in range(PEOPLE)] + [f"new{n}" for n in range(STRANGERS)]


@pytest.fixture(scope="module")
def live(shop, ids):
    """What some did today, in the order of arrival; one thing twice at the same millisecond."""
    rng = np.random.default_rng(0)
    count = 600
    items = np.array(shop.served.ids.drop_null().to_pylist())
    ts = midnight() + rng.integers(0, 600, count) * MINUTE
    ts[1] = ts[0]
    user = rng.integers(0, len(ids) - 1, count).astype(np.int32)
    user[1] = user[0]
    return (
        user, items[rng.integers(0, len(items), count)], ts,
        rng.integers(1, 5, count).astype(np.int8), rng.integers(1, 5, count).astype(np.int8),
    )  # fmt: skip


@pytest.fixture(scope="module")
def asked(shop, ids):
    """User, time, query and candidates of many moments."""
    rng = np.random.default_rng(1)
    count = 400
    words = [r["question"]["query"] for r in recorded_questions(shop.chain)]
    queries = [words[i % len(words)] if i % 3 else None for i in range(count)]
    queries[0] = "nobody knows this"
    rows = rng.integers(0, len(shop.served.ids), (count, CANDIDATES)).astype(np.int32)
    rows[:, -1] = -1
    return (
        rng.integers(0, len(ids), count).astype(np.int32),
        midnight() + rng.integers(0, 700, count) * MINUTE,
        queries, rows,
    )  # fmt: skip


@pytest.fixture(scope="module")
def crowd(shop, ids, live):
    people = hash_ids(pa.array(ids))
    made = Crowd(shop.histories.snapshot, people, shop.served.rows_of_hashes)
    user, item, ts, kind, scenario = live
    rows = shop.served.rows_of(pa.array(item.tolist()))
    halves = np.array_split(np.arange(len(user)), 2)
    for part in halves:
        made.add(Behaviors(user=user[part], item=rows[part], ts=ts[part], type=kind[part],
                           scenario=scenario[part]))  # fmt: skip
    events = [
        LiveBehavior(ids[u], i, int(k), int(s), int(t))
        for u, i, t, k, s in zip(user, item, ts, kind, scenario, strict=True)
    ]
    shop.histories.add(events, arrived=midnight())
    return made


@pytest.fixture(scope="module")
def moments(shop, crowd, asked):
    user, ts, queries, _ = asked
    length, past = crowd.before(user, ts)
    query = query_tokens(pa.array(queries, pa.string()), shop.served.bundle.world.token)
    return Moments(
        ts=ts, length=length, item=past.item, behaved=past.ts, type=past.type,
        scenario=past.scenario, query=query, profile=crowd.profiles[user],
    )  # fmt: skip


@pytest.fixture(scope="module")
def one_by_one(shop, crowd, ids, asked):
    """The service's own way: a look-up and a pass of the network each."""
    found = []
    for user, ts, query, rows in zip(*asked, strict=True):
        past = shop.histories.before(ids[user], int(ts))
        profile = shop.histories.profile(ids[user], shop.served.profile_columns)
        moment = shop.served.moment(int(ts), past, query, profile)
        candidates = np.where(rows < 0, np.int32(2**31 - 1), rows)  # an item nobody knows
        found.append((moment, shop.served.answer(moment, candidates)))
    return found


def test_histories_are_those_of_the_live_store(moments, one_by_one):
    start, stop = moments.spans.start, moments.spans.stop
    for index, (moment, _) in enumerate(one_by_one):
        mine = slice(start[index], stop[index])
        np.testing.assert_array_equal(moments.item[mine], moment.history.item)
        np.testing.assert_array_equal(moments.behaved[mine], moment.history.ts)
        np.testing.assert_array_equal(moments.type[mine], moment.history.type)
        np.testing.assert_array_equal(moments.scenario[mine], moment.history.scenario)


def test_histories_are_long_and_short_and_hold_the_day(moments):
    assert moments.length.max() == 100
    assert moments.length.min() == 0
    assert (moments.behaved >= midnight()).sum() > 100


def test_scores_and_price_levels_are_the_rankers_own(shop, moments, asked, one_by_one):
    scored = PageRanker(shop.served.ranker).rank(moments, asked[-1])
    for index, (_, answer) in enumerate(one_by_one):
        np.testing.assert_allclose(scored.ctr[index], answer.ranked.ctr, atol=1e-5, rtol=0)
        np.testing.assert_allclose(scored.l2r[index], answer.ranked.l2r, atol=1e-5, rtol=0)
        preference = answer.heard.price_preference
        np.testing.assert_allclose(scored.price_preference[index], preference, atol=1e-5, rtol=0)
        assert scored.price_level[index] == preference.argmax() + 1


def test_ranking_features_are_the_rankers_own(shop, moments, asked, one_by_one):
    pages = PageRanker(shop.served.ranker).desk.pages(moments, asked[-1])
    features = pages.features.reshape(len(moments), CANDIDATES, -1)
    for index, (_, answer) in enumerate(one_by_one):
        np.testing.assert_array_equal(features[index], answer.ranked.features)


def test_the_batch_is_what_the_whole_network_reads(shop, moments, asked):
    ranker = PageRanker(shop.served.ranker)
    rows = np.arange(50)
    pages = ranker.desk.pages(moments.take(rows), asked[-1][rows])
    out = ranker.ranker.model(pages.batch)
    scored = ranker.rank(moments, asked[-1])
    np.testing.assert_allclose(out.l2r_C.detach().reshape(50, -1), scored.l2r[:50], atol=1e-5)


def test_a_day_without_snapshot_begins_with_nobody_known(shop):
    crowd = Crowd(snapshot.empty(EVALUATED), np.arange(5, dtype=np.uint64), lambda h: h)
    length, past = crowd.before(np.array([3, 4], np.int32), np.full(2, midnight()))
    assert length.tolist() == [0, 0]
    assert len(past.item) == 0


def test_what_is_heard_between_two_pages_joins_what_was_heard_before():
    rng = np.random.default_rng(3)
    user, ts = rng.integers(0, 5, 90).astype(np.int32), midnight() + rng.integers(0, 20, 90)
    item, kind = np.arange(90, dtype=np.int32), np.ones(90, np.int8)
    heard = Behaviors(user=user, item=item, ts=ts, type=kind, scenario=kind)
    asked = np.arange(5, dtype=np.int32), np.full(5, midnight() + 15)
    bit_by_bit, at_once = (
        Crowd(snapshot.empty(EVALUATED), np.arange(5, dtype=np.uint64), lambda h: h)
        for _ in range(2)
    )
    at_once.add(heard)
    for rows in np.array_split(np.arange(90), 3):
        bit_by_bit.add(heard.take(rows))
        length, past = bit_by_bit.before(*asked)
    order = np.lexsort((item, ts, user))  # of equal times, what arrived first
    early = order[ts[order] < midnight() + 15]
    assert past.item.tolist() == at_once.before(*asked)[1].item.tolist() == early.tolist()
    assert length.tolist() == np.bincount(user[early]).tolist()
