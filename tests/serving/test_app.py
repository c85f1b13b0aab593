"""The HTTP service: what callers get, and what they get when they ask badly."""

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import orjson
import pytest
from fastapi.testclient import TestClient

from infra.store import Store
from serving import app as http
from serving import snapshot
from serving.arrow import MEDIA_TYPE
from serving.exposures import ExposureLog
from serving.histories import LocalHistories
from serving.settings import ServeConfig
from tests.chain import EVALUATED


def rank(client, **body):
    return client.post("/v1/rank", json=body)


def test_candidates_come_back_best_first(client, ids, user):
    found = rank(client, user_id=user, candidates=ids[:50], query="shoes", top_k=50).json()
    scores = [item["l2r"] for item in found["items"]]
    assert scores == sorted(scores, reverse=True)
    assert [item["rank"] for item in found["items"]] == list(range(1, 51))
    assert {item["item_id"] for item in found["items"]} == set(ids[:50])
    assert sum(found["price_preference"]) == pytest.approx(1, abs=1e-5)


def test_every_answer_states_its_model(client, ids, user):
    found = rank(client, user_id=user, candidates=ids[:1]).json()
    stamp = (found["model_version"], found["line"], found["variant"])
    assert stamp == ("1", "dupn", "champion")
    assert found["representation_version"] == "1"
    assert len(found["request_id"]) == 32


def test_features_are_named_and_only_where_asked(client, ids, user):
    plain = rank(client, user_id=user, candidates=ids[:3]).json()["items"][0]
    assert plain["features"] is None
    asked = rank(client, user_id=user, candidates=ids[:3], features=True).json()["items"][0]
    assert asked["features"]["bias"] == 1.0
    assert len(asked["features"]) > 20


def test_strangers_unknown_items_and_unknown_words_are_answered(client):
    found = rank(
        client, user_id="nobody", candidates=["none", "neither"], query="xyzzy", profile={"x": "y"}
    )
    assert found.status_code == 200
    assert found.json()["unknown"] == 2
    one, two = found.json()["items"]
    assert one["ctr"] == pytest.approx(two["ctr"], abs=1e-6)  # rows of one product round apart
    assert [one["item_id"], two["item_id"]] == ["none", "neither"]


def test_a_search_recalls_then_ranks(client, shop, user):
    word = shop.served.bundle.world.titles.drop_null()[0].as_py().split()[0]
    found = client.post("/v1/search", json={"user_id": user, "query": word, "top_k": 5}).json()
    assert found["recalled"] >= len(found["items"]) > 0
    titles = dict(zip(shop.served.ids.to_pylist(), shop.served.bundle.world.titles.to_pylist(),
                      strict=True))  # fmt: skip
    assert all(word in titles[item["item_id"]] for item in found["items"])


def test_an_items_scores_are_its_own_wherever_it_stood_among_the_candidates(client, ids, user):
    def scored(candidates):
        found = rank(client, user_id=user, candidates=candidates, features=True, top_k=20).json()
        return {
            one["item_id"]: [one["ctr"], one["l2r"], *one["features"].values()]
            for one in found["items"]
        }

    one, two = scored(ids[:20]), scored(ids[19::-1])
    assert one.keys() == two.keys() == set(ids[:20])
    assert len({ctr for ctr, *_ in one.values()}) > 10
    for item, scores in one.items():
        assert scores == pytest.approx(two[item], abs=1e-6)


def test_where_no_number_is_named_the_settings_say_how_many(client, shop, ids, user):
    assert len(rank(client, user_id=user, candidates=ids[:50]).json()["items"]) == 10
    titles = " ".join(shop.served.bundle.world.titles.drop_null().to_pylist()[:99])[:1000]
    found = client.post("/v1/search", json={"user_id": user, "query": titles}).json()
    assert (found["recalled"], len(found["items"])) == (50, 10)


def test_a_search_without_a_hit_is_an_empty_page(client, user):
    found = client.post("/v1/search", json={"user_id": user, "query": "qqqq"})
    assert (found.status_code, found.json()["items"], found.json()["recalled"]) == (200, [], 0)


