"""The service under load, beside three ways to do without it.

Paper dimensions, histories of 100, 200 and 10,000 candidates; 1, 4 and 16 connections of a load
generator on the same machine; JSON and Arrow, in rounds that take turns, neither saying anything of
`page`: answers by JSON are logged, as in production. Beside it, in one process and on one thread:
the ranker alone, the same without the item table (encode once, no precomputation), the unsplit
network (every candidate encodes the history again); and `mlflow models serve` of the same bundle.
"""

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import FIRST_ROW
from infra import cores
from infra.progress import Progress, track
from infra.scratch import scratch_folder
from infra.services import Service, free_port
from pipeline.bench import serve_beside as beside
from pipeline.bench import serve_metrics, serving_world
from pipeline.bench.load import Ask, Heard, background, clean, figure, latencies, load
from pipeline.bench.serving_world import CANDIDATES, NOW, Market, setup
from serving import arrow, machine, running

CONNECTIONS = (1, 4, 16)
WORKERS = 2
PROTOCOL = (
    "{} cores shared with the load generator, {} workers, {:,} items, paper dimensions, "
    "histories of 100, top 100, answers to JSON logged as pages"
)

CALM = {"usual": 16, "one_connection": 1}
"""Connections without a rate whose p99 an overload's is set against: as many as wait, and one."""
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
    beside_it = len(CANDIDATES) * (1 + sizes.rounds)
    total = 2 + len(CANDIDATES) * len(BODIES) * len(CONNECTIONS) * sizes.rounds + beside_it
    with (
        scratch_folder() as folder,
        track("bench serve", total=total, unit="rounds") as progress,
    ):
        market = serving_world.build(folder, quick=quick)
        progress.advance()
        return [
            *beside.alone(market, sizes.repeats, sizes.whole, progress),
            *_over_http(market, sizes, progress),
            *beside.mlflow_serve(market, sizes.seconds, sizes.rounds, progress),
        ]


def _over_http(market: Market, sizes: _Sizes, progress: Progress) -> Iterator[dict[str, Any]]:
    port = free_port(8100)
    protocol = PROTOCOL.format(cores.usable(), WORKERS, len(market.item_ids))
    with service(market, port) as process:
        heard: dict[tuple[str, int, int], list[Heard]] = {}
        for count in CANDIDATES:
            asks = {kind: make(market, count) for kind, make in BODIES.items()}
            for bodies in asks.values():
                load(port, bodies, 2, min(1.0, sizes.seconds))  # warm
            for _, kind, connections in product(range(sizes.rounds), asks, CONNECTIONS):
                one = clean(load(port, asks[kind], connections, sizes.seconds))
                heard.setdefault((kind, count, connections), []).append(one)
                progress.advance()
        for (kind, count, connections), rounds in heard.items():
            yield from latencies(f"{kind}_{count}_{connections}", rounds, protocol)
        capacity = float(np.median([one.per_s for one in heard["json", 200, 16]]))
        calm = {name: _p99_ms(heard["json", 200, count]) for name, count in CALM.items()}
        protocol += f"; 64 connections, 5 x {capacity:.0f}/s wanted, {sizes.overload_s:.0f} s"
        measured = _overload(market, port, process, sizes, capacity, calm)
        for name, (value, unit) in measured.items():
            yield figure(f"serve_{name}", value, unit, protocol)
        progress.advance()


def _p99_ms(rounds: Sequence[Heard]) -> float:
    return float(np.median([one.quantile_ms(0.99) for one in rounds]))


def _overload(
    market: Market,
    port: int,
    process: psutil.Process,
    sizes: _Sizes,
    capacity: float,
    calm: Mapping[str, float],
) -> Mapping[str, tuple[float, str]]:
    """Figures, with their units, of a load that is beyond what the service can do.

    `calm` has p99s in milliseconds without it, by the names of `CALM`.
    """
    bodies = _json_asks(market, 200)
    memory, busy, seen = _memory(process), _busy(process), serve_metrics.read(port)
    heard = load(port, bodies, 64, sizes.overload_s, rate=5 * capacity)
    growth = (_memory(process) - memory) / 2**20
    cores = [(now - then) / heard.took for now, then in zip(_busy(process), busy, strict=True)]
    now = serve_metrics.read(port)
    after = clean(load(port, bodies, 1, min(2.0, sizes.overload_s)))
    asked = len(heard.seconds) + heard.shed
    measured = {
        "p99_ms": (heard.quantile_ms(0.99), "ms"),
        "p50_ms": (heard.quantile_ms(0.5), "ms"),
        **{f"p99_to_{name}": (heard.quantile_ms(0.99) / ms, "x") for name, ms in calm.items()},
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
        since = now[name].since(seen.get(name))
        measured[f"{part}_p50_ms"] = (since.quantile_ms(0.5), "ms")
        measured[f"{part}_p99_ms"] = (since.quantile_ms(0.99), "ms")
    found = {f"overload_{name}": one for name, one in measured.items()}
    return {**found, "recovered_p99_ms": (after.quantile_ms(0.99), "ms")}


def _json_asks(market: Market, count: int) -> list[Ask]:
    ids = np.array(market.item_ids)
    bodies = []
    for user, places in _candidates(market, count, seed=3):
        body = {
            "user_id": user,
            "ts": NOW,
            "scenario": "search",
            "query": "red shoes",
            "candidates": ids[places].tolist(),
        }
        bodies.append(Ask("/v1/rank", json.dumps(body).encode(), "application/json"))
    return bodies


def _arrow_asks(market: Market, count: int) -> list[Ask]:
    bodies = []
    for user, places in _candidates(market, count, seed=2):
        rows = (FIRST_ROW + places).astype(np.int32)
        told = {"user_id": user, "ts": NOW, "scenario": "search", "query": "red shoes"}
        table = pa.table({"row": rows}).replace_schema_metadata({**told, "top_k": "100"})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        bodies.append(Ask("/v1/rank", sink.getvalue().to_pybytes(), arrow.MEDIA_TYPE))
    return bodies


def _candidates(market: Market, count: int, seed: int) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Users, and places of the items that each is asked of: any, none of them twice.

    From all of the table, by JSON as by Arrow: rows that were read a moment ago lie in a cache.
    """
    rng = np.random.default_rng(seed)
    for user in market.user_ids[:50]:
        yield user, rng.choice(len(market.item_ids), count, replace=False)


BODIES: Mapping[str, Callable[[Market, int], list[Ask]]] = {
    "json": _json_asks,
    "arrow": _arrow_asks,
}


@contextmanager
def service(market: Market, port: int) -> Iterator[psutil.Process]:
    """The service over a market; when it ends, what its processes share goes as well.

    Raises:
        OrchestrationError: it did not start.
    """
    ready = setup(market, port, WORKERS)
    environment = {**os.environ, **running.environment(ready), "PYTHONPATH": str(Path.cwd())}
    address = f"http://127.0.0.1:{port}"
    program = Service(
        name="service",
        folder=market.home / "programs",
        command=[sys.executable, "-m", "serving.running"],
        environment=environment,
        address=address,
        health=f"{address}/readyz",
    )
    try:
        with background(program) as process:
            yield process
    finally:  # named by a folder that nobody will serve from again
        place = machine.shared(ready.folder, ready.config.host, ready.config.port)
        shutil.rmtree(place, ignore_errors=True)


def _memory(process: psutil.Process) -> int:
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)])


def _busy(process: psutil.Process) -> list[float]:
    """Processor seconds of the service, and of ourselves."""
    times = [one.cpu_times() for one in [process, *process.children(recursive=True)]]
    return [sum(one.user + one.system for one in times), time.process_time()]
