"""`dupn simulate`: days of the marketplace written into the store, one after another.

A day whose yesterday was simulated too goes on from there; any other day opens a new world, which
must not run into an older one.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pyarrow as pa

from evaluation.marketplace import logs, own, state
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.play import Carried, Marketplace, Played, play
from evaluation.marketplace.seeds import Purpose, stream
from evaluation.marketplace.session import DAY_MS
from features.raw.raw_table import LISTED
from infra.errors import ConfigError
from infra.progress import ProgressBar, quiet
from infra.store import Store

logger = logging.getLogger(__name__)


def simulate(
    store: Store,
    first_day: date,
    days: int,
    config: MarketplaceConfig,
    seed: int,
    progress: ProgressBar = quiet,
) -> Mapping[str, int]:
    """Write `raw/` and `truth/` of `days` days from `first_day`; the rows written, by table.

    Beside the tables the counts have `items_shown` (on logged pages), `pages` (logged or not),
    `dirty` (broken or repeated rows among `behaviors`) and `late` (rows that arrive a day late).

    Raises:
        ConfigError: the day before or after is of another world, or a day after went on from
            what arms ranked (`state.require_place`); nothing has been written.
        InputError: raw data of one of the days is somebody else's; nothing has been written.
        PartitionMissing: the day before was cut off.
    """
    if first_day == date.min or (date.max - first_day).days < days:
        raise ConfigError(f"{days} days from {first_day} leave the calendar. Give another --first.")
    wanted = [first_day + timedelta(days=offset) for offset in range(days)]
    own.require_own(store, wanted)
    market = Marketplace.build(config, seed)
    state.require_place(store, wanted, market, state.POLICY)
    carried = state.restore(store, first_day, market)
    totals: dict[str, int] = {}
    with progress("simulate", days, unit="days") as bar:
        for today in wanted:
            start = time.monotonic()
            played = play(market, carried, today)
            counts, carried = Writer(store, today, market).write(played)
            for name, count in counts.items():
                totals[name] = totals.get(name, 0) + count
            logger.info(
                "simulate %s: %s behaviours, %s pages logged in %.1f s",
                today, f"{counts['behaviors']:,}", f"{counts['impressions']:,}",
                time.monotonic() - start,
            )  # fmt: skip
            bar.advance()
    return totals


@dataclass(frozen=True)
class Writer:
    """Publishes one day as raw logs, with its truth and what the next day starts from."""

    store: Store
    today: date
    market: Marketplace
    ranked: str = state.POLICY
    """Who ranked the day's pages (`arms.ranking`)."""

    def write(self, played: Played) -> tuple[dict[str, int], Carried]:
        """Everything of the day; row counts, and what the next day starts from.

        Behaviours are published last: a day that has them has all the rest.

        Raises:
            InputError: raw data of the day is somebody else's.
        """
        own.require_own(self.store, [self.today])
        behaviors, counts, pending = self._log(played)
        place, everybody = self.market.world, self.market.everybody
        snapshots = logs.snapshots(place, played.items, everybody, played.after.day)
        for name, frame in snapshots.items():
            table = logs.arrow_table(frame)
            self._publish("raw", name, table)
            counts[name] = table.num_rows
        after = replace(played.after, pending=pending)
        state.save(self.store, self.today, self.market, after, self.ranked)
        self._publish("raw", "behaviors", behaviors)
        return counts, after

    def _log(self, played: Played) -> tuple[pa.Table, dict[str, int], pl.DataFrame]:
        """Pages, follows and their truth; the behaviours, counts, and what arrives tomorrow."""
        config, parts = self.market.world.config, played.parts
        midnight = datetime.combine(self.today, datetime.min.time(), UTC).timestamp() * 1000
        rng = stream(self.market.world.seed, Purpose.DIRT, played.after.day)
        happened = pl.concat([part.behaviors for part in parts])
        late = rng.random(len(happened)) < config.late_share
        tomorrow = pl.Series(late) | (happened["ts"] >= int(midnight) + DAY_MS)
        arrived = pl.concat([played.after.pending, happened.filter(~tomorrow)])
        broken = logs.dirt(rng, arrived, config.dirty_share)
        by_time = ("ts", "user_id")
        behaviors = pl.concat([arrived, broken]).sort(*by_time, maintain_order=True)
        follows = pl.concat([p.follows for p in parts]).sort(*by_time, maintain_order=True)
        impressions = pa.concat_tables(part.impressions for part in parts)
        order = pa.array(np.argsort(impressions["ts"].to_numpy(), kind="stable"))
        raw = {
            "behaviors": logs.arrow_table(behaviors),
            "impressions": impressions.take(order),
            "follows": logs.arrow_table(follows.drop("p_follow")),
        }
        for name in ("impressions", "follows"):
            self._publish("raw", name, raw[name])
        truth = pa.concat_tables(part.truth_pages for part in parts)
        self._publish("truth", "pages", truth.take(order))
        self._publish("truth", "follows", logs.arrow_table(follows.drop("followed")))
        counts = {name: table.num_rows for name, table in raw.items()}
        counts["items_shown"] = sum(part.items_shown for part in parts)
        counts["pages"] = sum(part.pages for part in parts)
        counts |= {"dirty": len(broken), "late": int(late.sum())}
        return raw["behaviors"], counts, happened.filter(tomorrow)

    def _publish(self, stage: str, name: str, table: pa.Table) -> None:
        """One table in several files, as collectors on several machines would write it."""
        edges = np.linspace(0, table.num_rows, self.market.world.config.parts + 1).astype(int)
        partition = self.store.partition(stage, self.today, name)
        with partition.publish(**state.lineage(self.market)) as out:
            out.record(
                [
                    out.write_table(f"{LISTED}part-{index:03d}", table.slice(low, high - low))
                    for index, (low, high) in enumerate(pairwise(edges))
                    if high > low or index == 0
                ]
            )
