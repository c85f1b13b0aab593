"""The OpenAPI document, and what FastAPI cannot know of it.

Bodies are parsed by hand, after their turn has come; problems are told by the server and the guard
as well, before a route is known; and a token is asked for by path. So these are described here.
"""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, TypeAdapter

from serving import arrow
from serving.guard import OPEN, PROBLEM
from serving.http_contracts import Problem

ABOUT = """One representation of a user, and what is answered from it.

Errors are problem details (RFC 9457). A path that is not listed here is told 404, and another
method of one that is, 405."""
JSON = "application/json"
_REFERENCE = "#/components/schemas/{model}"
_BEARER = "token"
_ASKED = """An Arrow IPC stream, not compressed. One column: `row` (catalog rows, integers from 1),
or `item_id` (texts). Who asks stands in the schema's metadata, as texts, under the names of the
JSON fields: `user_id` (needed), `ts`, `scenario`, `query`, `profile` (the text of its JSON),
`top_k` (absent: all), `features` and `page` (`true` or `false`; absent: `false`, also of `page`).
Who logs a page names its items by `item_id` and says `top_k`."""
_ANSWERED = """An Arrow IPC stream, best first. Columns: `row` (int32, the catalog's), `ctr` and
`l2r` (floats), `rank` (int32, from 1), `item_id` (texts) where items were asked for so, `features`
(lists of floats) where they were asked for. The schema's metadata has, as texts: `request_id`,
`model_version`, `line`, `variant`, `representation_version`, `unknown` and `price_preference` (the
text of its JSON) as a JSON answer has them, and beside `features` their names in their order as
`feature_names`, separated by commas."""

Responses = dict[int | str, dict[str, Any]]


def _problems(told: dict[int, str]) -> Responses:
    schema = {"$ref": _REFERENCE.format(model=Problem.__name__)}
    content = {PROBLEM.decode(): {"schema": schema}}
    return {status: {"description": why, "content": content} for status, why in told.items()}


ANY = _problems(
    {
        400: "What came is no request in HTTP.",
        408: "The request did not come whole in time.",
        431: "The head of the request does not end.",
        500: "The service failed at this request; its log says at what.",
    }
)
"""What any request may be told."""
GUARDED = _problems(
    {
        401: "`serve.token` is set, and was not sent.",
        403: "A page of another site asks, and `serve.token` is not set.",
        413: "The body is too long (`serve.max_body_bytes`).",
        422: "A field is wrong.",
        503: "Too many requests wait, or no version is loaded. Ask again in a second.",
    }
)
"""And one that needs a token and waits for its turn."""


def body(model: type[BaseModel], *, stream: bool = False) -> dict[str, Any]:
    """The description of a request's body."""
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    content = {JSON: {"schema": schema}, **(_stream(_ASKED) if stream else {})}
    return {"requestBody": {"required": True, "content": content}}


def or_arrow() -> Responses:
    """The answer of a route that takes Arrow, beside its record."""
    return {200: {"description": "In the form of the request.", "content": _stream(_ANSWERED)}}


def _stream(what: str) -> dict[str, Any]:
    schema = {"type": "string", "format": "binary", "description": what.replace("\n", " ")}
    return {arrow.MEDIA_TYPE: {"schema": schema}}


def describe(app: FastAPI, records: Sequence[TypeAdapter[Any]], *, token: bool) -> None:
    """Complete the document.

    Args:
        app: whose document.
        records: bodies of requests.
        token: whether one must be sent; else it may.
    """
    plain = app.openapi
    asked: dict[str, list[str]] = {_BEARER: []}
    security = [asked] if token else [{}, asked]
    scheme = {"type": "http", "scheme": "bearer", "description": "`serve.token`, where it is set."}

    def whole() -> dict[str, Any]:
        document = plain()
        parts = document.setdefault("components", {})
        known = parts.setdefault("schemas", {})
        for adapter in (*records, TypeAdapter(Problem)):
            schema = adapter.json_schema(ref_template=_REFERENCE)
            known.update(schema.pop("$defs", {}))
            known[schema["title"]] = schema
        parts["securitySchemes"] = {_BEARER: scheme}
        for path, operations in document["paths"].items():
            for operation in operations.values() if path not in OPEN else ():
                operation["security"] = security
        return document

    app.openapi = whole  # type: ignore[method-assign]  # as FastAPI's documentation has it
