"""What stands in an address is known, or refused: nothing of it is overlooked."""

from datetime import date

import pytest
from fastapi.testclient import TestClient

from serving import app as http
from serving import snapshot
from serving.histories import LocalHistories
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions

NONE = 503
"""What is asked rightly of a service that has no version."""


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service")
    histories = LocalHistories(folder / "live.db", snapshot.empty(date(2026, 3, 4)), "UTC")
    versions = Versions(OneFolder(folder / "no bundle", Name(version="1")), folder / "v", 1e-4)
    with TestClient(http.create(Service(versions, histories, ServeConfig(), None))) as client:
        yield client


@pytest.mark.parametrize("name", ["representation", "price_preference"])
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("M%FCller/{}", "path: it is not UTF-8. Send it as UTF-8, escaped by %."),
        ("u/{}?query=%FC", "query: it is not UTF-8. Send it as UTF-8, escaped by %."),
        ("M%C3%BCller/{}?query=%EF%BF%BD+%", "no version"),
    ],
)
def test_an_address_of_another_encoding_is_no_ones(client, name, asked, said):
    found = client.get(f"/v1/users/{asked.format(name)}")
    assert found.status_code == (422 if "UTF-8" in said else NONE)
    assert said in found.json()["detail"]


@pytest.mark.parametrize("name", ["representation", "price_preference"])
@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ("", NONE, "no version"),
        ("?query=red%20shoes&scenario=search&ts=1772712000", NONE, "no version"),
        ("?scenrio=search", 422, "query.scenrio: it is unknown. Known: query, scenario, ts."),
        ("?ts=1772712000&ts=1772712001", 422, "query.ts: it is there more than once."),
        ("?query=&query=", 422, "query.query: it is there more than once."),
        (f"?{'x' * 99}=1", 422, f"query.{'x' * 40}: it is unknown."),
    ],
)
def test_a_parameter_is_known_and_there_once(client, name, asked, status, said):
    found = client.get(f"/v1/users/u/{name}{asked}")
    assert (found.status_code, found.json()["status"]) == (status, status)
    assert said in found.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/rank/"),
        ("GET", "/v1/users/u/representation/"),
        ("GET", "/readyz/"),
        ("GET", "/redoc"),
        ("GET", "/docs/oauth2-redirect"),
    ],
)
def test_a_path_that_is_not_listed_is_404_and_leads_nowhere(client, method, path):
    found = client.request(method, path, headers={"host": "x.example"}, follow_redirects=False)
    assert (found.status_code, "location" in found.headers) == (404, False)
    assert found.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["rank", "search", "explain", "behaviors"])
def test_what_is_asked_by_a_body_is_not_asked_by_the_address(client, path):
    answer = client.post(f"/v1/{path}?page=false", json={})
    assert answer.status_code == 422
    assert "query.page: it is unknown here. Send it in the body." in answer.text


def test_the_page_of_the_document_stays(client):
    assert [client.get(path).status_code for path in ("/docs", "/openapi.json")] == [200, 200]
