"""Aliases move under load: no request fails, and every answer is of the version that it names."""

import json
import shutil
import threading
import time

import numpy as np
import pytest
import torch
import uvicorn

from infra.services import free_port
from pipeline.bench.load import Ask, load
from serving import app as http
from serving.bundle import WEIGHTS
from serving.http_contracts import RankRequest
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions
from tests.chain import EVALUATED, logged_bundle
from tests.serving.world import open_shop

SWAPS = 20
PATIENCE_S = 30
"""A version that nobody has heard of by then is not served."""


class Moving:
    """A source whose champion is another version each time it is asked: two bundles in turn."""

    def __init__(self, bundles):
        self.bundles = bundles
        self.number = 1

    def wanted(self):
        return {"champion": str(self.number)}

    def fetch(self, number):
        return Name(version=number, line="dupn"), self.bundles[int(number) % 2]

    def stamp(self, number):
        return ""


def otherwise(bundle, folder):
    """A bundle that scores otherwise; it records no questions, whose answers are the first's."""
    shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns("recorded.json"))
    weights = torch.load(folder / WEIGHTS, weights_only=True)
    halved = {n: w / 2 if w.is_floating_point() else w for n, w in weights.items()}
    torch.save(halved, folder / WEIGHTS)
    return folder


def scores(items):
    return [item["ctr"] for item in items] + [item["l2r"] for item in items]


def alone(bundle, folder, histories, request):
    """What a bundle answers when nothing else is served."""
    versions = Versions(OneFolder(bundle, Name(version="alone")), folder, 1e-4)
    versions.refresh()
    told = Service(versions, histories, ServeConfig(), None).rank(request)
    return scores([vars(item) for item in told.items])


@pytest.mark.drill
def test_twenty_swaps_under_load_fail_no_request(chain, tmp_path):
    shop = open_shop(chain, tmp_path)
    one = logged_bundle(chain)
    bundles = [one, otherwise(one, tmp_path / "other")]
    ids = shop.served.ids.drop_null().to_pylist()[:50]
    asked = {"user_id": "u", "candidates": ids, "ts": f"{EVALUATED}T12:00:00Z"}
    request = RankRequest.model_validate(asked)
    right = [
        alone(b, tmp_path / f"alone{n}", shop.histories, request) for n, b in enumerate(bundles)
    ]
    assert np.abs(np.subtract(*right)).max() > 1e-2
    source = Moving(bundles)
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
    body = json.dumps(asked).encode()
    done, seen = threading.Event(), set()
    heard, wrong = [], set()

    def version(answer):
        told = json.loads(answer)
        seen.add(found := told["model_version"])
        if not np.allclose(scores(told["items"]), right[int(found) % 2], rtol=0, atol=1e-5):
            wrong.add(found)
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
    assert wrong == set()
    answered = [v for part in heard for v in part.versions]
    assert len(answered) == sum(len(part.seconds) for part in heard) > 100
    assert set(answered) == {str(n) for n in range(1, SWAPS + 2)}
