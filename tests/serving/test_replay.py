"""A whole day of the marketplace, replayed through the service: training-serving skew is zero.

Behaviours come in over HTTP, and every moment asks over HTTP, too. Offline a row that came in late
is known to every moment of the day of its arrival; here it is sent before the first of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from features.property import LocalClock
from features.schemas import BehaviorType, Scenario
from serving import app as http
from serving.contracts import milliseconds
from serving.http_contracts import Asking
from serving.ranker import Moment
from serving.shown import Chosen
from tests.chain import EVALUATED
from tests.serving.history_stores import KINDS
from tests.serving.world import morning, open_shop

SEQUENCE = ("type", "scenario", "gap", "daypart", "weekend")


@dataclass(frozen=True)
class Asked:
    """A sample, and what the service made of its moment."""

    sample: Mapping[str, Any]
    moment: Moment
    explained: Sequence[Mapping[str, Any]]
    """The behaviours that `/v1/explain` names."""
    ranked: Mapping[str, Mapping[str, float]]
    """Ranking features of the candidates, as `/v1/rank` answers them."""


@pytest.fixture(scope="module")
def replayed(kind, chain, tmp_path_factory):
    """The service, and every sample of the day itself as the service saw its moment."""
    folder = tmp_path_factory.mktemp("shop")
    with KINDS[kind](morning(chain, folder / "home"), folder / "work") as make:
        shop = open_shop(chain, folder, histories=make("UTC"))
        yield shop, *replay(chain, shop)


def replay(chain, shop):
    """What was asked, and how many rows came late.

    Late rows of the day before come in at midnight; the rest as it happens.
    """
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
    found, place = [], 0
    with TestClient(http.create(shop.service)) as client:
        for sample in mine:
            moment_ts = milliseconds(sample["ts"])
            coming = []
            while place < len(rows) and max(milliseconds(rows[place]["ts"]), start) < moment_ts:
                coming.append(live(rows[place]))
                place += 1
            send(client, coming)
            found.append(ask(client, shop, sample, queries.get(sample["sample_id"])))
    late = int((ts < start).sum())
    return found, late


def live(row):
    return {
        "user_id": row["user_id"],
        "item_id": row["item_id"],
        "type": BehaviorType(row["type"]).name.lower(),
        "scenario": Scenario(row["scenario"]).name.lower(),
        "ts": row["ts"].isoformat(),
    }


def send(client, coming):
    if coming:
        answer = client.post("/v1/behaviors", json={"behaviors": coming})
        assert (answer.status_code, answer.json()["taken"]) == (200, len(coming))


def ask(client, shop, sample, query):
    """The moment itself, and the two answers that tell of it."""
    asking = {"user_id": sample["user_id"], "ts": sample["ts"].isoformat(), "query": query}
    chosen = Chosen(shop.served, "champion")
    moment = shop.service._moment(Asking.model_validate(asking), chosen)[0]
    explained = client.post("/v1/explain", json=asking).json()["behaviors"]
    ids = named(shop, sample["cand_item"] or [])
    ranked = {}
    if ids:
        body = {**asking, "candidates": ids, "features": True, "page": False, "top_k": len(ids)}
        items = client.post("/v1/rank", json=body).json()["items"]
        ranked = {item["item_id"]: item["features"] for item in items}
    return Asked(sample, moment, explained, ranked)


def named(shop, rows):
    """Item ids of catalog rows; an id that nobody knows where a row has none."""
    ids = shop.served.ids.take(pa.array(rows, pa.int32())).to_pylist()
    return [one if one is not None else "nobody knows it" for one in ids]


def queries_of(chain):
    pages = chain.store.partition("events", EVALUATED, "impressions").table().to_pylist()
    return {f"page-{row['user_hash']:016x}-{row['request_id']}": row["query"] for row in pages}


def test_late_behaviors_are_in_the_replay(replayed):
    _, found, late = replayed
    assert late > 0
    assert len(found) > 100


def test_every_history_is_the_samples(replayed):
    _, found, _ = replayed
    for one in found:
        assert one.moment.history.item.tolist() == one.sample["seq_item"]
        assert one.moment.query.tolist() == one.sample["query"]
        assert one.moment.profile.tolist() == one.sample["profile"]


def test_every_history_that_is_told_is_the_samples(replayed):
    """Over HTTP; an item that the catalog does not know has no name there."""
    shop, found, _ = replayed
    assert max(len(one.explained) for one in found) > 20
    for one in found:
        told, sample = one.explained, one.sample
        ids = shop.served.ids.take(pa.array(sample["seq_item"], pa.int32())).to_pylist()
        assert [done["item_id"] for done in told] == ids
        kinds = [(BehaviorType(n), Scenario(m)) for n, m in zip(
            sample["seq_type"], sample["seq_scenario"], strict=True)]  # fmt: skip
        assert [(done["type"], done["scenario"]) for done in told] == [
            (kind.name.lower(), scenario.name.lower()) for kind, scenario in kinds
        ]


def test_every_property_is_the_samples(replayed):
    shop, found, _ = replayed
    for one in found:
        properties = shop.served.ranker.inputs(one.moment).properties
        assert set(properties) == set(SEQUENCE)
        for name, codes in properties.items():
            assert codes.tolist() == one.sample[f"seq_{name}"]


def test_every_ranking_feature_is_the_samples(replayed):
    """Over HTTP, to the last bit."""
    shop, found, _ = replayed
    asked = [one for one in found if one.sample["cand_item"]]
    assert len(asked) > 50
    for one in asked:
        names = named(shop, one.sample["cand_item"])
        answered = [list(one.ranked[name].values()) for name in names]
        expected = np.array(one.sample["cand_features"], np.float32)
        np.testing.assert_array_equal(np.array(answered, np.float32), expected)


def test_what_is_on_offer_is_the_samples(replayed):
    shop, found, _ = replayed
    told = [(one.sample["price_offer"], one.moment) for one in found if one.sample["price_offer"]]
    assert sum(max(offer) > 2 / 7 for offer, _ in told) > 50
    for offer, moment in told:
        heard = shop.served.ranker.inputs(moment).offer_L
        np.testing.assert_array_equal(heard, np.array(offer, np.float32))
