"""The token is nowhere to be read: not in logs, nor in what callers or Prometheus are told."""

import logging

import pytest
from fastapi.testclient import TestClient

from serving import app as http
from serving.exposures import ExposureLog
from serving.settings import ServeConfig

TOKEN, WRONG = "hush-7f3a", "guess-91c2"
GOOD = {"user_id": "u", "candidates": ["i"]}
HEADERS = [
    ({"authorization": f"Bearer {TOKEN}"}, 500),  # the one that reaches the spoilt log below
    ({"authorization": f"Bearer {WRONG}"}, 401),
    ({"authorization": TOKEN}, 401),  # of a caller who forgot how
    ({}, 401),
]


class Spoilt(ExposureLog):
    """Fails at every page in a way that nobody has foreseen."""

    def add(self, exposure):
        raise RuntimeError("unforeseen")


@pytest.mark.parametrize(("headers", "status"), HEADERS)
def test_no_token_is_in_logs_errors_or_metrics(shop, tmp_path, caplog, headers, status):
    caplog.set_level(logging.DEBUG)
    spoilt = Spoilt(shop.chain.store, tmp_path / "spool", "UTC")
    config = ServeConfig(token=TOKEN, max_candidates=2, recall=2)
    service = type(shop.service)(shop.service.versions, shop.histories, config, spoilt)
    bodies = [GOOD, GOOD | {"candidates": ["i"] * 3}, GOOD | {"page": False}, {"user_id": "u"}]
    with TestClient(http.create(service)) as client:
        found = [client.post("/v1/rank", json=body, headers=headers) for body in bodies]
        found += [
            client.get(path, headers=headers)
            for path in ("/v1/users/u/representation", "/v2", "/readyz", "/docs", "/openapi.json")
        ]
        metrics = client.get("/metrics", headers=headers)
    assert found[0].status_code == status
    assert ("POST /v1/rank failed" in caplog.text) == (status == 500)
    assert "dupn_requests_total" in metrics.text
    told = [one.text + str(one.headers) for one in [*found, metrics]]
    for text in (caplog.text, str([vars(record) for record in caplog.records]), *told):
        assert TOKEN not in text
        assert WRONG not in text
