"""`dupn bench serve`: what it asks of, and what it leaves behind."""

import json
import socket
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from features.catalog import FIRST_ROW
from infra.errors import OrchestrationError
from infra.progress import track
from pipeline.bench import serve, serving_world
from pipeline.bench.serving_world import CANDIDATES, QUICK_ITEMS, Market, setup
from serving import machine
from serving.http_contracts import RankRequest
from serving.settings import ServeConfig

ITEMS = 50_000


def market(home=Path()):
    return Market(
        home=home,
        bundle=home / "bundle",
        item_ids=[f"i{item}" for item in range(ITEMS)],
        user_ids=[f"u{user}" for user in range(60)],
    )


def places(kind, count):
    """Numbers of the items that each body asks of."""
    for ask in serve.BODIES[kind](market(), count):
        if kind == "json":
            yield [int(item[1:]) for item in json.loads(ask.body)["candidates"]]
        else:
            rows = pa.ipc.open_stream(ask.body).read_all()["row"].to_numpy()
            yield (rows - FIRST_ROW).tolist()


@pytest.mark.parametrize("kind", serve.BODIES)
def test_bodies_of_both_kinds_ask_of_the_whole_table_and_of_no_item_twice(kind):
    bodies = list(places(kind, 10_000))
    assert all(len(set(asked)) == len(asked) == 10_000 for asked in bodies)
    asked = np.unique(np.concatenate(bodies))
    assert 0 <= asked.min() <= asked.max() < ITEMS
    assert len(asked) > 0.99 * ITEMS  # 50 bodies of a fifth of it


@pytest.mark.parametrize("count", CANDIDATES)
def test_json_asks_for_pages_that_are_logged_as_production_does(count):
    log = ServeConfig().exposures
    assert setup(market(), 0, 1).config.exposures is log is True
    for one in serve.BODIES["json"](market(), count):
        assert RankRequest.model_validate_json(one.body).page


def test_a_quick_market_has_as_many_items_as_are_asked_for():
    assert max(CANDIDATES) < QUICK_ITEMS


@pytest.mark.drill
def test_an_overload_is_set_against_as_many_connections_as_wait_and_against_one(tmp_path):
    sizes = serve._Sizes(seconds=0.3, rounds=1, overload_s=1.0, repeats=1, whole=1)
    built = serving_world.build(tmp_path, quick=True)
    with track("bench", total=None, unit="rounds") as progress:
        found = {one["name"]: one["value"] for one in serve._over_http(built, sizes, progress)}
    p99 = found["serve_overload_p99_ms"]
    for name, connections in (("usual", 16), ("one_connection", 1)):
        calm = found[f"serve_json_200_{connections}_p99_ms"]
        assert found[f"serve_overload_p99_to_{name}"] == pytest.approx(p99 / calm)


def test_a_service_that_cannot_start_says_why_and_leaves_no_memory_behind(tmp_path):
    shop = market(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ready = setup(shop, taken.getsockname()[1], serve.WORKERS)
        place = machine.shared(ready.folder, ready.config.host, ready.config.port)
        said = pytest.raises(OrchestrationError, match=r"port \d+ .* cannot be had")
        with said, serve.service(shop, ready.config.port):
            pytest.fail("it runs")
    assert not place.exists()