def test_the_next_request_sees_a_live_behavior(client, ids):
    path = "/v1/users/fresh/representation"
    before = client.get(path).json()
    sent = {"user_id": "fresh", "item_id": ids[3], "type": "cart", "event_id": "once"}
    assert client.post("/v1/behaviors", json={"behaviors": [sent]}).json()["taken"] == 1
    assert client.post("/v1/behaviors", json={"behaviors": [sent]}).json()["taken"] == 0
    after = client.get(path).json()
    assert (before["behaviors"], after["behaviors"]) == (0, 1)
    assert before["representation"] != after["representation"]


def test_the_days_of_a_marketplace_may_lie_ahead_of_ours(shop, ids, tmp_path):
    night = (datetime.now(UTC) + timedelta(days=30)).date()
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(night), "UTC")
    service = type(shop.service)(shop.service.versions, histories, shop.service.config, None)
    sent = {"user_id": "u", "item_id": ids[0], "type": "cart"}
    with TestClient(http.create(service)) as client:
        for days, code in ((2, 200), (3, 422)):
            one = sent | {"ts": f"{night + timedelta(days=days)}T12:00:00Z"}
            assert client.post("/v1/behaviors", json={"behaviors": [one]}).status_code == code


def test_a_profile_that_is_sent_is_the_one_that_counts(client, shop):
    words = shop.served.bundle.profile[0]
    known = shop.chain.store.latest("events", EVALUATED, "users").table()
    column = words.feature.removeprefix("profile_")
    values = [one for one in known[column].unique().to_pylist() if one]
    sent = [{}, *({column: value} for value in values[:2])]
    answers = [rank(client, user_id="n", candidates=["i"], profile=one).json() for one in sent]
    assert len({tuple(one["price_preference"]) for one in answers}) == 3


@pytest.mark.parametrize("ahead", [{"days": 3}, {"days": 40_000}])
def test_a_behavior_of_a_time_that_has_not_come_is_refused_and_none_is_taken(client, ids, ahead):
    when = datetime.now(UTC) + timedelta(**ahead)
    early = f"early{ahead['days']}"
    sent = [{"user_id": early, "item_id": ids[0], "type": "cart"}] * 2
    sent[1] = sent[1] | {"ts": when.isoformat()}
    found = client.post("/v1/behaviors", json={"behaviors": sent})
    assert (found.status_code, found.json()["detail"][:16]) == (422, "behaviors.1.ts: ")
    assert client.get(f"/v1/users/{early}/representation").json()["behaviors"] == 0
    sent[1]["ts"] = (datetime.now(UTC) + timedelta(days=1)).isoformat()  # a caller's own clock
    assert client.post("/v1/behaviors", json={"behaviors": sent}).json()["taken"] == 2


@pytest.mark.parametrize(("zone", "code"), [("+00:01", 422), ("+00:00", 200)])
def test_a_behavior_that_was_taken_can_be_told_again(client, ids, zone, code):
    sent = {"user_id": "old" + zone, "item_id": ids[0], "type": "click"}
    one = sent | {"ts": f"0001-01-01T00:00:00{zone}"}
    assert client.post("/v1/behaviors", json={"behaviors": [one]}).status_code == code
    found = client.post("/v1/explain", json={"user_id": sent["user_id"]})
    assert (found.status_code, len(found.json()["behaviors"])) == (200, int(code == 200))


@pytest.mark.parametrize("name", ["representation", "price_preference"])
@pytest.mark.parametrize(
    "user", ["shop/u1", "shop%2Fu1", "shop/price_preference", "/", "a//b", "%0A", "a%0Ab%0A"]
)
def test_an_id_may_hold_slashes_and_ends_of_lines(client, user, name):
    found = client.get(f"/v1/users/{user}/{name}")
    assert (found.status_code, found.json()["user_id"]) == (200, unquote(user))
    metrics = client.get("/metrics").text
    assert f'dupn_requests_total{{endpoint="/v1/users/{{user_id}}/{name}",status="200"}}' in metrics


@pytest.mark.parametrize("path", ["rank", "search", "explain", "behaviors"])
def test_a_time_without_an_offset_is_a_problem_that_says_what_to_write(client, path):
    body = {"user_id": "u", "ts": "2026-03-05T12:00:00"}
    body |= {"rank": {"candidates": ["i"]}, "search": {"query": "shoes"}}.get(path, {})
    done = {"behaviors": [body | {"item_id": "i", "type": "click"}]}
    found = client.post(f"/v1/{path}", json=done if path == "behaviors" else body)
    said = "ts: it has no offset. Write 2026-03-05T12:00:00Z, or +08:00 in place of the Z."
    assert (found.status_code, found.json()["status"]) == (422, 422)
    assert found.json()["detail"].endswith(said)


