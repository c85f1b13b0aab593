"""What a caller can make a connection hold: little, and not for ever; and what it is told."""

import asyncio
import contextlib
import socket
from types import SimpleNamespace

import pytest
import uvloop
from prometheus_client import REGISTRY
from starlette.requests import ClientDisconnect

from serving import shedding
from serving.accepting import Trouble
from serving.guard import Guard
from serving.settings import ServeConfig
from serving.shedding import HEAD, STATE, _queued
from tests.serving.listening import PATIENCE_S, Counting, heard, is_silent, listening, say, wait

LONG = 16 << 20
"""Bytes of an answer of which the system takes but a part before the caller reads."""


async def app(scope, receive, send):
    """Answers with the body's length, after it; at `/early` before it; at `/long` with much."""
    if scope["type"] == "lifespan":
        scope["state"][STATE] = app.turns
        return
    app.asked.append(scope)
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        size, more = size + len(message["body"]), message.get("more_body", False)
    while app.busy:
        await asyncio.sleep(0.01)
    said = bytes(LONG) if scope["path"] == "/long" else b"%d" % size
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture(scope="module", params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def server(request):
    app.turns = SimpleNamespace(full=False)
    with listening(Guard(app, ServeConfig(), lambda: app.turns), request.param) as address:
        yield address


@pytest.fixture
def line(server):
    """A connection that takes no more than it must until it is read."""
    app.asked, app.busy, app.turns.full = [], False, False
    before = Counting.made
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(PATIENCE_S)
        line.connect(server)
        wait(lambda: Counting.made == before + 1)
        yield line


def chunked(path=b"/v1/rank", body=b"2\r\n{}\r\n"):
    """A request whose body comes in chunks, up to those."""
    return b"POST %s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%s" % (path, body)


def asking(path, body=b"{}"):
    return b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (path, len(body)) + body


def count(status, endpoint="other"):
    labels = {"endpoint": endpoint, "status": str(status)}
    return REGISTRY.get_sample_value("dupn_requests_total", labels) or 0


BESIDE = {
    "trailers": (b"0\r\n", b"x-more: " + b"x" * 9_990 + b"\r\n"),
    "a trailer": (b"0\r\nx-more: ", b"x" * 10_000),
    "an extension of a chunk": (b"2;more=", b"x" * 10_000),
    "the length of a chunk": (b"", b"0" * 10_000),
}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("what", BESIDE)
def test_what_comes_beside_a_body_is_neither_kept_nor_read_for_ever(line, what, early):
    begin, more = BESIDE[what]
    before = count(431)
    say(line, chunked(b"/early" if early else b"/v1/rank") + begin)
    if early:
        assert heard(line).startswith(b"HTTP/1.1 200 ")
    for _ in range(HEAD // len(more) + 1):
        say(line, more)
    assert heard(line)[:13] == (b"" if early else b"HTTP/1.1 431 ")
    assert line.recv(1) == b""
    wait(lambda: count(431) == before + (not early))
    assert [name for name, _ in app.asked[0]["headers"]] == [b"host", b"transfer-encoding"]


def test_a_trailer_is_no_header_and_the_connection_lives_on(line):
    say(line, chunked() + b"0\r\nauthorization: x\r\n")
    line.sendall(b"\r\n")
    assert heard(line).endswith(b"\r\n\r\n2")
    line.sendall(asking(b"/v1/rank", b"123"))
    assert heard(line).endswith(b"\r\n\r\n3")
    assert [len(scope["headers"]) for scope in app.asked] == [2, 2]


def test_a_body_in_many_small_chunks_is_heard_whole(line):
    for _ in range(20):
        say(line, chunked() if not app.asked else b"1;a=b\r\n \r\n" * 1_000)
        wait(lambda: app.asked)
    line.sendall(b"0\r\n\r\n")
    assert heard(line).endswith(b"\r\n\r\n19002")


def left(protocol):
    """Bytes of its answer that the other end has not taken."""
    return protocol.transport.get_write_buffer_size() + _queued(protocol.transport)


def within(protocol, work):
    """Do it where the connection is served."""
    done = []
    protocol.loop.call_soon_threadsafe(lambda: done.append(work()))
    wait(lambda: done)


def owed(line):
    """The connection's protocol, which has given a long answer that nobody reads yet."""
    line.sendall(asking(b"/long"))
    protocol = Counting.newest
    wait(lambda: protocol._unread and protocol.transport.get_write_buffer_size())
    return protocol


@pytest.mark.parametrize("path", [b"/long HTTP/1.1\r\nconnection: close", b"/long HTTP/1.1"])
def test_who_reads_nothing_of_an_answer_is_let_go(monkeypatch, line, path):
    monkeypatch.setattr(shedding, "READ_S", 0.1)
    before = Counting.ended
    line.sendall(b"GET %s\r\nhost: x\r\n\r\n" % path)
    wait(lambda: Counting.ended == before + 1)
    with contextlib.suppress(ConnectionResetError):
        assert len(heard(line)) < LONG


def test_who_reads_slowly_gets_the_whole_answer(line):
    protocol, said = owed(line), b""
    for _ in range(5):
        within(protocol, protocol._look)
        found = protocol._left
        while left(protocol) >= found:
            said += line.recv(1_000)
    assert not protocol.transport.is_closing()
    said += heard_rest(line, said)
    assert len(said.partition(b"\r\n\r\n")[2]) == LONG
    within(protocol, protocol._look)
    assert (protocol._unread, protocol.transport.is_closing()) == (None, False)
    line.sendall(asking(b"/v1/rank"))
    assert heard(line).endswith(b"\r\n\r\n2")


def heard_rest(line, said):
    """What is left of a long answer."""
    head = len(said.partition(b"\r\n\r\n")[0]) + 4
    more = bytearray()
    while len(said) + len(more) < head + LONG:
        more += line.recv(1 << 20)
    return bytes(more)


def test_an_answer_has_its_time_from_when_it_was_given(line):
    protocol = owed(line)
    within(protocol, protocol._look)
    within(protocol, protocol.on_response_complete)
    within(protocol, protocol._look)
    assert not protocol.transport.is_closing()
    within(protocol, protocol._look)
    assert protocol.transport.is_closing()


def test_who_does_not_read_is_not_turned_away_ever_more(line):
    app.turns.full, protocol = True, Counting.newest
    within(protocol, protocol.pause_writing)
    line.sendall(asking(b"/v1/rank"))
    assert is_silent(line)
    line.settimeout(PATIENCE_S)
    within(protocol, protocol.resume_writing)
    assert heard(line).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("path", [b"/v1/rank", b"/early", b"/long"])
@pytest.mark.parametrize("times", [1, 3])
def test_who_sends_no_more_after_whole_requests_is_answered(line, path, times):
    app.busy = True
    line.sendall(asking(path) * times)
    line.shutdown(socket.SHUT_WR)
    assert is_silent(line)
    line.settimeout(PATIENCE_S)
    app.busy = False
    said = bytearray()
    while more := line.recv(1 << 20):
        said += more
    assert said.count(b"HTTP/1.1 200 ") == times
    assert len(said) > times * LONG or path != b"/long"


@pytest.mark.parametrize("sent", [b"", asking(b"/v1/rank")[:-1], asking(b"/v1/rank")[:20]])
def test_who_sends_no_more_before_is_not_waited_for(line, sent):
    say(line, sent)
    line.shutdown(socket.SHUT_WR)
    assert line.recv(1) == b""


def test_a_connection_that_was_answered_ends_with_the_callers_half(line):
    line.sendall(asking(b"/v1/rank"))
    assert heard(line).startswith(b"HTTP/1.1 200 ")
    line.shutdown(socket.SHUT_WR)
    assert line.recv(1) == b""


def test_what_a_late_request_was_told_is_counted_once(monkeypatch, line):
    monkeypatch.setattr(shedding, "WHOLE_S", 0.3)
    before = [count(408), count(499)]
    line.sendall(asking(b"/v1/rank")[:-1])
    assert heard(line).startswith(b"HTTP/1.1 408 ")
    wait(lambda: [count(408), count(499)] == [before[0] + 1, before[1]])


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"GET / HTTP/1.1\r\nx: " + b"x" * 70_000, 431), (b"\x16\x03\x01\r\n\r\n", 400)],
)
def test_what_is_told_before_a_request_is_known_is_counted(line, sent, status):
    before = count(status, "refused")
    say(line, sent[:20])
    if sent[20:]:
        say(line, sent[20:])
    assert heard(line).startswith(b"HTTP/1.1 %d " % status)
    assert line.recv(1) == b""
    assert count(status, "refused") == before + 1


def test_the_log_says_once_in_a_while_that_callers_speak_no_http(server, monkeypatch, caplog):
    clock = SimpleNamespace(now=0.0)
    trouble = Trouble(lambda: clock.now, shedding._BAD_ONES._sentence)
    monkeypatch.setattr(shedding, "_BAD_ONES", trouble)
    for clock.now in (0.0, 1.0, 2.0, 61.0):
        with socket.create_connection(server, timeout=PATIENCE_S) as line:
            line.sendall(b"no words\r\n\r\n")
            said = heard(line)
            assert said.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert b"application/problem+json" in said
    assert [one.split(" times")[0].split()[-1] for one in caplog.messages] == ["1", "3"]
