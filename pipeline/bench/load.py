"""A load generator: connections that ask one after the other, or at a given rate.

It runs on the same machine as the service and takes its share of the cores; the figures say so.
Requests are written to plain sockets, ready made, and one thread listens to all of them: a client
library, or a thread a connection, would cost cores that the service needs, and a thread that waits
for the interpreter would count its own waiting as the service's.
"""

import heapq
import itertools
import re
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import psutil

from evaluation.results import Figure
from infra import services
from infra.errors import ServingUnavailable
from infra.services import Service

PATIENCE_S = 60.0
"""That an owed answer may take."""
READY_S = 120.0
"""Until a program that was started answers."""
LOOK_S = 0.2
"""At least as often it is seen whether the time is over."""


@dataclass(frozen=True)
class Ask:
    """One request, ready to be sent."""

    path: str
    body: bytes
    content_type: str

    @cached_property
    def written(self) -> bytes:
        """The whole request."""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            f"content-type: {self.content_type}\r\ncontent-length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


@dataclass
class Heard:
    """What came back."""

    seconds: list[float] = field(default_factory=list)
    """Of answers with status 200."""
    shed: int = 0
    """Answers with status 503."""
    noes: list[float] = field(default_factory=list)
    """Seconds of each of those."""
    failed: list[str] = field(default_factory=list)
    """Anything else."""
    versions: list[str] = field(default_factory=list)
    took: float = 0.0
    listen: Callable[[bytes], str] | None = None

    @property
    def per_s(self) -> float:
        """Answers with status 200 a second."""
        return len(self.seconds) / max(self.took, 1e-9)

    @property
    def shed_share(self) -> float:
        """Of all that was asked."""
        return self.shed / max(len(self.seconds) + self.shed, 1)

    def quantile_ms(self, q: float) -> float:
        """Latency in milliseconds."""
        return float(np.quantile(self.seconds, q) * 1e3) if self.seconds else float("nan")


def load(  # noqa: PLR0913  # a front door: who is asked what, how fast, and for how long
    port: int,
    asks: Sequence[Ask],
    connections: int,
    seconds: float,
    *,
    rate: float | None = None,
    listen: Callable[[bytes], str] | None = None,
    patience_s: float = PATIENCE_S,
) -> Heard:
    """Ask for some seconds.

    Args:
        port: of a service on this machine.
        asks: taken in turn.
        connections: keep-alive connections.
        seconds: how long; answers that are owed then are still waited for.
        rate: requests a second of all connections together; None: each asks as soon as it heard.
        listen: takes the model version out of an answer, to be kept.
        patience_s: how long owed answers are waited for at the end; what is then still owed failed.
    """
    whole, begin = Heard(listen=listen), time.perf_counter()
    until = begin + seconds + patience_s
    lines = [_Line(port, n, whole, until) for n in range(connections)]
    crowd = _Crowd(lines, itertools.cycle(asks), rate)
    while (crowd.due or crowd.asked) and (now := time.perf_counter()) < until:
        if now - begin >= seconds:
            crowd.due.clear()
        crowd.ask()
        crowd.hear()
    crowd.close()
    whole.took = time.perf_counter() - begin
    return whole


class _Crowd:
    """All connections of a load, and when each asks next."""

    def __init__(self, lines: list["_Line"], asks: Iterator[Ask], rate: float | None) -> None:
        now = time.perf_counter()
        self.lines, self.asks = lines, asks
        for n, line in enumerate(lines):  # each a turn later than the one before, in every round
            line.due = now + n / rate if rate else now
        self.due = [(line.due, n) for n, line in enumerate(lines)]
        self.asked = 0
        self._pause = len(lines) / rate if rate else None
        self._ready = selectors.DefaultSelector()

    def ask(self) -> None:
        """Whoever is due; who cannot be heard by the service tries again soon."""
        now = time.perf_counter()
        while self.due and self.due[0][0] <= now:
            number = heapq.heappop(self.due)[1]
            line = self.lines[number]
            if line.ask(next(self.asks)):
                self._ready.register(line.socket, selectors.EVENT_READ, line)
                self.asked += 1
            else:
                heapq.heappush(self.due, (now + 0.01, number))

    def hear(self) -> None:
        """What has come until somebody is due, or for a moment."""
        free = self.due[0][0] - time.perf_counter() if self.due else LOOK_S
        for key, _ in self._ready.select(min(max(0.0, free), LOOK_S)):
            line: _Line = key.data
            if line.read():
                self._ready.unregister(key.fileobj)
                self.asked -= 1
                line.tidy()
                heapq.heappush(self.due, (self._next(line), line.number))

    def close(self) -> None:
        """All connections; what they are still owed failed."""
        owed = [key.data for key in self._ready.get_map().values()]
        self._ready.close()
        for line in owed:
            line.give_up()
        for line in self.lines:
            line.close()

    def _next(self, line: "_Line") -> float:
        """When a line asks again; one that is late by more than a second forgets what it missed."""
        now = time.perf_counter()
        line.due = now if self._pause is None else max(line.due + self._pause, now - 1.0)
        return line.due


