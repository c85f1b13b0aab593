"""The HTTP service (FastAPI): bodies in, bodies out; everything else is `serving.service`.

The event loop only moves bytes. A request's body is read (bounded), then it waits for its turn, and
one thread parses, computes and writes the answer. Errors are RFC 9457 problem details; those
that nobody foresaw are told by `serving.guard`.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import orjson
from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.exceptions import HTTPException

from infra.errors import DupnError, InputError, ServingUnavailable
from serving import arrow, meters, openapi, records, shedding
from serving.bodies import Bodies, TooLong
from serving.contracts import ScenarioName, place, wrong
from serving.guard import CAME, PROBLEM, Guard
from serving.http_contracts import (
    Alive,
    Arm,
    Asking,
    BehaviorsRequest,
    BehaviorsResponse,
    ExplainResponse,
    Id,
    PricePreferenceResponse,
    Problem,
    RankRequest,
    RankResponse,
    Readiness,
    RepresentationResponse,
    SearchRequest,
    Time,
)
from serving.service import Service
from serving.turns import Turns

User = Annotated[Id, Path(description="Who is asked about; one whom nobody knows is answered too.")]
Words = Annotated[
    str | None, Query(max_length=1024, description="Words that were typed. Absent: none.")
]
Where = Annotated[
    ScenarioName, Query(description="Where the user is; the answer does not hang on it.")
]
When = Annotated[
    Time,
    Query(
        description="The moment, in ISO 8601 with its offset (`+` is written `%2B`), or as a "
        "number since 1970 UTC: seconds, or milliseconds where it is over 20,000,000,000. "
        "Absent: now. Only behaviours strictly before it count."
    ),
]


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
        description=openapi.ABOUT,
        version="1",
        lifespan=whole,
        responses=openapi.ANY,
        redirect_slashes=False,  # to an address that the caller's `Host` would make up
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
    )
    app.state.service = service
    app.state.bodies = Bodies(config)
    bodies = (_RANK, _SEARCH, _ASKING, _BEHAVIORS)
    openapi.describe(app, bodies, token=bool(config.token))
    app.add_middleware(Guard, config=config, turns=lambda: app.state.turns)
    _errors(app)
    _answers(app, service)
    _users(app, service)
    _probes(app, service)
    return app


def _answers(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/rank",
        response_model=RankResponse,
        responses=openapi.GUARDED | openapi.or_arrow(),
        openapi_extra=openapi.body(RankRequest, stream=True),
    )
    async def rank(request: Request) -> Response:
        """Put candidates in order for a user: CTR, L2R score, rank, ranking features."""
        body, came = await _read(request), request.scope[CAME]
        if request.headers.get("content-type", "").lower().startswith(arrow.MEDIA_TYPE):
            kind = arrow.MEDIA_TYPE
            return await _take(
                request, lambda: Response(arrow.rank(service, body, came), media_type=kind)
            )
        return await _take(request, lambda: _json(service.rank(records.parse(_RANK, body), came)))

    @app.post(
        "/v1/search",
        response_model=RankResponse,
        responses=openapi.GUARDED,
        openapi_extra=openapi.body(SearchRequest),
    )
    async def search(request: Request) -> Response:
        """Query words recall items by their titles, then the network ranks them (Figure 1)."""
        body, came = await _read(request), request.scope[CAME]
        return await _take(
            request, lambda: _json(service.search(records.parse(_SEARCH, body), came))
        )

    @app.post(
        "/v1/explain",
        response_model=ExplainResponse,
        responses=openapi.GUARDED,
        openapi_extra=openapi.body(Asking),
    )
    async def explain(request: Request) -> Response:
        """Attention weight of each behaviour, under a query."""
        body = await _read(request)
        return await _take(request, lambda: _json(service.explain(records.parse(_ASKING, body))))

    @app.post(
        "/v1/behaviors",
        response_model=BehaviorsResponse,
        responses=openapi.GUARDED,
        openapi_extra=openapi.body(BehaviorsRequest),
    )
    async def behaviors(request: Request) -> Response:
        """Live behaviours: the very next request sees them, once their time has come."""
        body = await _read(request)

        def work() -> Response:
            given = records.parse(_BEHAVIORS, body).behaviors
            return _json(service.add(given))

        return await _take(request, work)


def _users(app: FastAPI, service: Service) -> None:
    @app.get(
        "/v1/users/{user_id:any}/representation",
        response_model=RepresentationResponse,
        responses=openapi.GUARDED,
    )
    async def representation(
        request: Request,
        asking: Annotated[Asking, Depends(_asking)],
    ) -> Response:
        """The universal representation: 256 numbers."""
        return await _take(request, lambda: _json(service.represent(asking)))

    @app.get(
        "/v1/users/{user_id:any}/price_preference",
        response_model=PricePreferenceResponse,
        responses=openapi.GUARDED,
    )
    async def price_preference(
        request: Request,
        asking: Annotated[Asking, Depends(_asking)],
    ) -> Response:
        """Probabilities of the 7 price levels, cheapest first."""
        return await _take(request, lambda: _json(service.prefer(asking)))


def _probes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> Alive:
        """The process lives."""
        return Alive()

    @app.get(
        "/readyz",
        response_model=Readiness,
        responses={503: {"description": "Not every user is answered.", "model": Readiness}},
    )
    async def readyz() -> Response:
        """Every user is answered; which versions are loaded, by arm, and what is wrong."""
        versions, ready = service.versions, service.ready
        told = Readiness(
            status="ready" if ready else "no version is loaded that answers everybody",
            arms={
                arm: Arm(version=one.name.version, line=one.name.line, run=one.name.run)
                for arm, one in versions.served.items()
            },
            refused=versions.refused,
            missing=versions.missing,
            registry=versions.reading.told,
            histories=service.outages.told,
        )
        return _json(told, 200 if ready else 503)

    @app.get("/metrics", response_model=None, response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus."""
        meters.tell(service.versions)
        meters.AWAY.set(service.outages.seconds)
        return Response(meters.page(), media_type=meters.CONTENT_TYPE)


