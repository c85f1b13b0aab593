"""A full queue says no before HTTP is parsed, and never to what is not a request."""

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest
import uvicorn
from prometheus_client import REGISTRY
from uvicorn.server import ServerState

from serving import shedding
from serving.shedding import STATE, Protocol, is_whole
from tests.serving.listening import PATIENCE_S, Counting, heard, is_silent, listening, say, wait


def request(body=b"{}", *more, path=b"/v1/rank"):
    lines = [b"POST %s HTTP/1.1" % path, b"host: x", b"content-length: %d" % len(body), *more]
    return b"\r\n".join([*lines, b"", body])


async def echo(scope, receive, send):
    """Answers with the body's length."""
    if scope["type"] == "lifespan":
        scope["state"][STATE] = echo.turns
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    echo.begun += 1
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message.get("more_body", False)
    while echo.busy:
        await asyncio.sleep(0.01)
    said = b"%d" % size
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module")
def server():
    echo.turns = SimpleNamespace(full=False)
    with listening(echo) as address:
        yield address


@pytest.fixture
def line(server):
    echo.turns.full, echo.busy, echo.begun = False, False, 0
    before = Counting.made
    with socket.create_connection(server, timeout=PATIENCE_S) as line:
        wait(lambda: Counting.made == before + 1)
        yield line


def counted():
    """Requests that were shed, and refusals."""
    labels = {"endpoint": "refused", "status": "503"}
    refused = REGISTRY.get_sample_value("dupn_requests_total", labels)
    return [REGISTRY.get_sample_value("dupn_shed_total", {"reason": "queue"}), refused]


def test_a_full_queue_says_no_and_the_connection_lives_on(line):
    echo.turns.full, before = True, counted()
    line.sendall(request())
    said = heard(line)
    assert said.startswith(b"HTTP/1.1 503 ")
    wait(lambda: counted() == [one + 1 for one in before])
    assert b"\r\nretry-after: 1\r\n" in said
    echo.turns.full = False
    line.sendall(request())
    assert heard(line).startswith(b"HTTP/1.1 200 ")


def test_a_connection_that_was_answered_is_turned_away_as_early(line):
    line.sendall(request())
    assert heard(line).startswith(b"HTTP/1.1 200 ")
    echo.turns.full, before = True, counted()
    line.sendall(request())
    assert heard(line).startswith(b"HTTP/1.1 503 ")
    wait(lambda: counted() == [one + 1 for one in before])


class Wire(asyncio.Transport):
    """Takes what is written."""

    def write(self, data):
        self.written = data


def test_a_connection_that_is_turned_away_is_kept_alive_from_the_last_no():
    loop = asyncio.new_event_loop()
    config = uvicorn.Config(echo, timeout_keep_alive=7, log_level="warning")
    one = Protocol(config, ServerState(), {STATE: SimpleNamespace(full=True)}, loop)
    one.connection_made(Wire())
    timers = []
    for _ in range(2):
        one.data_received(request())
        timers.append(one.timeout_keep_alive_task)
    assert [timer.cancelled() for timer in timers] == [True, False]
    assert 6 < timers[1].when() - loop.time() <= 7
    loop.close()


def test_a_body_that_looks_like_a_request_is_a_body(line):
    inner = request()
    say(line, request(inner)[: -len(inner)])
    echo.turns.full = True
    line.sendall(inner)
    said = heard(line)
    assert said.startswith(b"HTTP/1.1 200 ")
    assert said.endswith(b"\r\n\r\n%d" % len(inner))
    assert said.count(b"HTTP/1.1") == 1
    assert is_silent(line)


def test_a_header_that_looks_like_a_request_is_a_header(line):
    say(line, b"POST /v1/rank HTTP/1.1\r\nx: ")
    echo.turns.full = True
    line.sendall(request())
    assert heard(line).startswith(b"HTTP/1.1 200 ")


def test_answers_keep_the_order_of_pipelined_requests(line):
    echo.busy = True
    say(line, request(b"123"))
    wait(lambda: echo.begun == 1)
    echo.turns.full = True
    say(line, request())
    echo.busy = False
    assert heard(line).split(b"\r\n\r\n")[1].startswith(b"3")


@pytest.mark.parametrize("cut", [1, 20, 40, -1])
def test_a_request_in_pieces_is_answered_once(line, cut):
    whole = request()
    echo.turns.full = True
    say(line, whole[:cut])
    line.sendall(whole[cut:])
    assert heard(line).count(b"HTTP/1.1") == 1
    assert is_silent(line)


@pytest.fixture
def hasty(monkeypatch):
    """Whose time begins when it is called."""
    return lambda seconds: monkeypatch.setattr(shedding, "WHOLE_S", seconds)


@pytest.fixture
def hasty_line(hasty, request):
    """A connection that has a second to begin a request."""
    hasty(1.0)
    return request.getfixturevalue("line")


@pytest.mark.parametrize("cut", [1, 20, -1])
@pytest.mark.parametrize("before", [0, 1])
def test_a_request_that_does_not_come_whole_is_waited_for_no_longer(hasty, line, cut, before):
    for _ in range(before):
        line.sendall(request())
        assert heard(line).startswith(b"HTTP/1.1 200 ")
    hasty(0.3)
    line.sendall(request()[:cut])
    said = heard(line)
    assert said.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"\r\nconnection: close\r\n" in said
    assert line.recv(1) == b""


