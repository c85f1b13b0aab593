"""Aliases move under load: no request fails, and every answer says which version gave it."""

import json
import threading
import time

import pytest
import uvicorn

from infra.services import free_port
from pipeline.bench.load import Ask, load
from serving import app as http
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import Versions
from tests.chain import logged_bundle
from tests.serving.world import open_shop

SWAPS = 20
PATIENCE_S = 30
"""A version that nobody has heard of by then is not served."""


class Moving:
    """A source whose champion is another version each time it is asked."""

    def __init__(self, bundle):
        self.bundle = bundle
        self.number = 1

    def wanted(self):
        return {"champion": str(self.number)}

    def fetch(self, number):
        return Name(version=number, line="dupn"), self.bundle

    def stamp(self, number):
        return ""


@pytest.mark.drill
def test_twenty_swaps_under_load_fail_no_request(chain, tmp_path):
    shop = open_shop(chain, tmp_path)
    source = Moving(logged_bundle(chain))
    versions = Versions(source, tmp_path / "moving", 1e-4)
    versions.refresh()
    service = Service(versions, shop.histories, ServeConfig(queue=64, timeout_s=30), None)
    port = free_port(8300)
    server = uvicorn.Server(
        uvicorn.Config(http.create(service), port=port, log_level="error", lifespan="on")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    ids = shop.served.ids.drop_null().to_pylist()[:50]
    body = json.dumps({"user_id": "u", "candidates": ids}).encode()
    done, seen = threading.Event(), set()
    heard = []

    def version(answer):
        seen.add(found := json.loads(answer)["model_version"])
        return found

    def ask():
        while not done.is_set():
            heard.append(
                load(port, [Ask("/v1/rank", body, "application/json")], 4, 1.0, listen=version)
            )

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(2, SWAPS + 2):
        source.number = number
        assert versions.refresh()
        until = time.monotonic() + PATIENCE_S
        while str(number) not in seen and time.monotonic() < until:
            time.sleep(0.02)
    done.set()
    asking.join()
    server.should_exit = True
    thread.join()
    assert [part.failed for part in heard if part.failed] == []
    assert sum(part.shed for part in heard) == 0
    answered = [v for part in heard for v in part.versions]
    assert len(answered) == sum(len(part.seconds) for part in heard) > 100
    assert set(answered) == {str(n) for n in range(1, SWAPS + 2)}
