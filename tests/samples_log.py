"""A small log with everything that goes wrong in real ones, as raw files, and its pipeline.

Late rows, rows repeated a day later, requests near midnight, a change of clocks, users without
history. Shared by the tests of sequences and samples.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from features.events import EventsConfig
from features.items.statistics import StatisticsConfig
from features.property import LocalClock
from features.raw.dataset import load
from features.samples import SamplesConfig
from features.sequence import SequencesConfig
from features.vocabulary import VocabularyConfig
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events, samples, sequences, statistics, vocabulary

ZONE = "Europe/Berlin"
FIRST = date(2026, 3, 28)  # clocks go forward on the 29th
DAYS = [FIRST + timedelta(days=i) for i in range(4)]
MINUTE = 60_000
DATASET = f"""
name = "small"
time_zone = "{ZONE}"
[behaviors]
identity = "row"
[impressions]
identity = "row"
[follows]
identity = "row"
[items]
[users]
"""
TYPES = ["click", "bookmark", "cart", "purchase"]


@dataclass(frozen=True)
class Log:
    """Rows with the day on which they arrive (column `day`)."""

    behaviors: pl.DataFrame
    impressions: pl.DataFrame
    follows: pl.DataFrame
    items: pl.DataFrame
    users: pl.DataFrame


def make(seed: int = 0, users: int = 14, pages: bool = True) -> Log:
    """Four days of a small shop."""
    rng = np.random.default_rng(seed)
    clock = LocalClock(ZONE)
    shown, done, icons = [], [], []
    for n, day in enumerate(DAYS):
        minutes = clock.midnight_ms(day) // MINUTE, clock.end_ms(day) // MINUTE
        for user in range(users):
            for p in range(int(rng.integers(0, 9))):
                page = _page(rng, f"r{n}-{user}-{p}", f"u{user}", minutes)
                shown.append((*page, day, int(rng.random() < 0.15) + int(rng.random() < 0.05)))
                done += [(*action, day, wait) for *action, wait in _actions(rng, page)]
            if rng.random() < 0.5:
                ts = int(rng.integers(*minutes)) * MINUTE
                chosen = [f"c{icon}" for icon in rng.choice(5, 3, replace=False)]
                icons += [(f"u{user}", c, ts, bool(rng.random() < 0.5), day, 0) for c in chosen]
    before = clock.midnight_ms(FIRST) - 10 * MINUTE
    shown.append(("r-early", "u1", before, "search", None, ["i1"], FIRST - timedelta(days=1), 1))
    behaviors = _arrivals(done, ["user_id", "item_id", "type", "ts", "request_id"], clock)
    behaviors = behaviors.with_columns(scenario=pl.lit("search"), price=pl.lit(10.0))
    if not pages:
        behaviors = behaviors.with_columns(request_id=pl.lit(None, pl.String))
    again = behaviors.filter(pl.int_range(pl.len()) % 17 == 3)
    again = again.with_columns(day=pl.col("day") + pl.duration(days=1))
    columns = ["request_id", "user_id", "ts", "scenario", "query", "item_ids"]
    return Log(
        behaviors=pl.concat([behaviors, again.select(behaviors.columns)]),
        impressions=_arrivals(shown, columns, clock),
        follows=_arrivals(icons, ["user_id", "icon_id", "ts", "followed"], clock),
        items=_items(rng),
        users=pl.DataFrame(
            {
                "user_id": [f"u{u}" for u in range(users - 2)],
                "age": [f"a{u % 3}" for u in range(users - 2)],
            }
        ),
    )


def _page(rng: np.random.Generator, request: str, user: str, minutes: tuple[int, int]) -> tuple:
    """A page of six items, every third within 100 minutes of midnight."""
    low = minutes[1] - 100 if rng.random() < 0.3 else minutes[0]
    ts = int(rng.integers(low, minutes[1])) * MINUTE
    query = ["red dress", "blue hat", None][int(rng.integers(3))]
    return request, user, ts, "search", query, [f"i{i}" for i in rng.choice(60, 6, replace=False)]


def _actions(rng: np.random.Generator, page: tuple) -> list[tuple]:
    """What came of a page, some of it exactly at the end of the window, and when it arrives."""
    request, user, ts, _, _, items = page
    out = []
    for item in np.array(items)[rng.random(6) < 0.5].tolist():
        for _ in range(int(rng.integers(1, 4))):
            step = int(rng.choice([0, 1, 5, 30, 59, 60, 61, 90])) * MINUTE
            kind = TYPES[int(rng.choice(4, p=[0.6, 0.1, 0.1, 0.2]))]
            named = request if rng.random() < 0.9 else None
            wait = int(rng.random() < 0.1) + int(rng.random() < 0.05)
            out.append((user, item, kind, ts + step, named, wait))
    return out


def write(log: Log, home: Path, pages: bool = True) -> None:
    """The log as raw files."""
    (home / "small.toml").parent.mkdir(parents=True, exist_ok=True)
    (home / "small.toml").write_text(DATASET)
    tables = {"behaviors": log.behaviors}
    if pages:
        tables |= {"impressions": log.impressions, "follows": log.follows}
    for name, table in tables.items():
        for day in DAYS:
            _put(table.filter(pl.col("day") == day).drop("day"), home, day, name)
    _put(log.items, home, DAYS[0], "items")
    _put(log.users, home, DAYS[0], "users")
    older = {"a0": "a1", "a1": "a2", "a2": "a0"}
    _put(log.users.with_columns(pl.col("age").replace(older)), home, DAYS[2], "users")


def run(
    home: Path,
    days: list[date] = DAYS,
    beam: BeamConfig | None = None,
    sequences_config: SequencesConfig | None = None,
    samples_config: SamplesConfig | None = None,
) -> Store:
    """Every job up to samples, day by day."""
    store, width = Store(home), beam or BeamConfig(buckets=3)
    dataset = load(str(home / "small.toml"))
    for day in days:
        events.run(store, day, dataset=dataset, config=EventsConfig(), beam=width)
        vocabulary.run(store, day, config=VocabularyConfig(), beam=width)
        statistics.run(store, day, config=StatisticsConfig(), beam=width)
        again(store, day, width, sequences_config, samples_config)
    return store


def again(
    store: Store,
    day: date,
    beam: BeamConfig,
    sequences_config: SequencesConfig | None = None,
    samples_config: SamplesConfig | None = None,
) -> None:
    """Just sequences and samples of a day."""
    kept, made = sequences_config or SequencesConfig(), samples_config or SamplesConfig()
    sequences.run(store, day, config=kept, time_zone=ZONE, beam=beam)
    samples.run(store, day, config=made, time_zone=ZONE, beam=beam, seed=7)


def _items(rng: np.random.Generator) -> pl.DataFrame:
    words = ["red", "blue", "dress", "hat"]
    return pl.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(58)],  # two items that no catalog knows
            "shop_id": [f"s{i % 12}" for i in range(58)],
            "brand_id": [f"b{i % 5}" for i in range(58)],
            "category_id": [f"k{i % 6}" for i in range(58)],
            "price": rng.gamma(2, 20, 58),
            "title": [f"{words[i % 2]} {words[2 + i % 2]} {i}" for i in range(58)],
        }
    )


def _arrivals(rows: list[tuple], columns: list[str], clock: LocalClock) -> pl.DataFrame:
    """Rows -> table; an action after midnight belongs to the next day, and some rows are late."""
    table = pl.DataFrame(
        rows, schema=[*columns, "own", "wait"], orient="row", infer_schema_length=None
    )
    own = clock.parts(table["ts"].to_numpy()).day
    day = (pl.Series(own) + table["wait"]).cast(pl.Int32).cast(pl.Date)
    return table.with_columns(day=day).drop("own", "wait")


def _put(table: pl.DataFrame, home: Path, day: date, name: str) -> None:
    folder = home / "raw" / f"dt={day}" / name
    folder.mkdir(parents=True, exist_ok=True)
    table.write_parquet(folder / "rows.parquet")
