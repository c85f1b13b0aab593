"""A million users' read-out: the pre-period, the job of a day, and the look at a week.

Two synthetic days with one page or more for every user, a click on every fifth page and a purchase
after every tenth click. The first day is the pre-period; the second is read out. The look is at
seven days that each have the second day's sums, as a week of the same users would.
"""

import time
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from evaluation.abtest.design import Design
from evaluation.abtest.readout import ReadOut, read_out
from evaluation.abtest.sufficient import READOUT
from features.abtest.assignment import arms
from features.abtest.readout import BEFORE as PRE_PERIOD
from features.abtest.traffic import Traffic
from infra import cores
from infra.progress import track
from infra.scratch import scratch_folder
from infra.store import Store
from pipeline.bench import day as synthetic
from pipeline.bench.day import BEFORE, DAY, MIDNIGHT_MS, Size
from pipeline.bench.load import figure
from pipeline.bench.samples import TWO_THREADS, stage
from pipeline.jobs import before, readout
from pipeline.jobs.readout import Asked

HOUR_MS = 3_600_000
PAGE = 10
"""Items on a page."""
DAYS = 7
TRAFFIC = Traffic(experiment="bench", salt="bench", shares={"old": 0.5, "new": 0.5})
ASKED = Asked(traffic=TRAFFIC, digest="bench", first_day=DAY, budget_ms=100.0)
DESIGN = Design(arms=TRAFFIC.shares, first_day=DAY, planned_days=DAYS)
STEPS = 10
"""Of the bench, for its progress: two days are written and go through stages, three are timed."""
PROTOCOL = "{} users, {} pages of 10 a day, {} cores, 2 workers; a look at 7 days"


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Figures of one run; `quick` only shows that it runs."""
    users = 2_000 if quick else 1_000_000
    pages = users + users // 2
    seconds = {}
    with (
        scratch_folder() as home,
        track("bench readout", total=STEPS, unit="steps") as progress,
    ):
        store = Store(home)
        rng = np.random.default_rng(0)
        for day in (BEFORE, DAY):
            write(home, day, users, pages, rng)
            progress.advance()
            for name in ("events", "vocabulary", "statistics")[: 3 if day == BEFORE else 2]:
                stage(store, name, day)
                progress.advance()
        seconds["before"] = _timed(
            partial(before.run, store, ASKED, 1, HOUR_MS, "UTC", TWO_THREADS)
        )
        progress.advance()
        seconds["job"] = _timed(
            partial(readout.run, store, DAY, ASKED, HOUR_MS, "UTC", TWO_THREADS)
        )
        progress.advance()
        look(store)  # what is imported is not measured
        seconds["look"] = _timed(partial(look, store))
        progress.advance()
    figures = [
        *[(f"readout_{name}_s", value, "s") for name, value in seconds.items()],
        ("readout_s", sum(seconds.values()), "s"),
        ("readout_users_per_s", users / (seconds["job"] + seconds["look"]), "users/s"),
    ]
    said = PROTOCOL.format(f"{users:,}", f"{pages:,}", cores.usable())
    return [figure(name, value, unit, said) for name, value, unit in figures]


def look(store: Store) -> ReadOut:
    """A week of the day's sums, from the store to the verdict's figures."""
    rows = readout.place(store, "bench", "readout", DAY).table(READOUT.names)
    at = rows.schema.get_field_index("day")
    week = [
        rows.set_column(at, READOUT.field("day"), pa.array([day] * len(rows), pa.date32()))
        for day in (DAY + timedelta(number) for number in range(DAYS))
    ]
    known = readout.place(store, "bench", "before").table(PRE_PERIOD.names)
    return read_out(pa.concat_tables(week), DESIGN, DAY + timedelta(DAYS - 1), before=known)


def write(home: Path, day: date, users: int, pages: int, rng: np.random.Generator) -> None:
    """Raw pages of a day, answered by the arm of their user, and what came of them."""
    start = MIDNIGHT_MS + (day - DAY).days * synthetic.DAY_MS
    size = Size(pages, 20_000)
    owner = np.concatenate([np.arange(users), rng.integers(0, users, pages - users)])
    ids = synthetic.names("u", owner, 8)
    request = synthetic.names("r", np.arange(pages) + pages * day.toordinal(), 14)
    ts = start + rng.integers(0, 22 * HOUR_MS, pages)
    items = synthetic.names("i", np.arange(size.items), 8)
    shown = synthetic.popular(rng, pages * PAGE, size).reshape(pages, PAGE)
    arm = arms(ids, TRAFFIC.salt, TRAFFIC.shares)
    impressions = {
        "request_id": request,
        "user_id": ids,
        "ts": ts,
        "scenario": np.full(pages, "search"),
        "query": pa.nulls(pages, pa.string()),
        "item_ids": pa.ListArray.from_arrays(
            np.arange(pages + 1, dtype=np.int32) * np.int32(PAGE),
            items.take(pa.array(shown.ravel())),
        ),
        "variant": arm,
        "line": arm,
        "model_version": np.where(arm == "old", "1", "2"),
        "price_level": rng.integers(1, 8, pages),
        "latency_ms": rng.gamma(4, 3.0, pages),
        "failed": rng.random(pages) < 0.001,
    }
    synthetic.put(pl.DataFrame(pa.table(impressions)), home, day, "impressions")
    clicked = np.flatnonzero(rng.random(pages) < 0.2)
    bought = clicked[rng.random(len(clicked)) < 0.1]
    page = np.concatenate([clicked, bought])
    behaviors = {
        "user_id": ids.take(pa.array(page)),
        "item_id": items.take(pa.array(shown[page, 3])),
        "type": np.repeat(["click", "purchase"], [len(clicked), len(bought)]),
        "scenario": np.full(len(page), "search"),
        "ts": ts[page] + np.repeat([60_000, 600_000], [len(clicked), len(bought)]),
        "request_id": request.take(pa.array(page)),
        "price": rng.gamma(2, 30, len(page)).astype(np.float32),
    }
    synthetic.put(pl.DataFrame(pa.table(behaviors)), home, day, "behaviors")
    synthetic.write_items(home, day, size, rng)


def _timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
