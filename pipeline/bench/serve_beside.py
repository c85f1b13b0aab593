"""What the service is measured beside: three ways to do without the disassembled network."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from features.schemas import SAMPLES
from infra.services import free_port
from pipeline.bench.load import Ask, background, clean, figure, latencies, load
from pipeline.bench.serving_world import CANDIDATES, NOW, NOW_MS, Market, setup
from serving import items, running, served
from serving.asking import samples_of
from serving.contracts import PastBehavior, Question
from serving.histories import user_hash
from serving.ranker import Moment
from serving.served import Name, Served
from serving.snapshot import Snapshot
from training.collate import collate
from training.moments import Moments

ALONE = "in one process, one thread, no HTTP; paper dimensions, history of 100"
MLFLOW = "mlflow models serve, one worker, JSON, history of 100 in the request"


def alone(market: Market, repeats: int, at_most: int) -> Iterator[dict[str, Any]]:
    """The ranker, without the table, and unsplit."""
    work = market.home / "disassembled"
    served.disassemble(market.bundle, work)
    mine = served.load(market.bundle, work, Name(version="bench"))
    past = running.prepare_snapshot(setup(market, 0, 1))
    torch.set_num_threads(1)
    for count in CANDIDATES:
        count = min(count, len(market.item_ids))  # noqa: PLW2901  # a quick market is small
        asked = _questions(mine, past, market, count, repeats)
        ours = _median(lambda one: mine.answer(one[0], one[1]), asked)
        plain = _median(lambda one: _without_table(mine, *one), asked)
        share = count / min(count, at_most)
        whole = share * _median(lambda one: _unsplit(mine, one[0], one[1][:at_most]), asked[:2])
        yield figure(f"serve_ranker_ms_{count}", ours * 1e3, "ms", ALONE)
        yield figure(f"serve_no_table_ms_{count}", plain * 1e3, "ms", ALONE)
        yield figure(f"serve_unsplit_ms_{count}", whole * 1e3, "ms", ALONE)
        yield figure(f"serve_speed_to_no_table_{count}", plain / ours, "x", ALONE)
        yield figure(f"serve_speed_to_unsplit_{count}", whole / ours, "x", ALONE)


def _questions(
    mine: Served, past: Snapshot, market: Market, count: int, repeats: int
) -> list[tuple[Moment, np.ndarray]]:
    rng = np.random.default_rng(1)
    ids = np.array(market.item_ids)
    found = []
    for place in range(repeats):  # a few dozen
        user = user_hash(market.user_ids[place % len(market.user_ids)])
        moment = mine.moment(NOW_MS, past.of(user), "red shoes", past.profile(user))
        rows = mine.rows_of(pa.array(rng.choice(ids, count, replace=False)))
        found.append((moment, rows))
    return found


def _without_table(mine: Served, moment: Moment, rows: np.ndarray) -> None:
    """The same answer with the candidates' vectors computed for the request."""
    ranker, world = mine.ranker, mine.bundle.world
    with torch.inference_mode():
        heard = ranker.hear(moment)
        asked = items.vocabulary_rows(world.catalog, ranker.model.sizes, rows)
        e_CE = ranker.model.item_part(asked)  # noqa: N806  # shape suffix
        rep = heard.encoded.rep_BR
        logit = ranker.model.ctr.of_pair(ranker.model.ctr.of_moment(rep), e_CE)
        given = ranker.model.ranking_features(
            torch.from_numpy(ranker.features(moment, rows)), logit
        )
        ranker.model.l2r.of_pair(ranker.model.l2r.of_moment(rep), given)


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
    one = samples_of([question], mine.bundle.world, mine.bundle.profile)
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


def mlflow_serve(market: Market, seconds: float) -> Iterator[dict[str, Any]]:
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
    with background(command, environment, f"http://127.0.0.1:{port}/ping"):
        for count in CANDIDATES:
            ask = Ask("/invocations", _pyfunc_body(market, count), "application/json")
            load(port, [ask], 1, min(1.0, seconds))
            yield from latencies(f"mlflow_{count}_1", clean(load(port, [ask], 1, seconds)), MLFLOW)


def _pyfunc_body(market: Market, count: int) -> bytes:
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
        "candidates": market.item_ids[:count],
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
