"""Whatever the OpenAPI page allows, and much that it does not: never a 5xx, never a hang."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving import app as http
from serving.settings import ServeConfig
from tests.serving.world import open_shop

CONFIG = ServeConfig(top_k=5, recall=20)
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def operations(chain, tmp_path_factory):
    """Every operation of the OpenAPI page of a service over the smoke chain's champion."""
    shop = open_shop(chain, tmp_path_factory.mktemp("fuzzed"), CONFIG)
    schema = schemathesis.openapi.from_asgi("/openapi.json", http.create(shop.service))
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.drill
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_breaks_it(operations, mode):
    assert len(operations) == 9
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and "/v1/" not in operation.path:
            continue  # probes take nothing that could be wrong

        @settings(max_examples=60, deadline=5_000, suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case):
            response = case.call()
            assert response.status_code < 500, response.text
            case.validate_response(response, checks=CHECKS)

        ask()
