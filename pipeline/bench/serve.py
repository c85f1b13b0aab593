"""The service under load, beside three ways to do without it.

Paper dimensions, histories of 100, 200 and 10,000 candidates; 1, 4 and 16 connections of a load
generator on the same machine; JSON and Arrow, in rounds that take turns. Beside it, in one process
and on one thread: the ranker alone, the same without the item table (encode once, no
precomputation), the unsplit network (every candidate encodes the history again); and `mlflow models
serve` of the same bundle.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa

from infra.services import free_port
from pipeline.bench import serve_beside as beside
from pipeline.bench import serve_metrics, serving_world
from pipeline.bench.load import Ask, Heard, background, clean, figure, latencies, load
from pipeline.bench.serving_world import CANDIDATES, NOW, Market, setup
from serving import arrow, running

CONNECTIONS = (1, 4, 16)
PROTOCOL = (
    f"{os.cpu_count()} cores shared with the load generator, paper dimensions, histories of 100, "
    "top 100"
)

PARTS = {
    "wait": "dupn_wait_seconds",
    "work": "dupn_work_seconds",
    "service": "dupn_request_seconds /v1/rank",
}
"""What the service measures of an accepted request: its queue, its work, both and HTTP."""


@dataclass(frozen=True)
class _Sizes:
    seconds: float
    rounds: int
    overload_s: float
    repeats: int
    whole: int
    """Candidates of the unsplit network that are measured; it is linear in them."""


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Figures of one run; `quick` only shows that it runs."""
    sizes = _Sizes(0.5, 1, 1.0, 3, 50) if quick else _Sizes(4.0, 5, 60.0, 50, 2_000)
    with tempfile.TemporaryDirectory() as folder:
        market = serving_world.build(Path(folder), quick=quick)
        return [
            *beside.alone(market, sizes.repeats, sizes.whole),
            *_over_http(market, sizes),
            *beside.mlflow_serve(market, sizes.seconds, sizes.rounds),
        ]


def _over_http(market: Market, sizes: _Sizes) -> Iterator[dict[str, Any]]:
    port = free_port(8100)
    with _service(market, port) as process:
        heard: dict[tuple[str, int, int], list[Heard]] = {}
        for count in CANDIDATES:
            asks = {kind: make(market, count) for kind, make in BODIES.items()}
            for bodies in asks.values():
                load(port, bodies, 2, min(1.0, sizes.seconds))  # warm
            for _, kind, connections in product(range(sizes.rounds), asks, CONNECTIONS):
                one = clean(load(port, asks[kind], connections, sizes.seconds))
                heard.setdefault((kind, count, connections), []).append(one)
        for (kind, count, connections), rounds in heard.items():
            yield from latencies(f"{kind}_{count}_{connections}", rounds, PROTOCOL)
        full = heard["json", 200, 16]
        capacity = float(np.median([one.per_s for one in full]))
        usual = float(np.median([one.quantile_ms(0.99) for one in full]))
        yield from _overload(market, port, process, sizes, capacity, usual)


def _overload(
    market: Market,
    port: int,
    process: psutil.Process,
    sizes: _Sizes,
    capacity: float,
    usual: float,
) -> Iterator[dict[str, Any]]:
    bodies = _json_asks(market, 200)
    memory, busy, seen = _memory(process), _busy(process), serve_metrics.read(port)
    heard = load(port, bodies, 64, sizes.overload_s, rate=5 * capacity)
    growth = (_memory(process) - memory) / 2**20
    cores = [(now - then) / heard.took for now, then in zip(_busy(process), busy, strict=True)]
    now = serve_metrics.read(port)
    calm = load(port, bodies, 1, min(2.0, sizes.overload_s))
    asked = len(heard.seconds) + heard.shed
    protocol = f"{PROTOCOL}; 64 connections, 5 x {capacity:.0f}/s wanted, {sizes.overload_s:.0f} s"
    measured = {
        "p99_ms": (heard.quantile_ms(0.99), "ms"),
        "p50_ms": (heard.quantile_ms(0.5), "ms"),
        "p99_to_usual": (heard.quantile_ms(0.99) / usual, "x"),
        "asked_per_s": (asked / heard.took, "requests/s"),
        "accepted_per_s": (heard.per_s, "requests/s"),
        "shed_share": (heard.shed_share, "share"),
        "shed_p50_ms": (float(np.median(heard.noes or [np.nan]) * 1e3), "ms"),
        "failed": (float(len(heard.failed)), "requests"),
        "memory_growth": (growth, "MiB"),
        "service_cores": (cores[0], "cores"),
        "generator_cores": (cores[1], "cores"),
    }
    for part, name in PARTS.items():
        found = now[name].since(seen.get(name))
        measured[f"{part}_p50_ms"] = (found.quantile_ms(0.5), "ms")
        measured[f"{part}_p99_ms"] = (found.quantile_ms(0.99), "ms")
    for name, (value, unit) in measured.items():
        yield figure(f"serve_overload_{name}", value, unit, protocol)
    yield figure("serve_recovered_p99_ms", calm.quantile_ms(0.99), "ms", protocol)


def _json_asks(market: Market, count: int) -> list[Ask]:
    bodies = []
    for place, user in enumerate(market.user_ids[:50]):
        start = place * 97 % max(1, len(market.item_ids) - count)
        body = {
            "user_id": user,
            "ts": NOW,
            "scenario": "search",
            "query": "red shoes",
            "candidates": market.item_ids[start : start + count],
            "page": False,
        }
        bodies.append(Ask("/v1/rank", json.dumps(body).encode(), "application/json"))
    return bodies


def _arrow_asks(market: Market, count: int) -> list[Ask]:
    rng = np.random.default_rng(2)
    bodies = []
    for user in market.user_ids[:50]:
        rows = rng.integers(2, len(market.item_ids), count).astype(np.int32)
        told = {"user_id": user, "ts": NOW, "scenario": "search", "query": "red shoes"}
        table = pa.table({"row": rows}).replace_schema_metadata({**told, "top_k": "100"})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        bodies.append(Ask("/v1/rank", sink.getvalue().to_pybytes(), arrow.MEDIA_TYPE))
    return bodies


BODIES: Mapping[str, Callable[[Market, int], list[Ask]]] = {
    "json": _json_asks,
    "arrow": _arrow_asks,
}


@contextmanager
def _service(market: Market, port: int) -> Iterator[psutil.Process]:
    ready = setup(market, port, 2)
    environment = {**os.environ, **running.environment(ready), "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-m", "serving.running"]
    with background(command, environment, f"http://127.0.0.1:{port}/readyz") as process:
        yield process


def _memory(process: psutil.Process) -> int:
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])


def _busy(process: psutil.Process) -> list[float]:
    """Processor seconds of the service, and of ourselves."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return [sum(one.user + one.system for one in times), time.process_time()]
