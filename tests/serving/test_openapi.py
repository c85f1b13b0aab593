"""The OpenAPI document says what the service sends, asks and takes."""

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from serving import app as http
from serving.arrow import MEDIA_TYPE
from serving.http_contracts import Alive, Readiness
from serving.settings import ServeConfig

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.fixture
def document(client):
    return client.get("/openapi.json").json()


def operations(document):
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_every_field_and_every_parameter_says_what_it_is(document):
    fields = {
        f"{record}.{name}": field
        for record, schema in document["components"]["schemas"].items()
        for name, field in schema.get("properties", {}).items()
    }
    asked = {
        f"{path} {one['name']}": one
        for _, path, operation in operations(document)
        for one in operation.get("parameters", ())
    }
    assert (len(fields) > 80, len(asked)) == (True, 8)
    assert [name for name, one in (fields | asked).items() if not one.get("description")] == []


def test_every_error_is_described_as_the_problem_that_is_sent(document):
    for _, path, operation in operations(document):
        told = operation["responses"]
        errors = {status for status in told if status != "200"} - (
            {"503"} if path == "/readyz" else set()
        )
        asked = {"401", "403", "413", "422", "503"} if path.startswith("/v1/") else set()
        assert errors == {"400", "408", "431", "500"} | asked
        assert [told[status]["content"] for status in errors] == [PROBLEM] * len(errors)
    assert "404" in document["info"]["description"]


def test_an_answer_has_the_type_that_is_described(client, document, ids):
    bodies = {
        "/v1/rank": {"user_id": "u", "candidates": ids[:2]},
        "/v1/search": {"user_id": "u", "query": "shoes"},
        "/v1/explain": {"user_id": "u"},
        "/v1/behaviors": {"behaviors": [{"user_id": "u", "item_id": "i", "type": "click"}]},
    }
    for method, path, operation in operations(document):
        sent = bodies.get(path)
        found = client.request(method, path.replace("{user_id}", "u"), json=sent)
        described = operation["responses"]["200"]["content"]
        assert found.status_code == 200
        assert found.headers["content-type"].partition(";")[0] == next(iter(described))
        assert all(described.values())


def test_the_columns_and_metadata_of_an_arrow_answer_are_described(client, document, ids):
    asked = {"user_id": "u", "features": "true"}
    schema = pa.schema([("item_id", pa.string())], metadata=asked)
    found = send(client, pa.table({"item_id": ids[:2]}, schema))
    assert found.headers["content-type"] == MEDIA_TYPE
    answer = pa.ipc.open_stream(found.content)
    content = document["paths"]["/v1/rank"]["post"]["responses"]["200"]["content"]
    said = content[MEDIA_TYPE]["schema"]["description"]
    metadata = [key.decode() for key in answer.schema.metadata]
    assert [name for name in [*answer.schema.names, *metadata] if f"`{name}`" not in said] == []
    kinds = answer.schema
    assert (kinds.field("row").type, kinds.field("rank").type) == (pa.int32(), pa.int32())
    assert all(pa.types.is_floating(kinds.field(name).type) for name in ("ctr", "l2r"))


def test_what_probes_say_is_typed(client, shop, tmp_path):
    assert Alive.model_validate_json(client.get("/healthz").content) == Alive()
    assert Readiness.model_validate_json(client.get("/readyz").content).status == "ready"
    versions = type(shop.service.versions)(shop.service.versions.source, tmp_path, 1e-4)
    empty = type(shop.service)(versions, shop.histories, shop.service.config, None)
    with TestClient(http.create(empty)) as unready:
        found = unready.get("/readyz")
        assert found.status_code == 503
        assert Readiness.model_validate_json(found.content).arms == {}
        document = unready.get("/openapi.json").json()
    record = {"schema": {"$ref": "#/components/schemas/Readiness"}}
    told = document["paths"]["/readyz"]["get"]["responses"]
    assert [told[status]["content"]["application/json"] for status in ("200", "503")] == [
        record
    ] * 2


@pytest.mark.parametrize("token", ["secret", ""])
def test_a_route_asks_for_the_token_where_the_document_says_so(shop, token):
    config = ServeConfig(token=token)
    guarded = type(shop.service)(shop.service.versions, shop.histories, config, None)
    with TestClient(http.create(guarded)) as client:
        document = client.get("/openapi.json").json()
        ((scheme, how),) = document["components"]["securitySchemes"].items()
        assert (how["type"], how["scheme"]) == ("http", "bearer")
        for method, path, operation in operations(document):
            refused = client.request(method, path.replace("{user_id}", "u")).status_code == 401
            asks = operation.get("security", [{}])
            assert refused == ({} not in asks)
            assert ({scheme: []} in asks) == path.startswith("/v1/")


def test_a_time_may_be_a_text_or_a_number(document):
    schemas = document["components"]["schemas"]
    parameters = [
        one["schema"]
        for _, _, operation in operations(document)
        for one in operation.get("parameters", ())
        if one["name"] == "ts"
    ]
    asked = [
        schemas[name]["properties"]["ts"]
        for name in ("Asking", "RankRequest", "SearchRequest", "Behavior")
    ]
    for schema in [*parameters, *asked]:
        assert [one["type"] for one in schema["anyOf"]] == ["string", "number", "null"]


def send(client, table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    body = sink.getvalue().to_pybytes()
    return client.post("/v1/rank", content=body, headers={"content-type": MEDIA_TYPE})
