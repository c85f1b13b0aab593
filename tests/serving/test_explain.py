"""How much each behaviour counts, as `/v1/explain` tells it."""

from datetime import UTC, datetime

import pytest

from serving.contracts import milliseconds


def test_attention_is_explained_behavior_by_behavior(client, shop, user):
    when, query = datetime(2026, 3, 5, 12, tzinfo=UTC), "shoes"
    asked = {"user_id": user, "query": query, "ts": when.isoformat()}
    told = client.post("/v1/explain", json=asked).json()["behaviors"]
    past = shop.histories.before(user, milliseconds(when))
    profile = shop.histories.profile(user, shop.served.profile_columns)
    moment = shop.served.moment(milliseconds(when), past, query, profile)
    weights = shop.served.ranker.hear(moment).attention.tolist()
    assert [one["weight"] for one in told] == pytest.approx(weights)
    assert sum(weights) == pytest.approx(1, abs=1e-4)
    assert len({round(weight, 6) for weight in weights}) > 1
    times = [one["ts"] for one in told]
    assert times == sorted(times)


def test_what_is_explained_is_what_was_done(client, ids):
    done = [
        {"item_id": ids[5], "type": "cart", "scenario": "search", "ts": "2026-03-03T10:00:00Z"},
        {"item_id": "never seen", "type": "click", "scenario": "ad", "ts": "2026-03-03T11:00:00Z"},
    ]
    sent = [{"user_id": "explained", **one} for one in done]
    client.post("/v1/behaviors", json={"behaviors": sent})
    found = client.post("/v1/explain", json={"user_id": "explained"}).json()["behaviors"]
    for one, told in zip(done, found, strict=True):
        when = datetime.fromisoformat(told["ts"]), datetime.fromisoformat(one["ts"])
        assert when[0] == when[1]
        assert (told["type"], told["scenario"]) == (one["type"], one["scenario"])
    assert [told["item_id"] for told in found] == [ids[5], None]
