"""What the service is measured beside: three ways to do without the disassembled network."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from features.catalog import CatalogArrays
from features.schemas import SAMPLES
from infra.progress import Progress
from infra.services import Service, free_port
from infra.store import Store
from pipeline.bench.load import Ask, background, clean, figure, latencies, load
from pipeline.bench.serving_world import CANDIDATES, NOW, NOW_MS, Market, setup
from serving import items, served, snapshots
from serving.asking import samples_of
from serving.contracts import PastBehavior, Question
from serving.histories import user_hash
from serving.items import ItemTable
from serving.pairs import Pairs
from serving.ranker import Moment, Ranker
from serving.served import Name, Served
from serving.snapshot import Snapshot
from training.collate import collate, known
from training.model.dupn import Dupn
from training.moments import Moments

ALONE = "in one process, one thread, no HTTP; {:,} items, paper dimensions, history of 100"
UNSPLIT = "{}; of the unsplit network at most {:,} candidates are measured"
MLFLOW = "mlflow models serve, one worker, JSON, {:,} items, history of 100 in the request"


def alone(
    market: Market, repeats: int, at_most: int, progress: Progress
) -> Iterator[dict[str, Any]]:
    """The ranker, without the table, and unsplit."""
    said = ALONE.format(len(market.item_ids))
    scaled = UNSPLIT.format(said, at_most)
    work = market.home / "disassembled"
    served.disassemble(market.bundle, work)
    mine = served.load(market.bundle, work, Name(version="bench"))
    past = snapshots.newest(Store(str(market.home)), setup(market, 0, 1).folder)
    torch.set_num_threads(1)
    without = _without_table(mine)
    for count in CANDIDATES:
        asked = _questions(mine, past, market, count, repeats)
        rankers = (mine.ranker, *without)
        ours, *computed = [_median(partial(_ranks, one), asked) for one in rankers]
        network, *plain_network = [_median(partial(_scores, one), asked) for one in rankers]
        speeds = {"": min(computed) / ours, "network_": min(plain_network) / network}
        share = count / min(count, at_most)
        whole = share * _median(lambda one: _unsplit(mine, one[0], one[1][:at_most]), asked[:2])
        for name, seconds in {
            "ranker": ours,
            "no_table": min(computed),
            "network": network,
            "network_no_table": min(plain_network),
        }.items():
            yield figure(f"serve_{name}_ms_{count}", seconds * 1e3, "ms", said)
        for name, ratio in speeds.items():
            yield figure(f"serve_{name}speed_to_no_table_{count}", ratio, "x", said)
        yield figure(f"serve_unsplit_ms_{count}", whole * 1e3, "ms", scaled)
        yield figure(f"serve_speed_to_unsplit_{count}", whole / ours, "x", scaled)
        progress.advance()


def _questions(
    mine: Served, past: Snapshot, market: Market, count: int, repeats: int
) -> list[tuple[Moment, NDArray[np.int32]]]:
    rng = np.random.default_rng(1)
    ids = np.array(market.item_ids)
    found = []
    for place in range(repeats):  # a few dozen
        user = user_hash(market.user_ids[place % len(market.user_ids)])
        profile = past.profile(user, mine.profile_columns)
        moment = mine.moment(NOW_MS, past.of(user), "red shoes", profile)
        rows = mine.rows_of(pa.array(rng.choice(ids, count, replace=False)))
        found.append((moment, rows))
    return found


@dataclass(frozen=True, kw_only=True)
class Computed(ItemTable):
    """No table: every item's half of the network is computed when it is asked for."""

    model: Dupn
    catalog: CatalogArrays

    def of(self, catalog_rows: NDArray[np.int32]) -> tuple[torch.Tensor, torch.Tensor]:
        """As `ItemTable.of`."""
        rows = known(catalog_rows, self.catalog.num_rows)
        asked = items.vocabulary_rows(self.catalog, self.model.sizes, rows)
        vectors = self.model.item_part(asked)
        return self.model.ctr.first_of_other(vectors), vectors


def _without_table(mine: Served) -> tuple[Ranker, Ranker]:
    """The same ranker and user part; item vectors computed for the request, past and candidates.

    Block by block, as ours reads the table, and the whole list at once: whichever is faster.
    """
    ours = mine.ranker
    model, table, world = ours.model, ours.items, mine.bundle.world
    computed = Computed(
        rows=table.rows, hidden_dim=table.hidden_dim, model=model, catalog=world.catalog
    )
    blocks, whole = (Ranker(model, computed, world, ours.titles, ours.user_part) for _ in range(2))
    whole.pairs = Pairs(model, computed, at_once=1 << 20)
    return blocks, whole


