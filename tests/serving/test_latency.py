"""The latency of a page is the caller's: the wait in the queue counts."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import orjson
import pytest
from fastapi.testclient import TestClient

from serving import app as http
from serving.exposures import ExposureLog
from serving.settings import ServeConfig

WAIT_S = 0.5


class Held(ExposureLog):
    """The first page keeps its turn until it is let go."""

    def __init__(self, *given):
        super().__init__(*given)
        self.begun, self.go = threading.Event(), threading.Event()

    def add(self, exposure):
        noted = super().add(exposure)
        self.begun.set()
        self.go.wait(60)
        return noted


@pytest.mark.parametrize("path", ["rank", "search"])
def test_a_page_that_waited_is_as_late_as_its_caller_saw_it(shop, ids, tmp_path, path):
    log = Held(shop.chain.store, tmp_path / "spool", "UTC")
    config = ServeConfig(timeout_s=60, recall=50)
    service = type(shop.service)(shop.service.versions, shop.histories, config, log)
    word = shop.served.bundle.world.titles.drop_null()[0].as_py().split()[0]
    body = {"user_id": "u", "query": word} | ({"candidates": ids[:2]} if path == "rank" else {})
    with TestClient(http.create(service)) as client, ThreadPoolExecutor(2) as callers:

        def ask(_):
            begin = time.perf_counter()
            assert client.post(f"/v1/{path}", json=body).status_code == 200
            return 1000 * (time.perf_counter() - begin)

        first = callers.submit(ask, 1)
        assert log.begun.wait(60)
        second = callers.submit(ask, 2)
        while not client.app.state.turns.waiting:
            time.sleep(0.01)
        time.sleep(WAIT_S)
        log.go.set()
        seen = [one.result(60) for one in (first, second)]
    logged = [
        orjson.loads(line)["latency_ms"]
        for file in log.spool.iterdir()
        for line in file.read_bytes().splitlines()
    ]
    assert len(logged) == 2
    assert 1000 * WAIT_S < logged[1] < seen[1]
    assert logged[0] < seen[0] - 1000 * WAIT_S  # it waited for nobody; its line was slow to write
