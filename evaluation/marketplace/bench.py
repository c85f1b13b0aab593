"""`dupn bench simulate`: how fast the marketplace writes its log.

Rows are behaviours and items shown. The rate is per second of processor time over all threads of
this process, which is the rate on one core whatever else the machine is doing; wall time is given
beside it.
"""

import resource
import time
from datetime import date, timedelta

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.run import simulate
from infra.progress import track
from infra.scratch import scratch_folder
from infra.store import Store

Figure = dict[str, str | float | None]

LARGE = MarketplaceConfig(
    users=60_000,
    items=100_000,
    categories=400,
    shops=4_000,
    icons=500,
    logged_search=1.0,
    logged_other=1.0,
)
"""Large enough that start-up does not count; every page is logged, as the rows are what counts."""


QUICK = LARGE.model_copy(update={"users": 6_000, "items": 20_000})
"""A tenth of it, to see that the measurement runs."""
SEED = 7


def rows_per_second(
    config: MarketplaceConfig | None = None,
    days: int = 3,
    quick: bool = False,
) -> list[Figure]:
    """Simulate into a scratch folder and time it; low and high are the slowest and fastest day."""
    config = config or (QUICK if quick else LARGE)
    first, rates, totals = date(2026, 11, 2), [], {"rows": 0.0, "cpu": 0.0, "wall": 0.0}
    with (
        scratch_folder() as home,
        track("bench simulate", total=days, unit="days") as progress,
    ):
        for offset in range(days):
            wall, cpu = time.perf_counter(), time.process_time()
            counts = simulate(Store(home), first + timedelta(days=offset), 1, config, SEED)
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            rows = counts["behaviors"] + counts["items_shown"]
            rates.append(rows / cpu)
            for name, value in (("rows", rows), ("cpu", cpu), ("wall", wall)):
                totals[name] += value
            progress.advance(rows_per_cpu_s=rates[-1])
    protocol = (
        f"{config.users:,} users, {config.items:,} items, {days} days, every step from seed to "
        "published Parquet with truth; rows = behaviours + items shown"
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [
        _figure("simulate_rows_per_cpu_s", totals["rows"] / totals["cpu"], "rows/s", protocol)
        | {"low": min(rates), "high": max(rates)},
        _figure("simulate_rows_per_wall_s", totals["rows"] / totals["wall"], "rows/s", protocol),
        _figure("simulate_rows", totals["rows"], "rows", protocol),
        _figure("simulate_peak_memory", peak, "MiB", protocol + "; the whole process so far"),
    ]


def _figure(name: str, value: float, unit: str, protocol: str) -> Figure:
    return {
        "name": name,
        "value": value,
        "low": None,
        "high": None,
        "unit": unit,
        "protocol": protocol,
    }
