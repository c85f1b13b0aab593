"""What Prometheus is told of query words, of scored items, and of processes that are gone."""

import re
import subprocess
import sys

import pyarrow as pa
import pytest

from serving import meters
from serving.arrow import MEDIA_TYPE


def looked_up(client):
    """Hits and misses so far."""
    page = client.get("/metrics").text
    found = dict(re.findall(r'^dupn_query_cache\{outcome="(\w+)"\} ([\d.]+)$', page, re.M))
    return float(found["hit"]), float(found["miss"])


@pytest.mark.parametrize("path", ["rank", "search", "explain"])
def test_the_first_look_at_a_query_is_a_miss_and_the_next_are_hits(client, ids, path):
    def ask(query):
        more = {"candidates": ids[:2]} if path == "rank" else {}
        body = {"user_id": "u", "query": query, **more}
        assert client.post(f"/v1/{path}", json=body).status_code == 200

    hits, misses = looked_up(client)
    ask(f"words for {path}")
    assert looked_up(client) == (hits, misses + 1)
    for _ in range(2):
        ask(f"words for {path}")
    assert looked_up(client) == (hits + 2, misses + 1)
    ask(f"other words for {path}")
    assert looked_up(client) == (hits + 2, misses + 2)


def scored(client, which="candidates"):
    """Items so far."""
    said = client.get("/metrics").text
    return float(re.search(rf"^dupn_{which}_total ([\d.]+)$", said, re.M)[1])


def test_items_that_nobody_knows_are_counted_and_come_last(client, ids):
    before = scored(client, "unknown_candidates")
    body = {"user_id": "u", "candidates": ["none", *ids[:7], "neither"]}
    found = client.post("/v1/rank", json=body).json()
    assert found["unknown"] == 2
    assert [one["item_id"] for one in found["items"]][-2:] == ["none", "neither"]
    assert scored(client, "unknown_candidates") == before + 2


def test_each_item_that_is_scored_counts_also_those_that_are_not_shown(client, ids):
    before = scored(client)
    body = {"user_id": "u", "candidates": ids[:7], "top_k": 2}
    assert len(client.post("/v1/rank", json=body).json()["items"]) == 2
    assert scored(client) == before + 7


def test_items_that_are_ranked_by_arrow_count(client, ids):
    before = scored(client)
    table = pa.table({"item_id": ids[:5]}).replace_schema_metadata({"user_id": "u"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    sent = {"content": sink.getvalue().to_pybytes(), "headers": {"content-type": MEDIA_TYPE}}
    assert client.post("/v1/rank", **sent).status_code == 200
    assert scored(client) == before + 5


def test_items_that_a_search_recalls_count(client, shop):
    before = scored(client)
    word = shop.served.bundle.world.titles.drop_null()[0].as_py().split()[0]
    body = {"user_id": "u", "query": word, "top_k": 1}
    found = client.post("/v1/search", json=body).json()
    assert found["recalled"] > 1
    assert scored(client) == before + found["recalled"]


def test_a_refused_page_counts_no_items(client, ids):
    before = scored(client)
    many = {"user_id": "u", "candidates": [ids[0]] * 301}
    assert client.post("/v1/rank", json=many).status_code == 422
    assert scored(client) == before


ENDED = """
from prometheus_client import Counter, Gauge
Gauge("waited", "", multiprocess_mode="livemax").set(4711)
Counter("asked", "").inc(7)
"""


def test_a_process_that_has_ended_tells_nothing_and_what_it_counted_stays(tmp_path, monkeypatch):
    monkeypatch.setenv(meters.FOLDER_VARIABLE, str(tmp_path))
    subprocess.run([sys.executable, "-c", ENDED], check=True)
    assert len(list(tmp_path.iterdir())) == 2
    page = meters.page().decode()
    assert "asked_total 7.0" in page
    assert "waited" not in page
