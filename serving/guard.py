"""What stands before the application: token, origin, length, a full queue, and the clock.

It is also the last to hear of an error that nobody foresaw, and tells the caller so.

Plain ASGI, and before anything is read: turning a request away must cost next to nothing, or a
service that is asked for five times what it can give spends its cores on saying no.
"""

import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson
from starlette.requests import ClientDisconnect

from serving import meters
from serving.http_contracts import Problem
from serving.settings import ServeConfig
from serving.turns import Turns

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN = ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json")
"""Paths that need no token and wait for no turn: probes and the documentation."""
CAME = "dupn.came"
"""Key of the scope: when the request came in, as `time.perf_counter` tells it."""
TOLD = "dupn.told"
"""Key of the scope: the status that a request was told of which the rest was not waited for."""
PROBLEM = b"application/problem+json"
FOREIGN = Problem(
    title="Forbidden",
    status=403,
    detail="a page of another site may not ask here. Ask from a server, or set serve.token.",
)
FULL = Problem(
    title="Service Unavailable",
    status=503,
    detail="too many requests wait already. Ask again in a second.",
)
BAD = Problem(
    title="Bad Request",
    status=400,
    detail="what came is no request in HTTP.",
)
LATE = Problem(
    title="Request Timeout",
    status=408,
    detail="the request did not come whole in time. Send head and body in one go.",
)
LONG = Problem(
    title="Request Header Fields Too Large",
    status=431,
    detail="the head of the request, or what came beside its body, does not end. Send what belongs "
    "to it in the body.",
)
FAILED = Problem(
    title="Internal Server Error",
    status=500,
    detail="the service failed at this request; its log says at what.",
)


class Guard:
    """Middleware.

    Args:
        app: what is guarded.
        config: token and limits.
        turns: gives the queue of this process.
    """

    def __init__(self, app: Asgi, config: ServeConfig, turns: Callable[[], Turns]) -> None:
        self.app = app
        self.token = f"Bearer {config.token}".encode() if config.token else b""
        self.max_body = config.max_body_bytes
        self.turns = turns

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on; count either way."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope[CAME] = begin = time.perf_counter()
        refused = self._refusal(scope)
        status, begun = refused.status if refused else FAILED.status, False

        async def heard(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
            await send(message)

        try:
            if refused:
                await _tell(refused, send)
            else:
                await self.app(scope, receive, heard)
        except ClientDisconnect:
            status = scope.get(TOLD, 499)  # 499: nobody is there to be told
        except Exception:
            if begun:
                raise
            logger.exception("%s %s failed", scope["method"], scope["path"])
            await _tell(FAILED, send)
        finally:
            endpoint = getattr(scope.get("route"), "path_format", "refused" if refused else "other")
            meters.LATENCY.labels(endpoint).observe(time.perf_counter() - begin)
            meters.REQUESTS.labels(endpoint, status).inc()

    def _refusal(self, scope: Scope) -> Problem | None:
        if scope["path"] in OPEN:
            return None
        headers = dict(scope["headers"])
        given = headers.get(b"authorization", b"")
        if self.token and not hmac.compare_digest(given, self.token):
            detail = "send `Authorization: Bearer TOKEN`."
            return Problem(title="Unauthorized", status=401, detail=detail)
        if not self.token and is_foreign(headers):
            return FOREIGN
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.max_body:
            detail = f"a body may have {self.max_body:,} bytes (serve.max_body_bytes)."
            return Problem(title="Content Too Large", status=413, detail=detail)
        if self.turns().full:
            meters.SHED.labels("queue").inc()
            return FULL
        return None


def is_foreign(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a page of another site asks: its user's browser says so, and reaches us for it.

    `Sec-Fetch-Site` tells what the browser knows, also behind a proxy that has changed `Host`; over
    plain HTTP it is sent to loopback addresses alone, and old browsers do not send it.
    """
    site = headers.get(b"sec-fetch-site")
    if site in (b"same-origin", b"cross-site"):
        return site == b"cross-site"
    origin = headers.get(b"origin")
    if origin is None:
        return False
    return origin.partition(b"://")[2].lower() != headers.get(b"host", b"").lower()


async def _tell(problem: Problem, send: Send) -> None:
    headers, body = written(problem)
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def written(problem: Problem) -> tuple[Headers, bytes]:
    """A problem as it is sent."""
    body = orjson.dumps(problem.model_dump())
    headers = [(b"content-type", PROBLEM), (b"content-length", str(len(body)).encode())]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))  # RFC 9110: some clients fail without it
    if problem.status == 503:
        headers.append((b"retry-after", b"1"))
    return headers, body