@pytest.mark.parametrize("name", ["representation", "price_preference"])
@pytest.mark.parametrize(
    ("ts", "code"),
    [("2026-03-05T12:00:00", 422), ("2026-03-05T12:00:00Z", 200), ("1772712000", 200)],
)
def test_so_it_is_in_an_address(client, name, ts, code):
    assert client.get(f"/v1/users/u/{name}", params={"ts": ts}).status_code == code


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Invalid JSON"),
        (b"{}", "user_id"),
        (b'{"user_id": "u", "candidates": []}', "candidates"),
        (b'{"user_id": "u", "candidates": ["i"], "tpo_k": 3}', "tpo_k"),
        (b'{"user_id": "u", "candidates": ["i"], "ts": "yesterday"}', "ts"),
        (orjson.dumps({"user_id": "u", "candidates": ["i"] * 301}), "serve.max_candidates"),
        (b"\xff\xfe", "Invalid JSON"),
    ],
)
def test_bad_json_is_a_problem_that_names_it(client, body, said):
    found = client.post("/v1/rank", content=body)
    assert (found.status_code, found.json()["status"]) == (422, 422)
    assert said in found.json()["detail"]
    assert found.headers["content-type"] == "application/problem+json"


def test_as_many_candidates_as_the_setting_says_are_ranked(client):
    found = rank(client, user_id="u", candidates=[*map(str, range(300))], top_k=300, page=False)
    assert (found.status_code, len(found.json()["items"])) == (200, 300)


def test_a_number_of_items_that_no_machine_holds_is_no_error(client, ids, user):
    assert rank(client, user_id=user, candidates=ids[:2], top_k=10**30).status_code == 200


@pytest.mark.parametrize("path", ["rank", "search"])
def test_a_page_of_a_day_that_no_night_reads_is_refused_and_makes_none(shop, ids, tmp_path, path):
    log = ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")
    service = type(shop.service)(shop.service.versions, shop.histories, shop.service.config, log)
    body = {"user_id": "u", "query": "shoes", "ts": "2031-05-05T00:00:00Z"}
    body |= {"candidates": ids[:2]} if path == "rank" else {}
    with TestClient(http.create(service)) as client:
        found = client.post(f"/v1/{path}", json=body)
        assert (found.status_code, found.json()["detail"][:3]) == (422, "ts:")
        assert client.post(f"/v1/{path}", json=body | {"page": False}).status_code == 200
        assert log.flush() == 0
        of_the_night = {"ts": f"{shop.histories.day}T23:00:00Z"}
        assert rank(client, user_id="u", candidates=ids[:2], **of_the_night).status_code == 200
        assert log.flush() == 1
    assert [day.isoformat() for day in log.store.dates("raw")] == [str(shop.histories.day)]


def test_what_is_logged_of_a_page_is_what_was_answered(shop, ids, user, tmp_path):
    log = ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")
    service = type(shop.service)(shop.service.versions, shop.histories, shop.service.config, log)
    day = shop.histories.day
    asked = {"user_id": user, "query": "shoes", "scenario": "search"}
    with TestClient(http.create(service)) as client:
        found = rank(client, **asked, candidates=ids[:30], ts=f"{day}T23:00:00.5Z", top_k=5).json()
    log.flush()
    (name,) = log.store.names(f"raw/dt={day}/impressions")
    logged = orjson.loads(log.store.get(f"raw/dt={day}/impressions/{name}"))
    assert asked.items() <= logged.items()
    for fact in ("request_id", "variant", "model_version", "line"):
        assert logged[fact] == found[fact]
    for column, of in (("item_ids", "item_id"), ("ctr", "ctr"), ("l2r", "l2r")):
        assert logged[column] == [item[of] for item in found["items"]]
    likeliest = max(found["price_preference"])
    assert logged["price_level"] == 1 + found["price_preference"].index(likeliest)
    assert datetime.fromtimestamp(logged["ts"] / 1000, UTC).isoformat() == (
        f"{day}T23:00:00.500000+00:00"
    )
    assert 0.1 < logged["latency_ms"] < 60_000


