"""The load generator against a server that says yes, says no, says it in pieces, or hangs up."""

import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from infra.errors import OrchestrationError, ServingUnavailable
from infra.services import Service
from pipeline.bench import load as generator
from pipeline.bench.load import Ask, Heard, background, clean, latencies, load
from tests.ports import free_port


class Says(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        said = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append(said)
        if said == b"hang":
            self.server.released.wait(120)
        if said == b"hang up":
            self.close_connection = True
            return
        self.send_response(503 if said == b"no" else 500 if said == b"wrong" else 200)
        self.send_header("content-length", str(len(said)))
        if said == b"last":
            self.send_header("connection", "close")
        self.end_headers()
        for start in range(0, len(said), 50_000):
            time.sleep(0.001 if said == b"slow" else 0)
            self.wfile.write(said[start : start + 50_000])

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing."""


@pytest.fixture
def server():
    found = ThreadingHTTPServer(("127.0.0.1", 0), Says)
    found.daemon_threads = True
    found.heard, found.released = [], threading.Event()
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield found
    found.released.set()
    found.shutdown()
    found.server_close()


def asked(server, *bodies, **how):
    asks = [Ask("/", body, "text/plain") for body in bodies]
    how = {"connections": 3, "seconds": 0.4} | how
    return load(server.server_port, asks, **how)


def test_every_answer_is_counted_as_what_it_is(server):
    bodies = (b"yes", b"no", b"wrong", b"x" * 400_000)
    heard = asked(server, *bodies, listen=lambda body: body[:1], seconds=1.0)
    answers = len(heard.seconds) + heard.shed + len(heard.failed)
    assert answers == len(server.heard) > 8
    assert len(heard.seconds) == sum(said[:1] in b"yx" for said in server.heard)
    assert heard.shed == server.heard.count(b"no") == len(heard.noes)
    assert [failed[:3] for failed in heard.failed] == ["500"] * server.heard.count(b"wrong")
    assert set(heard.versions) == {b"y", b"x"}
    assert all(0 < seconds <= heard.took for seconds in heard.seconds)


def test_a_connection_that_ends_is_opened_again(server):
    heard = asked(server, b"last", b"yes")
    assert heard.failed == []
    assert len(heard.seconds) == len(server.heard) > 4


def test_a_connection_that_breaks_is_a_failure(server):
    heard = asked(server, b"hang up", b"yes")
    assert len(heard.failed) == server.heard.count(b"hang up") > 0
    assert len(heard.seconds) == server.heard.count(b"yes") > 0


def test_a_rate_is_kept(server):
    """Two thirds at least: what a machine that stalls for a second at the end has no time for."""
    heard = asked(server, b"yes", rate=60, seconds=3.0)
    assert 120 <= len(heard.seconds) <= 182


class Clock:
    """Stands still but where it is moved."""

    now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(generator, "time", found)
    return found


def crowd(clock, connections, rate):
    lines = [generator._Line(0, n, Heard(), clock.now + 60) for n in range(connections)]
    return generator._Crowd(lines, iter(()), rate)


def test_a_rate_is_spread_over_connections_in_every_round(clock):
    made = crowd(clock, connections=12, rate=60)
    due = [when for when, _ in sorted(made.due)]
    for _ in range(5):  # a second: each is answered somewhat later than it asks
        for line in made.lines:
            clock.now = line.due + 0.003
            due.append(made._next(line))
    assert due == pytest.approx([100.0 + n / 60 for n in range(72)])


@pytest.mark.parametrize(("late", "missed"), [(0.9, 0.0), (3.0, 2.0)])
def test_who_is_late_catches_up_with_a_second_of_what_was_missed(clock, late, missed):
    made = crowd(clock, connections=1, rate=10)
    clock.now = 100.1 + late
    assert made._next(made.lines[0]) == pytest.approx(100.1 + missed)


def test_a_service_that_hangs_costs_its_answers_and_not_the_bench(server):
    start = time.perf_counter()
    heard = asked(server, b"hang", b"yes", connections=2, seconds=0.2, patience_s=0.5)
    assert time.perf_counter() - start < 60  # its own patience, not the 120 s of who hangs
    assert len(heard.failed) == server.heard.count(b"hang") > 0
    assert all("no answer in" in failed for failed in heard.failed)


def test_a_service_that_accepts_nobody_costs_its_answers_and_not_the_bench(server):
    """Its queue of connections is full, so that opening one hangs."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        start = time.perf_counter()
        asks = [Ask("/", b"yes", "text/plain")]
        heard = load(deaf.getsockname()[1], asks, 8, 0.2, patience_s=0.5)
    assert time.perf_counter() - start < 60  # of the connections: minutes
    assert len(heard.failed) >= 1
    assert heard.seconds == []


def test_what_failed_is_said_in_a_sentence():
    with pytest.raises(ServingUnavailable, match=r"2 requests .* 500 of all"):
        clean(Heard(failed=["500 of all", "500"]))
    assert clean(Heard(seconds=[1.0])).seconds == [1.0]


def program(folder, code, port):
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", code]
    return Service(
        name="shop", folder=folder, command=command, environment={}, address=address, health=address
    )


def test_a_program_that_does_not_start_is_quoted_at_once(tmp_path):
    start = time.perf_counter()
    broken = program(tmp_path, "raise SystemExit('no room on the disk')", 1)
    with pytest.raises(OrchestrationError, match="no room on the disk"), background(broken):
        pytest.fail("it runs")
    assert time.perf_counter() - start < 60  # it would be waited for twice as long


def test_a_program_in_the_background_ends_with_the_block(tmp_path):
    port = free_port()
    answers = (
        "from http.server import HTTPServer, SimpleHTTPRequestHandler as Says\n"
        f"HTTPServer(('127.0.0.1', {port}), Says).serve_forever()"
    )
    with background(program(tmp_path, answers, port)) as process:
        assert process.is_running()
    assert not psutil.pid_exists(process.pid) or process.status() == psutil.STATUS_ZOMBIE


def test_a_round_that_a_neighbour_slowed_moves_the_range_and_not_the_median():
    rounds = [Heard(seconds=[0.002] * 98 + [slow] * 2, took=1.0) for slow in (0.004, 0.09, 0.005)]
    rounds[2].shed = 100
    p50, p99, per_s, shed = latencies("json_200_1", rounds, "three rounds")
    assert (p50["name"], p50["unit"]) == ("serve_json_200_1_p50_ms", "ms")
    assert (p99["value"], p99["low"], p99["high"]) == pytest.approx((5.0, 4.0, 90.0))
    assert (p50["value"], p50["low"], p50["high"]) == pytest.approx((2.0, 2.0, 2.0))
    assert (per_s["value"], shed["value"], shed["high"]) == (100.0, 0.0, 0.5)
