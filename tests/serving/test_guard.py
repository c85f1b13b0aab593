"""What stands before the application refuses at its borders, counts, and hears every end."""

import asyncio
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from starlette.requests import ClientDisconnect

from serving.guard import Guard
from serving.settings import ServeConfig

CONFIG = ServeConfig(token="secret", max_body_bytes=2000)
KNOWN = (b"authorization", b"Bearer secret")


async def well(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def statuses(app, *headers, path="/v1/rank", full=False, config=CONFIG):
    """What the caller is told."""
    said = []

    async def send(message):
        said.append(message)

    guard = Guard(app, config, lambda: SimpleNamespace(full=full))
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    try:
        asyncio.run(guard(scope, None, send))
    finally:
        found = [one["status"] for one in said if one["type"] == "http.response.start"]
    return found


def counted(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0


def answered(endpoint, status):
    return counted("dupn_requests_total", endpoint=endpoint, status=str(status))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"])
def test_probes_and_documentation_need_no_token_and_no_turn(path):
    assert statuses(well, path=path, full=True) == [200]


@pytest.mark.parametrize("given", [[], [(b"authorization", b"")], [(b"authorization", b"secret")]])
def test_without_the_token_nothing_else_is_told(given):
    before = answered("refused", 401)
    long = (b"content-length", b"2001")
    assert statuses(well, *given, long, full=True) == [401]
    assert answered("refused", 401) == before + 1


HOST = (b"host", b"127.0.0.1:8000")
OWN = (b"origin", b"http://127.0.0.1:8000")
OTHER = (b"origin", b"https://shop.example")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),  # no browser
        ([OWN], 200),  # /docs
        ([(b"origin", b"http://127.0.0.1:9000")], 403),
        ([(b"origin", b"null")], 403),
        ([OTHER], 403),
        ([(b"sec-fetch-site", b"cross-site")], 403),  # an image, a link
        ([(b"sec-fetch-site", b"cross-site"), OWN], 403),
        ([(b"sec-fetch-site", b"same-site"), OTHER], 403),  # another port is no other site
        ([(b"sec-fetch-site", b"same-origin"), OTHER], 200),  # behind a proxy with its own name
        ([(b"sec-fetch-site", b"none")], 200),  # typed into the address bar
    ],
)
def test_a_page_of_another_site_may_not_ask(headers, status):
    open_to_all = ServeConfig()
    before = answered("refused", 403)
    assert statuses(well, HOST, *headers, config=open_to_all) == [status]
    assert answered("refused", 403) == before + (status == 403)
    assert statuses(well, HOST, *headers, path="/readyz", config=open_to_all) == [200]


def test_who_knows_the_token_may_hand_on_what_a_browser_said():
    assert statuses(well, HOST, OTHER) == [401]
    assert statuses(well, HOST, OTHER, KNOWN) == [200]


@pytest.mark.parametrize(("length", "status"), [(b"2000", 200), (b"2001", 413), (b"?", 200)])
def test_a_body_may_be_as_long_as_the_setting_says(length, status):
    before = answered("refused", 413)
    assert statuses(well, KNOWN, (b"content-length", length)) == [status]
    assert answered("refused", 413) == before + (status == 413)


def test_who_is_turned_away_by_a_full_queue_is_counted_as_shed():
    before = counted("dupn_shed_total", reason="queue"), answered("refused", 503)
    assert statuses(well, KNOWN, full=True) == [503]
    after = counted("dupn_shed_total", reason="queue"), answered("refused", 503)
    assert after == (before[0] + 1, before[1] + 1)


def test_a_caller_who_hung_up_is_told_nothing_and_is_no_failure(caplog):
    async def gone(scope, receive, send):
        raise ClientDisconnect

    before = answered("other", 499)
    assert statuses(gone, KNOWN) == []
    assert answered("other", 499) == before + 1
    assert caplog.text == ""


def test_a_failure_that_nobody_foresaw_is_told_and_counted(caplog):
    async def failing(scope, receive, send):
        raise ZeroDivisionError

    before = answered("other", 500)
    assert statuses(failing, KNOWN) == [500]
    assert answered("other", 500) == before + 1
    assert "POST /v1/rank failed" in caplog.text


def test_an_answer_that_breaks_off_is_no_second_answer():
    async def broken(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        statuses(broken, KNOWN)