def test_an_error_that_nobody_foresaw_is_a_problem_too(shop, ids, tmp_path, caplog):
    class Spoilt(ExposureLog):
        def add(self, exposure):
            raise RuntimeError(f"nobody thought of {exposure.request_id}")

    spoilt = Spoilt(shop.chain.store, tmp_path / "spool", "UTC")
    service = type(shop.service)(shop.service.versions, shop.histories, shop.service.config, spoilt)
    with TestClient(http.create(service)) as client:
        found = rank(client, user_id="u", candidates=ids[:2])
    assert (found.status_code, found.json()["status"]) == (500, 500)
    assert found.headers["content-type"] == "application/problem+json"
    assert "POST /v1/rank failed" in caplog.text
    assert "Traceback" in caplog.text


def test_a_body_that_is_too_long_is_refused_before_it_is_read(client):
    found = client.post("/v1/rank", content=b"x" * 20_001)
    assert (found.status_code, found.json()["title"]) == (413, "Content Too Large")

    assert client.post("/v1/rank", content=b"x" * 20_000).status_code == 422


@pytest.mark.parametrize(("parts", "read", "status"), [(9, 3, 413), (2, 2, 422)])
def test_a_body_in_parts_is_read_no_further_than_it_may_be_long(client, parts, read, status):
    given, said = [], []

    async def receive():
        given.append(b"x" * 10_000)
        return {"type": "http.request", "body": given[-1], "more_body": len(given) < parts}

    async def send(message):
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/rank", "headers": []}
    asyncio.run(client.app({**scope, "query_string": b""}, receive, send))
    assert (said[0]["status"], len(given)) == (status, read)


def test_unknown_paths_and_methods_are_problems_too(client):
    assert client.get("/v2").json()["status"] == 404
    assert client.get("/v1/rank").status_code == 405
    assert client.get("/v1/rank").headers["allow"] == "POST"
    assert client.get("/v1/rank").headers["content-type"] == "application/problem+json"


def test_probes_and_metrics_say_what_is_served(client, ids, user):
    rank(client, user_id=user, candidates=ids[:1])
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json()["arms"]["champion"]["version"] == "1"
    metrics = client.get("/metrics").text
    assert 'dupn_model_version{arm="champion",line="dupn",version="1"} 1.0' in metrics
    assert 'dupn_request_seconds_bucket{endpoint="/v1/rank"' in metrics


def test_the_openapi_page_describes_every_body(client):
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"RankRequest", "SearchRequest", "Asking", "BehaviorsRequest", "Behavior"} <= set(
        schemas
    )
    body = document["paths"]["/v1/rank"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", MEDIA_TYPE}


def test_a_token_is_asked_for_where_one_is_set(shop):
    guarded = type(shop.service)(
        shop.service.versions, shop.histories, ServeConfig(token="secret"), None
    )
    with TestClient(http.create(guarded)) as client:
        path = "/v1/users/u/representation"
        assert client.get(path).status_code == 401
        assert client.get(path).headers["www-authenticate"] == "Bearer"
        assert client.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert client.get(path, headers={"authorization": "Bearer secret"}).status_code == 200
        assert client.get("/healthz").status_code == 200


def test_without_a_version_it_is_alive_but_not_ready(shop, tmp_path):
    versions = type(shop.service.versions)(shop.service.versions.source, tmp_path, 1e-4)
    empty = type(shop.service)(versions, shop.histories, shop.service.config, None)
    with TestClient(http.create(empty)) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503
        found = client.get("/v1/users/u/representation")
        assert (found.status_code, found.headers["retry-after"]) == (503, "1")


def test_a_full_queue_turns_away_before_anything_is_read(shop):
    with TestClient(http.create(shop.service)) as client:
        client.app.state.turns.waiting = shop.service.config.queue
        found = client.post("/v1/rank", content=b"{ never read")
        assert (found.status_code, found.headers["retry-after"]) == (503, "1")
        assert found.headers["content-type"] == "application/problem+json"
        assert client.get("/readyz").status_code == 200
        client.app.state.turns.waiting = 0
        assert client.post("/v1/rank", content=b"{ read").status_code == 422