async def _take(request: Request, work: Callable[[], Response]) -> Response:
    turns: Turns = request.app.state.turns
    return await turns.take(work, request.is_disconnected)


async def _read(request: Request) -> bytes:
    bodies: Bodies = request.app.state.bodies
    body = await bodies.read(request.receive)
    for name in request.query_params:  # `?page=false` would not be heard
        raise InputError(f"query.{place([name])}: it is unknown here. Send it in the body.")
    return body


async def _asking(
    request: Request,
    user_id: User,
    query: Words = None,
    scenario: Where = "unknown",
    ts: When = None,
) -> Asking:
    _require_utf8(request)
    known = ", ".join(_PARAMETERS)
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:  # FastAPI overlooks both
        if name not in _PARAMETERS:
            raise InputError(f"query.{place([name])}: it is unknown. Known: {known}.")
        if names.count(name) > 1:
            raise InputError(f"query.{name}: it is there more than once. Send it once.")
    return Asking(user_id=user_id, query=query, scenario=scenario, ts=ts)


def _require_utf8(request: Request) -> None:
    """Refuse an address of other bytes: in each of them U+FFFD would stand, and ids become one."""
    scope = request.scope
    for name, part in (("path", scope.get("raw_path")), ("query", scope["query_string"])):
        try:
            unquote_to_bytes(part or b"").decode()
        except UnicodeDecodeError:
            raise InputError(f"{name}: it is not UTF-8. Send it as UTF-8, escaped by %.") from None


def _json(answer: BaseModel, status: int = 200) -> Response:
    return Response(orjson.dumps(answer, default=vars), status, media_type=openapi.JSON)


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
        media_type=PROBLEM.decode(),
    )


_PARAMETERS = ("query", "scenario", "ts")
_RANK = TypeAdapter(RankRequest)
_SEARCH = TypeAdapter(SearchRequest)
_ASKING = TypeAdapter(Asking)
_BEHAVIORS = TypeAdapter(BehaviorsRequest)
