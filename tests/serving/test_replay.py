"""A whole day of the marketplace, replayed through the service: training-serving skew is zero."""

import numpy as np
import pyarrow as pa
import pytest

from features.property import LocalClock
from serving.contracts import milliseconds
from serving.histories import LiveBehavior
from serving.http_contracts import Asking
from serving.service import Chosen
from tests.chain import EVALUATED
from tests.serving.world import open_shop

SEQUENCE = ("type", "scenario", "gap", "daypart", "weekend")


@pytest.fixture(scope="module")
def replayed(chain, tmp_path_factory):
    """(sample, moment as the service saw it) for every sample of the day itself.

    Late rows of the day before come in at midnight; the rest as it happens.
    """
    shop = open_shop(chain, tmp_path_factory.mktemp("shop"))
    clock = LocalClock("UTC")
    start, end = clock.midnight_ms(EVALUATED), clock.end_ms(EVALUATED)
    events = chain.store.partition("events", EVALUATED, "behaviors").table()
    ts = events["ts"].cast(pa.int64()).to_numpy()
    order = np.argsort(np.maximum(ts, start), kind="stable")
    rows = events.take(pa.array(order)).to_pylist()
    samples = chain.store.partition("samples", EVALUATED).table().to_pylist()
    mine = sorted(
        (s for s in samples if start <= milliseconds(s["ts"]) < end), key=lambda s: s["ts"]
    )
    queries = queries_of(chain)
    chosen = Chosen(shop.served, "champion")
    found, place = [], 0
    for sample in mine:
        moment_ts = milliseconds(sample["ts"])
        coming = []
        while place < len(rows) and max(milliseconds(rows[place]["ts"]), start) < moment_ts:
            coming.append(live(rows[place]))
            place += 1
        shop.histories.add(coming, moment_ts)
        asking = Asking(
            user_id=sample["user_id"], ts=sample["ts"], query=queries.get(sample["sample_id"])
        )
        found.append((sample, shop.service._moment(asking, chosen)[0]))
    late = int((ts < start).sum())
    return shop, found, late


def live(row):
    return LiveBehavior(
        user_id=row["user_id"],
        item_id=row["item_id"],
        type=row["type"],
        scenario=row["scenario"],
        ts=milliseconds(row["ts"]),
    )


def queries_of(chain):
    pages = chain.store.partition("events", EVALUATED, "impressions").table()
    return {f"page-{row['request_id']}": row["query"] for row in pages.to_pylist()}


def test_late_behaviors_are_in_the_replay(replayed):
    _, found, late = replayed
    assert late > 0
    assert len(found) > 100


def test_every_history_is_the_samples(replayed):
    _, found, _ = replayed
    for sample, moment in found:
        assert moment.history.item.tolist() == sample["seq_item"]
        assert moment.query.tolist() == sample["query"]
        assert moment.profile.tolist() == sample["profile"]


def test_every_property_is_the_samples(replayed):
    shop, found, _ = replayed
    for sample, moment in found:
        properties = shop.served.ranker.inputs(moment).properties
        assert set(properties) == set(SEQUENCE)
        for name, codes in properties.items():
            assert codes.tolist() == sample[f"seq_{name}"]


def test_every_ranking_feature_is_the_samples(replayed):
    shop, found, _ = replayed
    asked = [(s, m) for s, m in found if s["cand_item"]]
    assert len(asked) > 50
    for sample, moment in asked:
        candidates = np.array(sample["cand_item"], np.int32)
        expected = np.array(sample["cand_features"], np.float32)
        np.testing.assert_array_equal(shop.served.ranker.features(moment, candidates), expected)


def test_what_is_on_offer_is_the_samples(replayed):
    shop, found, _ = replayed
    told = [(sample["price_offer"], m) for sample, m in found if sample["price_offer"]]
    assert sum(max(offer) > 2 / 7 for offer, _ in told) > 50
    for offer, moment in told:
        heard = shop.served.ranker.inputs(moment).offer_L
        np.testing.assert_array_equal(heard, np.array(offer, np.float32))
