"""The HTTP service (FastAPI): bodies in, bodies out; everything else is `serving.service`.

The event loop only moves bytes. A request's body is read (bounded), then it waits for its turn, and
one thread parses, computes and writes the answer. Errors are RFC 9457 problem details; those
that nobody foresaw are told by `serving.guard`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, TypeAdapter, ValidationError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException

from infra.errors import DupnError, InputError, ServingUnavailable
from serving import arrow, meters, records, shedding
from serving.bodies import Bodies, TooLong
from serving.contracts import ScenarioName, place, wrong
from serving.guard import CAME, Guard
from serving.http_contracts import (
    Asking,
    BehaviorsRequest,
    BehaviorsResponse,
    ExplainResponse,
    PricePreferenceResponse,
    Problem,
    RankRequest,
    RankResponse,
    RepresentationResponse,
    SearchRequest,
)
from serving.service import Service
from serving.turns import Turns


class AnyText(StringConvertor):
    """An id in a path: it may hold slashes (a server hands on `%2F` as `/`) and ends of lines."""

    regex = "(?s:.*)"


register_url_convertor("any", AnyText())


def create(
    service: Service,
    lifespan: Callable[[FastAPI], Any] | None = None,
) -> FastAPI:
    """The application around a service.

    Args:
        service: answers.
        lifespan: what runs beside it (polling the registry, flushing exposures).
    """
    config = service.config

    @asynccontextmanager
    async def whole(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        turns = Turns(config.queue, config.timeout_s)
        app.state.turns = turns
        state = {shedding.STATE: turns}
        if lifespan is None:
            yield state
        else:
            async with lifespan(app):
                yield state
        turns.close()

    app = FastAPI(
        title="dupn",
        description="One representation of a user, and what is answered from it.",
        version="1",
        lifespan=whole,
        responses=_PROBLEMS,
    )
    app.state.service = service
    app.state.bodies = Bodies(config)
    _describe(app)
    app.add_middleware(Guard, config=config, turns=lambda: app.state.turns)
    _errors(app)
    _answers(app, service)
    _users(app, service)
    _probes(app, service)
    return app


def _answers(app: FastAPI, service: Service) -> None:
    @app.post("/v1/rank", response_model=RankResponse, openapi_extra=_body(RankRequest, arrow=True))
    async def rank(request: Request) -> Response:
        """Put candidates in order for a user: CTR, L2R score, rank, ranking features."""
        body, came = await _read(request), request.scope[CAME]
        if request.headers.get("content-type", "").lower().startswith(arrow.MEDIA_TYPE):
            return await _take(
                request, lambda: Response(arrow.rank(service, body, came), media_type=_ARROW)
            )
        return await _take(request, lambda: _json(service.rank(records.parse(_RANK, body), came)))

    @app.post("/v1/search", response_model=RankResponse, openapi_extra=_body(SearchRequest))
    async def search(request: Request) -> Response:
        """Query words recall items by their titles, then the network ranks them (Figure 1)."""
        body, came = await _read(request), request.scope[CAME]
        return await _take(
            request, lambda: _json(service.search(records.parse(_SEARCH, body), came))
        )

    @app.post("/v1/explain", response_model=ExplainResponse, openapi_extra=_body(Asking))
    async def explain(request: Request) -> Response:
        """Attention weight of each behaviour, under a query."""
        body = await _read(request)
        return await _take(request, lambda: _json(service.explain(records.parse(_ASKING, body))))

    @app.post(
        "/v1/behaviors", response_model=BehaviorsResponse, openapi_extra=_body(BehaviorsRequest)
    )
    async def behaviors(request: Request) -> Response:
        """Live behaviours: the very next request sees them, once their time has come."""
        body = await _read(request)

        def work() -> Response:
            given = records.parse(_BEHAVIORS, body).behaviors
            return _json(service.add(given))

        return await _take(request, work)


def _users(app: FastAPI, service: Service) -> None:
    @app.get("/v1/users/{user_id:any}/representation", response_model=RepresentationResponse)
    async def representation(
        request: Request,
        user_id: str,
        query: str | None = Query(None, max_length=1024),
        scenario: ScenarioName = "unknown",
        ts: AwareDatetime | None = None,
    ) -> Response:
        """The universal representation: 256 numbers."""
        asking = _asking(user_id, query, scenario, ts)
        return await _take(request, lambda: _json(service.represent(asking)))

    @app.get("/v1/users/{user_id:any}/price_preference", response_model=PricePreferenceResponse)
    async def price_preference(
        request: Request,
        user_id: str,
        query: str | None = Query(None, max_length=1024),
        scenario: ScenarioName = "unknown",
        ts: AwareDatetime | None = None,
    ) -> Response:
        """Probabilities of the 7 price levels, cheapest first."""
        asking = _asking(user_id, query, scenario, ts)
        return await _take(request, lambda: _json(service.prefer(asking)))


def _probes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "alive"}

    @app.get("/readyz", response_model=None)
    async def readyz() -> Response:
        """Every user is answered; which versions are loaded, by arm, and what is wrong."""
        versions, ready = service.versions, service.ready
        arms = {
            arm: {"version": one.name.version, "line": one.name.line, "run": one.name.run}
            for arm, one in versions.served.items()
        }
        content = {
            "status": "ready" if ready else "no version is loaded that answers everybody",
            "arms": arms,
            "refused": versions.refused,
            "missing": versions.missing,
            "registry": versions.reading.told,
        }
        return Response(orjson.dumps(content), 200 if ready else 503, media_type=_JSON)

    @app.get("/metrics", response_model=None)
    async def metrics() -> Response:
        """Prometheus."""
        meters.tell(service.versions)
        return Response(meters.page(), media_type=meters.CONTENT_TYPE)


async def _take(request: Request, work: Callable[[], Response]) -> Response:
    turns: Turns = request.app.state.turns
    return await turns.take(work)


async def _read(request: Request) -> bytes:
    bodies: Bodies = request.app.state.bodies
    return await bodies.read(request.receive)


def _asking(
    user_id: str, query: str | None, scenario: ScenarioName, ts: AwareDatetime | None
) -> Asking:
    return Asking(user_id=user_id, query=query, scenario=scenario, ts=ts)


def _json(answer: BaseModel) -> Response:
    return Response(orjson.dumps(answer, default=vars), media_type=_JSON)


def _errors(app: FastAPI) -> None:
    @app.exception_handler(TooLong)
    async def too_long(_: Request, error: TooLong) -> Response:
        return _problem(Problem(title="Content Too Large", status=413, detail=str(error)))

    @app.exception_handler(ValidationError)
    @app.exception_handler(RequestValidationError)
    async def invalid(
        request: Request, error: ValidationError | RequestValidationError
    ) -> Response:
        told = error.errors()[0]  # of a path and its query: few, and short
        return _unprocessable(request, f"{place(told['loc'])}: {wrong(told)}.")

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        title = str(error.detail)
        found = _problem(Problem(title=title, status=error.status_code, detail=title))
        found.headers.update(error.headers or {})
        return found

    @app.exception_handler(DupnError)
    async def ours(request: Request, error: DupnError) -> Response:
        if isinstance(error, ServingUnavailable):
            found = _problem(Problem(title="Service Unavailable", status=503, detail=str(error)))
            found.headers["retry-after"] = "1"
            return found
        if isinstance(error, InputError):
            return _unprocessable(request, str(error))
        return _problem(Problem(title="Internal Server Error", status=500, detail=str(error)))


def _unprocessable(request: Request, detail: str) -> Response:
    """What is wrong with a request; of a body that cannot be read as it was sent, that too."""
    coding = request.headers.get("content-encoding", "identity")
    if coding.lower() != "identity":
        detail += f" The body came with content-encoding {coding[:40]}; it is read undecoded."
        detail += " Send it plain."
    if request.method == "POST" and "upgrade" in request.headers.get("connection", "").lower():
        detail += " The request asks for another protocol (upgrade), so its body was not read."
        detail += " Ask for HTTP/1.1 alone: Java's client by `.version(Version.HTTP_1_1)`."
    return _problem(Problem(title="Unprocessable Content", status=422, detail=detail))


def _problem(problem: Problem) -> Response:
    return Response(
        orjson.dumps(problem.model_dump()),
        problem.status,
        media_type="application/problem+json",
    )


def _body(model: type[BaseModel], *, arrow: bool = False) -> dict[str, Any]:
    """The request body's description: it is parsed by hand, after its turn has come."""
    schema = {"$ref": _REFERENCE.format(model=model.__name__)}
    content: dict[str, Any] = {_JSON: {"schema": schema}}
    if arrow:
        content[_ARROW] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": content}}


