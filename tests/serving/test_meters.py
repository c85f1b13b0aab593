"""What Prometheus is told of the look-ups of query words."""

import re

import pytest


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
