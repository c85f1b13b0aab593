"""Bodies that come compressed, after an upgrade, or under another spelling of their type."""

import gzip
from datetime import date

import orjson
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from serving import app as http
from serving import snapshot
from serving.arrow import MEDIA_TYPE
from serving.histories import LocalHistories
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions

READ = 503
"""What a body that could be read is answered with: no version is loaded here."""
GOOD = orjson.dumps({"user_id": "u", "candidates": ["i"]})


@pytest.fixture
def client(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 5)), "UTC")
    nothing = OneFolder(tmp_path / "no bundle", Name(version="1"))
    versions = Versions(nothing, tmp_path / "versions", 1e-4)
    with TestClient(http.create(Service(versions, histories, ServeConfig(), None))) as client:
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
        assert found.json() == {"taken": 1}