def _ranks(ranker: Ranker, asked: tuple[Moment, NDArray[np.int32]]) -> None:
    moment, rows = asked
    ranker.rank(moment, ranker.hear(moment), rows)


def _scores(ranker: Ranker, asked: tuple[Moment, NDArray[np.int32]]) -> None:
    """The network alone: click scores without the ranking features."""
    moment, rows = asked
    with torch.inference_mode():
        ranker.pairs.ctr(ranker.hear(moment).click, rows)


def _unsplit(mine: Served, moment: Moment, rows: np.ndarray) -> None:
    """Every candidate is a moment of its own: the history is encoded once a candidate."""
    ids = mine.ids
    history = [
        PastBehavior(item_id=item or "none", ts=ts / 1000)
        for item, ts in zip(
            ids.take(pa.array(moment.history.item)).to_pylist(),
            moment.history.ts.tolist(),
            strict=True,
        )
    ]
    question = Question(
        ts=moment.ts / 1000, query="red shoes", history=history, candidates=["none"]
    )
    hears = mine.bundle.model.config.price_offers
    one = samples_of([question], mine.bundle.world, mine.bundle.profile, price_offers=hears)
    table = pa.concat_tables([one] * len(rows)).combine_chunks()
    column = pa.ListArray.from_arrays(
        pa.array(np.arange(len(rows) + 1, dtype=np.int32)), pa.array(rows)
    )
    table = table.set_column(table.schema.get_field_index("cand_item"), "cand_item", column)
    moments = Moments.from_arrow(table.cast(SAMPLES), np.zeros(len(rows), np.int64))
    with torch.inference_mode():
        for places in np.array_split(np.arange(len(rows)), max(1, len(rows) // 256)):
            batch = collate(moments, places, [mine.bundle.world.catalog], mine.ranker.model.sizes)
            mine.ranker.model(batch)


def mlflow_serve(
    market: Market, seconds: float, rounds: int, progress: Progress
) -> Iterator[dict[str, Any]]:
    """`mlflow models serve` of the same bundle."""
    import mlflow

    from serving import bundle as bundles
    from serving.pyfunc import CODE, signature

    folder = market.home / "model"
    mlflow.pyfunc.save_model(
        str(folder),
        python_model=str(CODE),
        artifacts={"bundle": str(market.bundle)},
        signature=signature(),
        code_paths=[str(package) for package in bundles.packages()],
        pip_requirements=["torch>=2.9"],
    )
    port = free_port(8200)
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder)]
    command += ["--env-manager", "local", "-p", str(port), "-w", "1"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    address = f"http://127.0.0.1:{port}"
    program = Service(
        name="mlflow",
        folder=market.home / "programs",
        command=command,
        environment=environment,
        address=address,
        health=f"{address}/ping",
    )
    said = MLFLOW.format(len(market.item_ids))
    rng = np.random.default_rng(5)
    with background(program):
        for count in CANDIDATES:
            asks = [
                Ask("/invocations", _pyfunc_body(market, count, rng), "application/json")
                for _ in range(10)
            ]
            load(port, asks, 1, min(1.0, seconds))
            heard = []
            for _ in range(rounds):
                heard.append(clean(load(port, asks, 1, seconds)))
                progress.advance()
            yield from latencies(f"mlflow_{count}_1", heard, said)


def _pyfunc_body(market: Market, count: int, rng: np.random.Generator) -> bytes:
    history = [
        {"item_id": item, "type": "click", "scenario": "search", "ts": f"2026-03-02T10:{i:02d}:00Z"}
        for i, item in enumerate(market.item_ids[:60])
    ]
    record = {
        "user_id": "u",
        "ts": NOW,
        "scenario": "search",
        "query": "red shoes",
        "history": history
        + [{**one, "ts": one["ts"].replace("T10", "T11")} for one in history[:40]],
        "candidates": rng.choice(np.array(market.item_ids), count, replace=False).tolist(),
    }
    return json.dumps({"dataframe_records": [record]}).encode()


def _median(work: Callable[[Any], object], asked: Sequence[Any]) -> float:
    work(asked[0])
    seconds = []
    for one in asked:
        start = time.perf_counter()
        work(one)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))
