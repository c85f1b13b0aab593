"""Memory of the data jobs: bounded by settings, whatever the day's size and their number."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.store import Store
from pipeline import steps
from pipeline.beam.run import BeamConfig
from pipeline.bench import day as synthetic
from pipeline.bench import samples as bench
from pipeline.bench.day import BEFORE, DAY, Size
from tests.pipeline.jobs import market_days, one_stage

pytestmark = pytest.mark.drill

SCRIPT = Path(one_stage.__file__)
ROOT = SCRIPT.parents[3]
SMALL, LARGE = Size(200_000, 10_000), Size(800_000, 10_000)
TABLES = {
    "vocabulary": [("catalog",), ("vocabulary", "item"), ("vocabulary", "category")],
    "statistics": [("statistics", "item"), ("statistics", "shop"), ("statistics", "lr_ctr")],
    "sequences": [("sequences", "history"), ("sequences", "open")],  # the pool has another size
    "samples": [("samples",)],
}

# Threads that take turns at many arenas fill each to a peak of its own: 6 to 30 MB that nobody
# holds, and others in each run.
ONE_ARENA = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}


def told_mb(*command):
    """The figures that a script prints, in a process of its own."""
    command, environment = [sys.executable, *map(str, command)], os.environ | ONE_ARENA
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    return [float(word) for word in done.stdout.split()]


def grown_mb(home, stage, buckets, rows):
    return told_mb(SCRIPT, home, stage, DAY, buckets, rows)[-1]


def digests(home, stage):
    store = Store(home)
    return [store.partition(name, DAY, *rest).digest() for name, *rest in TABLES[stage]]


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """A day, and one four times as large, with all that its stages read, made the usual way."""
    found = []
    for size in (SMALL, LARGE):
        home = tmp_path_factory.mktemp("home")
        synthetic.write(home, size)
        for stage in steps.DATA[:4]:
            bench.stage(Store(home), stage, BEFORE)
        synthetic.write_history(Store(home), size)
        for stage in steps.DATA:
            bench.stage(Store(home), stage, DAY)
        found.append(home)
    return found


@pytest.mark.parametrize("stage", list(TABLES))
def test_a_larger_day_takes_more_buckets_and_no_more_memory(homes, stage):
    small, large = homes
    usual = digests(large, stage)
    little = grown_mb(small, stage, buckets=16, rows=20_000)
    much = grown_mb(large, stage, buckets=64, rows=20_000)
    print(f"{stage}: {little:.0f} MB for {SMALL.behaviors:,}, {much:.0f} MB for four times as many")
    assert digests(large, stage) == usual
    if stage == "sequences":
        bench.stage(Store(large), stage, DAY)  # with the pool that `samples` had
    events = Store(large).partition("events", DAY, "behaviors").table().nbytes / 2**20
    assert events > 50
    assert much < little + 25


def test_with_one_bucket_the_whole_day_is_in_memory(homes):
    _, large = homes
    whole = grown_mb(large, "sequences", buckets=1, rows=10**9)
    assert whole > grown_mb(large, "sequences", buckets=64, rows=10**9) + 100


ITEMS = """
import sys
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.bench.day import DAY
from pipeline.jobs import catalog
from tests.pipeline.jobs import one_stage
catalog.CHUNK = 1 << 12
before = one_stage.memory_mb("VmRSS")
one_stage.run(Store(sys.argv[1]), "vocabulary", DAY, BeamConfig(buckets=32), 20_000, 10_000)
print(one_stage.memory_mb("VmHWM") - before)
"""


def test_vocabularies_do_not_hold_the_items_of_all_days(tmp_path):
    grown = []
    for items in (80_000, 320_000):
        home = tmp_path / str(items)
        synthetic.write(home, Size(20_000, items))
        bench.stage(Store(home), "events", BEFORE)
        for stage in ("vocabulary", "statistics"):  # in ranges as small: a file is read whole
            one_stage.run(Store(home), stage, BEFORE, BeamConfig(buckets=32), 20_000, 10_000)
        bench.stage(Store(home), "events", DAY)
        grown += told_mb("-c", ITEMS, home)
    print("peak MB grew by", *[f"{one:.0f}" for one in grown])
    assert grown[1] < grown[0] + 25, grown


DAYS = """
import sys
from infra.store import Store
from pipeline.beam.run import BeamConfig
from tests.pipeline.jobs import market_days, one_stage
store, peaks = Store(sys.argv[1]), []
for day in market_days.days(int(sys.argv[2])):
    for stage in ("vocabulary", "statistics", "sequences", "samples"):
        one_stage.run(store, stage, day, BeamConfig(buckets=16), 10_000)
    peaks.append(one_stage.memory_mb("VmHWM"))
print(*peaks)
"""


def test_memory_is_flat_in_the_number_of_days(tmp_path):
    store, count = Store(tmp_path), 14
    market = market_days.Market(users=600, items=2_000, pages=3_000, behaviors=30_000)
    for day in market_days.days(count):
        market_days.write(store, day, market.day(day), count=16)
    peaks = told_mb("-c", DAYS, tmp_path, count)
    print("peak MB after each day:", *[f"{peak:.0f}" for peak in peaks])
    assert (
        store.partition("sequences", market_days.days(count)[2], "history").manifest().rows > 55_000
    )
    assert peaks[13] < peaks[6] + 10, peaks  # seven days' behaviours take 13 MB
