"""A load generator: connections that ask one after the other, or at a given rate.

It runs on the same machine as the service and takes its share of the cores; the figures say so.
Requests are written to plain sockets, ready made: a client library would cost a tenth of a core for
every few hundred requests a second.
"""

import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import psutil
import requests


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
    failed: list[str] = field(default_factory=list)
    """Anything else."""
    versions: list[str] = field(default_factory=list)
    took: float = 0.0

    @property
    def per_s(self) -> float:
        """Answers with status 200 a second."""
        return len(self.seconds) / max(self.took, 1e-9)

    def quantile_ms(self, q: float) -> float:
        """Latency in milliseconds."""
        return float(np.quantile(self.seconds, q) * 1e3) if self.seconds else float("nan")


def load(
    port: int,
    asks: Sequence[Ask],
    connections: int,
    seconds: float,
    *,
    rate: float | None = None,
    listen: Callable[[bytes], str] | None = None,
) -> Heard:
    """Ask for some seconds.

    Args:
        port: of a service on this machine.
        asks: taken in turn.
        connections: keep-alive connections, a thread each.
        seconds: how long.
        rate: requests a second of all connections together; None: each asks as soon as it heard.
        listen: takes the model version out of an answer, to be kept.
    """
    begin = time.perf_counter()
    parts = [Heard() for _ in range(connections)]

    def work(number: int) -> None:
        connection = Connection(port)
        part, place, due = parts[number], number, begin
        due += number / rate if rate else 0.0
        while (now := time.perf_counter()) - begin < seconds:
            if rate:
                if due > now:
                    time.sleep(due - now)
                due = max(due + connections / rate, now - 1.0)
            _one(connection, asks[place % len(asks)], part, listen)
            place += connections
        connection.close()

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole = Heard(took=time.perf_counter() - begin)
    for part in parts:
        whole.seconds += part.seconds
        whole.shed += part.shed
        whole.failed += part.failed
        whole.versions += part.versions
    return whole


class Connection:
    """A keep-alive connection, opened again when it was closed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, ask: Ask) -> tuple[int, bytes]:
        """Status and body of an answer.

        Raises:
            OSError: the connection broke.
        """
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=60)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(ask.written)
        heard = self._more(b"")
        while (end := heard.find(b"\r\n\r\n") + 4) < 4:
            heard = self._more(heard)
        length = _LENGTH.search(heard, 0, end)
        if length is None:
            raise ConnectionError(f"an answer without a length: {heard[:end]!r}")
        while len(heard) < end + int(length[1]):
            heard = self._more(heard)
        if _CLOSE.search(heard, 0, end):
            self.close()
        return int(heard[9:12]), heard[end:]

    def close(self) -> None:
        """Until the next request."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _more(self, heard: bytes) -> bytes:
        assert self._socket is not None
        part = self._socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the connection was closed within an answer")
        return heard + part


_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


def _one(
    connection: Connection, ask: Ask, heard: Heard, listen: Callable[[bytes], str] | None
) -> None:
    start = time.perf_counter()
    try:
        status, body = connection.ask(ask)
    except OSError as error:
        heard.failed.append(f"{type(error).__name__}: {error}")
        connection.close()
        return
    if status == 200:
        heard.seconds.append(time.perf_counter() - start)
        if listen:
            heard.versions.append(listen(body))
    elif status == 503:
        heard.shed += 1
    else:
        heard.failed.append(f"{status} {body[:200]!r}")


def clean(heard: Heard) -> Heard:
    """The same, if every request was answered."""
    if heard.failed:
        raise RuntimeError(f"{len(heard.failed)} requests failed: {heard.failed[0]}")
    return heard


def latencies(name: str, heard: Heard, protocol: str) -> Iterator[dict[str, Any]]:
    """p50, p99 and requests a second."""
    yield figure(f"serve_{name}_p50_ms", heard.quantile_ms(0.5), "ms", protocol)
    yield figure(f"serve_{name}_p99_ms", heard.quantile_ms(0.99), "ms", protocol)
    yield figure(f"serve_{name}_per_s", heard.per_s, "requests/s", protocol)


def figure(name: str, value: float, unit: str, protocol: str) -> dict[str, Any]:
    """One entry of a report's `figures`."""
    return {
        "name": name, "value": value, "low": None, "high": None, "unit": unit, "protocol": protocol
    }  # fmt: skip


@contextmanager
def background(
    command: Sequence[str], environment: Mapping[str, str], health: str
) -> Iterator[psutil.Process]:
    """A program that runs while the block does, once its health URL answers."""
    with subprocess.Popen(
        list(command), env=dict(environment), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as child:
        process = psutil.Process(child.pid)
        try:
            _wait(health)
            yield process
        finally:
            family = [*process.children(recursive=True), process]
            for one in family:
                one.terminate()
            _, left = psutil.wait_procs(family, timeout=15)
            for one in left:
                one.kill()


def _wait(health: str, timeout_s: float = 120.0) -> None:
    begin = time.monotonic()
    while time.monotonic() - begin < timeout_s:
        try:
            if requests.get(health, timeout=2).status_code == 200:
                return
        except requests.RequestException:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"{health} did not answer within {timeout_s:.0f} s")