class _Line:
    """A keep-alive connection with one request under way, opened again when it was closed."""

    def __init__(self, port: int, number: int, heard: Heard, until: float) -> None:
        self.number = number
        self.due = 0.0
        self.socket: socket.socket
        self._port, self._heard, self._until = port, heard, until
        self._open = False
        self._closing = False
        self._start = 0.0
        self._parts: list[bytes] = []
        self._missing = -1

    def ask(self, ask: Ask) -> bool:
        """Send a request; whether it went."""
        self.tidy()
        self._start, self._parts, self._missing = time.perf_counter(), [], -1
        left = max(0.01, self._until - self._start)  # nobody reads, or accepts, in a full queue
        try:
            if not self._open:
                self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=left)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                self._open = True
            self.socket.settimeout(left)
            self.socket.sendall(ask.written)
        except OSError as error:
            self._fail(error)
            return False
        return True

    def read(self) -> bool:
        """Read what has come; whether the answer is whole, or broken."""
        try:
            part = self.socket.recv(1 << 18)
            if not part:
                raise ConnectionError("the connection was closed within an answer")
            self._parts.append(part)
            if self._missing < 0 and not self._head():
                return False
        except OSError as error:
            self._fail(error)
            return True
        if sum(map(len, self._parts)) < self._missing:
            return False
        self._answered(b"".join(self._parts))
        return True

    def give_up(self) -> None:
        """No answer has come."""
        self._fail(TimeoutError(f"no answer in {time.perf_counter() - self._start:.1f} s"))

    def tidy(self) -> None:
        """Close what the service, or an error, has ended."""
        if self._closing:
            self.close()

    def close(self) -> None:
        """Until the next request."""
        if self._open:
            self.socket.close()
        self._open = self._closing = False

    def _head(self) -> bool:
        """Whether the length of the answer is known."""
        heard = b"".join(self._parts)
        self._parts = [heard]
        end = heard.find(b"\r\n\r\n") + 4
        if end < 4:
            return False
        length = _LENGTH.search(heard, 0, end)
        if length is None:
            raise ConnectionError(f"an answer without a length: {heard[:end]!r}")
        self._missing = end + int(length[1])
        self._closing = _CLOSE.search(heard, 0, end) is not None
        return True

    def _answered(self, answer: bytes) -> None:
        status, heard = int(answer[9:12]), self._heard
        if status == 200:
            heard.seconds.append(time.perf_counter() - self._start)
            if heard.listen:
                heard.versions.append(heard.listen(answer[answer.find(b"\r\n\r\n") + 4 :]))
        elif status == 503:
            heard.shed += 1
            heard.noes.append(time.perf_counter() - self._start)
        else:
            heard.failed.append(f"{status} {answer[:200]!r}")

    def _fail(self, error: OSError) -> None:
        self._heard.failed.append(f"{type(error).__name__}: {error}")
        self._closing = True


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


def clean(heard: Heard) -> Heard:
    """The same, if every request was answered.

    Raises:
        ServingUnavailable: some were not; there is nothing to be said of such a service.
    """
    if heard.failed:
        raise ServingUnavailable(
            f"{len(heard.failed)} requests of the bench failed, the first of them with: "
            f"{heard.failed[0]}. Look what the service said, and measure again."
        )
    return heard


def latencies(name: str, rounds: Sequence[Heard], protocol: str) -> Iterator[dict[str, Any]]:
    """p50 and p99 of what was accepted, how many a second, and the share that was not.

    Each the median of its rounds, with the least and the largest: what runs beside this machine on
    the same processor moves a round of seconds more than most changes of the service would.
    """
    figures: Mapping[str, tuple[Callable[[Heard], float], str]] = {
        "p50_ms": (lambda heard: heard.quantile_ms(0.5), "ms"),
        "p99_ms": (lambda heard: heard.quantile_ms(0.99), "ms"),
        "per_s": (lambda heard: heard.per_s, "requests/s"),
        "shed_share": (lambda heard: heard.shed_share, "share"),
    }
    for what, (of, unit) in figures.items():
        each = [of(heard) for heard in rounds]
        middle = figure(f"serve_{name}_{what}", float(np.median(each)), unit, protocol)
        yield {**middle, "low": min(each), "high": max(each)}


def figure(name: str, value: float, unit: str, protocol: str) -> dict[str, Any]:
    """One entry of a report's `figures`."""
    return Figure(name=name, value=value, unit=unit, protocol=protocol).model_dump()


@contextmanager
def background(program: Service) -> Iterator[psutil.Process]:
    """A program that runs while the block does, once its health URL answers.

    Raises:
        OrchestrationError: it ended, or did not answer; the message has the end of what it said.
    """
    record = services.start(program)
    try:
        services.wait_until_healthy(program, READY_S)
        yield psutil.Process(record.pid)
    finally:
        services.stop(program.folder, program.name)
