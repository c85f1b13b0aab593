"""Bodies that come compressed, after an upgrade, in pieces, or under another spelling of a type."""

import asyncio
import gzip
import socket
import time
from datetime import date

import orjson
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from starlette.requests import ClientDisconnect

from infra.errors import ServingUnavailable
from serving import app as http
from serving import snapshot
from serving.arrow import MEDIA_TYPE
from serving.bodies import Bodies, TooLong
from serving.histories import LocalHistories
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions
from tests.serving.listening import listening

READ = 503
"""What a body that could be read is answered with: no version is loaded here."""
SMALL = ServeConfig(max_body_bytes=100_000, queue=1)
GOOD = orjson.dumps({"user_id": "u", "candidates": ["i"]})


@pytest.fixture
def service(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 5)), "UTC")
    nothing = OneFolder(tmp_path / "no bundle", Name(version="1"))
    versions = Versions(nothing, tmp_path / "versions", 1e-4)
    return Service(versions, histories, SMALL, None)


@pytest.fixture
def client(service):
    with TestClient(http.create(service)) as client:
        yield client


def stream():
    table = pa.table({"item_id": ["i"]}).replace_schema_metadata({"user_id": "u"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(("kind", "body"), [("application/json", GOOD), (MEDIA_TYPE, stream())])
def test_a_body_that_is_compressed_is_told_so(client, kind, body):
    headers = {"content-type": kind, "content-encoding": "gzip"}
    found = client.post("/v1/rank", content=gzip.compress(body), headers=headers)
    assert (found.status_code, found.json()["status"]) == (422, 422)
    assert "content-encoding gzip; it is read undecoded" in found.json()["detail"]
    plain = headers | {"content-encoding": "identity"}
    assert client.post("/v1/rank", content=body, headers=plain).status_code == READ


def test_the_case_of_a_media_type_does_not_matter(client):
    found = client.post("/v1/rank", content=stream(), headers={"content-type": MEDIA_TYPE.upper()})
    assert found.status_code == READ


def test_a_body_that_was_lost_with_an_upgrade_is_told_so(client):
    headers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c"}
    found = client.post("/v1/rank", content=b"", headers=headers)
    assert found.status_code == 422
    assert "asks for another protocol (upgrade), so its body was not" in found.json()["detail"]
    found = client.get("/v1/users/u/representation?ts=x", headers=headers)
    assert (found.status_code, "protocol" in found.json()["detail"]) == (422, False)


def test_a_profile_column_may_be_null(client):
    body = {"user_id": "u", "candidates": ["i"], "profile": {"age": None}}
    assert client.post("/v1/rank", json=body).status_code == READ


def test_a_behavior_is_taken_with_the_page_that_it_was_done_on(client):
    done = {"user_id": "u", "item_id": "i", "type": "purchase", "ts": "2026-03-06T00:00:00Z"}
    for more in ({"request_id": "r", "price": 12.5}, {"request_id": None}):
        found = client.post("/v1/behaviors", json={"behaviors": [done | more]})
        assert found.json()["taken"] == 1


def coming(bodies, *parts, then=None):
    """A body that comes in these parts, each a turn of the loop later; then it is waited for."""
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages += [then] if then else []

    async def receive():
        await asyncio.sleep(0)
        return messages.pop(0) if messages else await asyncio.Event().wait()

    return bodies.read(receive)


LAST = {"type": "http.request", "body": b"end"}
GONE = {"type": "http.disconnect"}


async def some(count):
    """A few turns of the loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_unfinished_bodies_are_bounded_together_and_one_in_a_piece_is_none():
    async def callers():
        bodies, part = Bodies(SMALL), b"x" * 50_000
        waiting = [asyncio.create_task(coming(bodies, part, part)) for _ in range(2)]
        await some(9)
        assert bodies.held == bodies.together == 200_000
        with pytest.raises(ServingUnavailable, match="in pieces"):
            await coming(bodies, b"x")
        assert await coming(bodies, then=LAST) == b"end"
        assert bodies.held == 200_000
        waiting[0].cancel()
        await some(9)
        assert await coming(bodies, part, b"y", then=LAST) == part + b"yend"
        assert bodies.held == 100_000
        waiting[1].cancel()
        await some(9)
        assert bodies.held == 0

    asyncio.run(asyncio.wait_for(callers(), 5))


@pytest.mark.parametrize(
    ("parts", "then", "raised"),
    [(2, GONE, ClientDisconnect), (3, LAST, TooLong), (1, LAST | {"body": b"x" * 50_001}, TooLong)],
)
def test_what_a_body_held_is_given_back_however_it_ends(parts, then, raised):
    bodies = Bodies(SMALL)
    with pytest.raises(raised):
        asyncio.run(coming(bodies, *[b"x" * 50_000] * parts, then=then))
    assert bodies.held == 0


@pytest.fixture
def server(service):
    """A real server around the application: its address, and the bodies that it reads."""
    app = http.create(service)
    with listening(app) as address:
        yield address, app.state.bodies


def half(address):
    """A connection that has sent all but the last byte of a long body."""
    line = socket.create_connection(address, timeout=5)
    line.sendall(b"POST /v1/rank HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n")
    line.sendall(b"x" * 99_999)
    return line


def comes_true(what):
    end = time.monotonic() + 5
    while not (so := what()) and time.monotonic() < end:
        time.sleep(0.01)
    return so


def test_callers_who_never_end_are_turned_away_and_their_bytes_are_not_kept(server):
    address, bodies = server
    two = [half(address) for _ in range(2)]
    assert comes_true(lambda: bodies.held == 199_998)
    with half(address) as third:
        assert b"503 Service Unavailable" in (said := third.recv(65536))
        assert b"retry-after: 1" in said
    assert bodies.held == 199_998
    for line in two:
        line.close()
    assert comes_true(lambda: bodies.held == 0)
    with half(address) as after:
        after.sendall(b"x")
        assert b"422 Unprocessable" in after.recv(65536)
    assert bodies.held == 0


def test_a_behavior_whose_time_the_caller_does_not_say_is_of_the_day_it_came_in(
    client, service, monkeypatch
):
    """The raw log has another time for it, so near midnight they could not be told for one."""
    done = {"user_id": "u", "item_id": "i", "type": "click"}
    with monkeypatch.context() as patch:
        patch.setattr("time.time_ns", lambda: 1_772_841_599 * 10**9)  # 2026-03-06T23:59:59Z
        both = [done, done | {"ts": "2026-03-06T23:59:59Z"}]
        assert client.post("/v1/behaviors", json={"behaviors": both}).json()["taken"] == 2
    service.histories.take_over(snapshot.empty(date(2026, 3, 6)))
    assert service.histories.before("u", 10**13).ts.tolist() == [1_772_841_599_000]


@pytest.mark.parametrize(
    ("shares", "arms"), [({"champion": 1.0}, "champion"), ({"dupn": 1.0}, "dupn or champion")]
)
def test_arms_that_are_not_loaded_are_named_once(service, shares, arms):
    config = SMALL.model_copy(update={"shares": shares})
    other = Service(service.versions, service.histories, config, None)
    with TestClient(http.create(other)) as client:
        found = client.get("/v1/users/u/price_preference")
    assert found.json()["detail"] == f"no version of {arms} is loaded. Ask /readyz."
