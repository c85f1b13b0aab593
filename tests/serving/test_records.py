"""A request that is wrong in a million places is refused for the first, at the price of reading."""

import time
import tracemalloc

import orjson
import pytest
from fastapi.testclient import TestClient
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from infra.errors import InputError
from serving import app as http
from serving import contracts, records
from serving.http_contracts import BehaviorsRequest, RankRequest
from serving.settings import ServeConfig

UNKNOWN = b",".join(b'"%x":1' % number for number in range(100_000))
FEW = b",".join(b'"%x":1' % number for number in range(3_000))
BODIES = {
    "candidates": (RankRequest, b'{"user_id":"u","candidates":[%s]}' % (b"1," * 300_000 + b"1")),
    "profile": (RankRequest, b'{"user_id":"u","candidates":["i"],"profile":{%s}}' % UNKNOWN),
    "fields": (RankRequest, b'{"user_id":"u","candidates":["i"],%s}' % UNKNOWN),
    "behaviors": (BehaviorsRequest, b'{"behaviors":[%s]}' % (b"{}," * 9_999 + b"{}")),
    "a behavior": (BehaviorsRequest, b'{"behaviors":[{%s}]}' % UNKNOWN),
    "profile, few": (RankRequest, b'{"user_id":"u","candidates":["i"],"profile":{%s}}' % FEW),
    "a behavior, few": (BehaviorsRequest, b'{"behaviors":[{%s}]}' % FEW),
}
SAID = {
    "candidates": "candidates.0: Input should be a valid string.",
    "profile": "a record has 100,000 fields. Send those that /openapi.json lists.",
    "fields": "a record has 100,002 fields. Send those that /openapi.json lists.",
    "behaviors": "behaviors.0.user_id: Field required.",
    "a behavior": "a record has 100,000 fields. Send those that /openapi.json lists.",
    "profile, few": "profile: A profile has at most 1,000 columns.",
    "a behavior, few": "the record: 3,003 of its fields are unknown or wrong.",
}


@pytest.fixture
def client(shop):
    service = type(shop.service)(shop.service.versions, shop.histories, ServeConfig(), None)
    with TestClient(http.create(service)) as client:
        yield client


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_is_wrong_all_over_is_refused_in_a_sentence(client, what):
    model, body = BODIES[what]
    path = "/v1/rank" if model is RankRequest else "/v1/behaviors"
    found = client.post(path, content=body)
    assert (found.status_code, found.json()["detail"]) == (422, SAID[what])


@pytest.mark.parametrize("what", ["profile", "fields", "a behavior"])
def test_fields_that_no_record_has_cost_what_reading_them_costs(what):
    model, body = BODIES[what]

    def refused():
        with pytest.raises(InputError):
            records.parse(adapter, body)

    adapter = TypeAdapter(model)
    assert seconds(refused) < 3 * seconds(lambda: from_json(body, cache_strings=False)) + 0.05


def seconds(work):
    begin = time.thread_time()
    work()
    return time.thread_time() - begin


def test_ten_thousand_behaviors_are_read_though_they_have_many_fields():
    one = {"user_id": "u", "item_id": "i", "type": "cart", "ts": "2026-03-05T12:00:00Z"}
    body = orjson.dumps({"behaviors": [one] * 10_000})
    assert len(records.parse(TypeAdapter(BehaviorsRequest), body).behaviors) == 10_000


@pytest.mark.parametrize("what", BODIES)
def test_no_more_is_made_of_what_is_wrong_than_is_told(what):
    model, body = BODIES[what]
    with pytest.raises(ValidationError) as error:
        model.model_validate_json(body)
    tracemalloc.start()
    begin = time.thread_time()
    contracts.first(error.value)
    assert time.thread_time() - begin < 0.1
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_record_with_as_many_columns_as_a_profile_may_have_names_the_one_that_is_wrong():
    profile = dict.fromkeys(map(str, range(contracts.MOST_COLUMNS)), "x")
    assert len(RankRequest(user_id="u", candidates=["i"], profile=profile).profile) == 1_000
    with pytest.raises(InputError, match=r"profile\.0 is refused: Input should be a valid string"):
        contracts.question({"ts": 0, "profile": dict.fromkeys(profile, 1)})


def test_a_long_name_is_cut_in_what_is_told(client):
    found = client.post("/v1/rank", json={"user_id": "u", "candidates": ["i"], "x" * 9_999: 1})
    assert found.json()["detail"] == f"{'x' * 40}: Extra inputs are not permitted."


def test_candidates_that_are_too_many_are_not_looked_up(shop, tmp_path):
    versions = type(shop.service.versions)(shop.service.versions.source, tmp_path, 1e-4)
    empty = type(shop.service)(versions, shop.histories, ServeConfig(), None)
    with TestClient(http.create(empty)) as client:  # else it would be said that no version is there
        found = client.post("/v1/rank", json={"user_id": "u", "candidates": ["i"] * 20_001})
    assert (found.status_code, "(serve.max_candidates)" in found.json()["detail"]) == (422, True)
