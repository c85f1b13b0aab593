"""What a night costs while history grows: events to samples, and the update of the night before.

A log of one size every day, a network of the smoke preset (without offers, which the log's samples
do not have). Nothing may grow with the days behind: users and items are the same forty days long,
each user has a dozen behaviours a day, so histories are full after about eight days, and state is
swept as in a real night. What is left to grow would be a stage that looks back.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from evaluation.results import Figure
from infra import run_key
from infra.progress import track
from infra.scratch import scratch_folder
from infra.store import Store
from pipeline.bench import day as synthetic
from pipeline.bench.day import Size
from pipeline.bench.samples import stage
from pipeline.settings import Settings, own
from pipeline.steps import DATA
from pipeline.upkeep.sweeping import run as sweep
from training import checkpoint as checkpoints
from training import update as updates
from training.fit import fit

AT = (10, 20, 30, 40)
WINDOW = 3
"""Nights whose median is a figure; the last of them is the night that it is named after."""
PROTOCOL = "{} behaviours a day, a tenth as many pages of 10, users and items constant; {} nights"


@dataclass(frozen=True)
class Cost:
    """Seconds of one night, on the clock and of the processor, by stage."""

    wall: dict[str, float]
    cpu: dict[str, float]
    update: tuple[float, float]
    """Of the update, on the clock and of the processor; the first night trains from nothing."""


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Figures of one run; `quick` (four small nights) only shows that it runs."""
    size = Size(400, 300) if quick else Size(20_000, 5_000)
    at = tuple(night // 10 for night in AT) if quick else AT
    costs = nights(size, at[-1])
    window = 1 if quick else WINDOW
    protocol = PROTOCOL.format(f"{size.behaviors:,}", at[-1])
    figures: list[tuple[str, float, float, float, str]] = []
    for named, night in zip(AT, at, strict=True):
        some = costs[night - window : night]
        totals = {
            "s": [sum(cost.wall.values()) for cost in some],
            "cpu_s": [sum(cost.cpu.values()) for cost in some],
        }
        for unit, values in totals.items():
            figures.append((f"nights_{named}_{unit}", *_spread(values), "s"))
        for name in (*DATA, "update"):
            values = [cost.cpu.get(name, cost.update[1]) for cost in some]
            figures.append((f"nights_{named}_{name}_cpu_s", *_spread(values), "s"))
        values = [cost.update[0] for cost in some]
        figures.append((f"nights_{named}_update_s", *_spread(values), "s"))
    ends = [costs[night - window : night] for night in (at[0], at[-1])]
    data, update = (
        [[sum(cost.cpu.values()) for cost in some] for some in ends],
        [[cost.update[1] for cost in some] for some in ends],
    )
    for name, (first, last) in (("nights_growth", data), ("nights_update_growth", update)):
        growth = median(last) / median(first)
        figures.append((name, growth, min(last) / max(first), max(last) / min(first), "x"))
    return [
        Figure(name=n, value=v, low=low, high=high, unit=unit, protocol=protocol).model_dump()
        for n, v, low, high, unit in figures
    ]


def nights(size: Size, count: int) -> list[Cost]:
    """The cost of each of `count` nights, oldest first."""
    with (
        scratch_folder() as home,
        track("bench nights", total=count, unit="nights") as progress,
    ):
        store, settings = Store(home), chosen(str(home))
        rng = np.random.default_rng(0)
        found = []
        for number in range(count):
            day = synthetic.DAY + timedelta(days=number)
            synthetic.write_day(home, day, size, size.users * 4, rng)
            if number == 0:
                synthetic.write_items(home, day, size, rng)
            seconds = {name: _timed(partial(stage, store, name, day)) for name in DATA}
            wall, cpu = ({name: pair[i] for name, pair in seconds.items()} for i in (0, 1))
            found.append(Cost(wall, cpu, _timed(partial(_learn, settings, day, number == 0))))
            sweep(settings, day)
            progress.advance()
    return found


def chosen(home: str) -> Settings:
    """Of the network and of what is kept."""
    return own("smoke", home, ["model.price_offers=false"])


def _learn(settings: Settings, day: date, is_first: bool) -> None:
    """The night's update of last night's model; neither registry nor quality take part."""
    store, seed, name = settings.store, settings.seed, run_key.of(settings.line, day)
    if is_first:
        train = settings.train
        fit(store, [day], settings.model, train, seed=seed, run_name=name)
        return
    parent = checkpoints.final(store, run_key.of(settings.line, day - timedelta(days=1)))
    planned = updates.plan(store, parent, day, settings.update)
    updates.update(
        store,
        planned,
        settings.train,
        settings.update,
        seed=seed,
        run_name=name,
    )


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock, and of the processor."""
    start, before = time.perf_counter(), os.times()
    work()
    after = os.times()
    used = after.user - before.user + after.system - before.system
    return time.perf_counter() - start, used


def _spread(values: list[float]) -> tuple[float, float, float]:
    return median(values), min(values), max(values)