def _describe(app: FastAPI) -> None:
    """The OpenAPI document, with the bodies that FastAPI does not parse itself."""
    plain = app.openapi

    def whole() -> dict[str, Any]:
        document = plain()
        known = document.setdefault("components", {}).setdefault("schemas", {})
        for adapter in (_RANK, _SEARCH, _ASKING, _BEHAVIORS):
            schema = adapter.json_schema(ref_template=_REFERENCE)
            known.update(schema.pop("$defs", {}))
            known[schema["title"]] = schema
        return document

    app.openapi = whole  # type: ignore[method-assign]  # as FastAPI's documentation has it


_JSON = "application/json"
_ARROW = arrow.MEDIA_TYPE
_REFERENCE = "#/components/schemas/{model}"
_RANK = TypeAdapter(RankRequest)
_SEARCH = TypeAdapter(SearchRequest)
_ASKING = TypeAdapter(Asking)
_BEHAVIORS = TypeAdapter(BehaviorsRequest)
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"description": title, "content": {"application/problem+json": {}}, "model": Problem}
    for status, title in {
        401: "Unauthorized",
        403: "Forbidden",
        408: "Request Timeout",
        413: "Content Too Large",
        422: "Unprocessable Content",
        503: "Shed, or no version is loaded",
    }.items()
}