@pytest.mark.parametrize("sent", [b"", b"\r\n"])
def test_a_connection_that_begins_no_request_is_closed_after_the_same_time(hasty_line, sent):
    hasty_line.sendall(sent)
    assert hasty_line.recv(1) == b""


def test_an_end_of_line_after_an_answer_keeps_no_connection_open(hasty, line):
    line.sendall(request())
    assert heard(line).startswith(b"HTTP/1.1 200 ")
    hasty(0.3)
    line.sendall(b"\r\n")
    assert line.recv(1) == b""


def test_a_request_has_its_time_from_when_it_begins_however_often_a_piece_comes():
    loop = asyncio.new_event_loop()
    one = Protocol(uvicorn.Config(echo), ServerState(), {}, loop)
    one.connection_made(Wire())
    first = one._late
    one.data_received(request()[:20])
    second = one._late
    one.data_received(request()[20:-1])
    assert one._late is second
    assert [timer.cancelled() for timer in (first, second)] == [True, False]
    assert 0 < second.when() - loop.time() <= shedding.WHOLE_S
    loop.close()


@pytest.mark.parametrize("full", [False, True])
def test_who_was_answered_is_not_closed_by_the_clock_of_the_beginning(hasty_line, full):
    echo.turns.full = full
    hasty_line.sendall(request())
    assert heard(hasty_line).startswith(b"HTTP/1.1 503 " if full else b"HTTP/1.1 200 ")
    time.sleep(1.2)
    hasty_line.sendall(request())
    assert heard(hasty_line).startswith(b"HTTP/1.1 503 " if full else b"HTTP/1.1 200 ")


@pytest.mark.parametrize("before", [0, 1])
def test_a_head_that_does_not_end_is_not_read_for_ever(line, before):
    for _ in range(before):
        line.sendall(request(b"x" * 200_000))  # a body has a limit of its own
        assert heard(line).startswith(b"HTTP/1.1 200 ")
    say(line, b"POST /v1/rank HTTP/1.1\r\n")
    for _ in range(7):
        say(line, b"x-more: " + b"x" * 9_990 + b"\r\n")
    said = heard(line)
    assert said.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"\r\nconnection: close\r\n" in said
    assert line.recv(1) == b""


def test_a_long_head_that_ends_is_read(line):
    say(line, request()[:20])
    line.sendall(request(b"{}", b"x-more: " + b"x" * 50_000)[20:])
    assert heard(line).startswith(b"HTTP/1.1 200 ")


def test_a_request_that_came_whole_in_pieces_has_its_time_to_be_answered(hasty, line):
    echo.busy = True
    hasty(1.0)
    say(line, request()[:-1])
    say(line, request()[-1:])
    time.sleep(1.2)
    echo.busy = False
    assert heard(line).startswith(b"HTTP/1.1 200 ")


def test_who_is_owed_another_answer_is_not_told_of_the_one_that_is_late(hasty, line):
    echo.busy = True
    hasty(0.3)
    line.sendall(request() + request()[:20])
    assert line.recv(65536) == b""


WISH = (b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABk")
"""What Java's client sends with its first request, beside the protocol that it would like."""


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade"])
@pytest.mark.parametrize("cut", [None, 60, -3, -2, -1])
def test_who_asks_for_another_protocol_is_heard_and_answered_in_this_one(line, name, cut):
    asked = request(b"{}", *WISH, name + b": h2c")
    say(line, asked[:cut])
    if cut is not None:
        line.sendall(asked[cut:])
    assert heard(line).endswith(b"\r\n\r\n2")
    line.sendall(request(b"[1]"))
    assert heard(line).endswith(b"\r\n\r\n3")


@pytest.mark.parametrize("left", [3, 2, 1])
def test_a_body_that_comes_with_the_end_of_its_head_is_heard_whole(line, left):
    body = b'{"a":1,\r\nUpgrade: x\r\n}'
    asked = request(body, *WISH[:1])
    cut = asked.index(b"\r\n\r\n") + 4 - left
    say(line, asked[:cut])
    line.sendall(asked[cut:])
    assert heard(line).endswith(b"\r\n\r\n%d" % len(body))


@pytest.mark.parametrize("name", [b"Upgrade", b"upgrade"])
def test_where_such_a_wish_came_in_pieces_nobody_waits_on_that_connection(line, name):
    asked = request(b"{}", *WISH, name + b": h2c")
    middle = asked.index(b"h2c") + 1
    say(line, asked[:middle])
    line.sendall(asked[middle:])
    assert heard(line).startswith(b"HTTP/1.1 200 ")
    assert line.recv(1) == b""  # long before a connection is ended that nobody uses


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (request(), True),
        (request(b"{}", b"Connection: keep-alive"), True),
        (request(b"{}", b"connection: close"), False),
        (request(b"{}", b"connection: keep-alive, upgrade"), False),
        (request(b"{}", b"upgrade: websocket"), False),
        (request(b"{}", b"Transfer-Encoding: chunked"), False),
        (request(b"{}", b"Content-Length : 7"), False),
        (request(b"{}", b"content-length: 7"), False),
        (request(b"{}", b"expect: 100-continue"), False),
        (request() + b"P", False),
        (request()[:-1], False),
        (request().replace(b"1.1", b"1.0"), False),
        (request(path=b"/healthz"), False),
        (request().replace(b"POST", b"GET"), False),
        (b"", False),
    ],
)
def test_only_one_plain_request_is_whole(data, whole):
    assert is_whole(data) == whole
