"""What one would write by hand for one day, in Polars: the yardstick of `dupn bench samples`.

The same raw day and the same state of the day before, in one script without buckets,
restarts, rejects, manifests or late rows: deduplicated events, catalog and statistics, the last
100 behaviours a user, and a Parquet file of moments with sequences, labels and ranking features.
"""

from datetime import date
from pathlib import Path

import polars as pl

from features.property import GAP_EDGES_MIN
from infra.store import Store

WINDOW_MS = 3_600_000
TYPES = {"click": 1, "bookmark": 2, "cart": 3, "purchase": 4}
SCENARIOS = {"search": 1, "recommend": 2, "ad": 3, "unknown": 4}
GROUPS = ("item", "shop_id", "brand_id", "category_id")


def run(home: Path, day: date, before: date, out: Path) -> int:
    """Write the samples of the day to `out`; how many there are."""
    raw = home / "raw" / f"dt={day}"
    events = _behaviors(raw / "behaviors" / "part-0.parquet")
    events.write_parquet(out.with_name("polars-events.parquet"), compression_level=1)
    pages = pl.read_parquet(raw / "impressions" / "part-0.parquet").unique()
    pages = pages.with_columns(pl.col("item_ids").list.unique(maintain_order=True))
    catalog = _catalog(home / "raw" / f"dt={before}" / "items" / "part-0.parquet", events)
    events = events.join(catalog.select("item_id", "item"), on="item_id", how="left")
    statistics = _statistics(events, pages, catalog)
    statistics.write_parquet(out.with_name("polars-statistics.parquet"), compression_level=1)
    history = _history(home, before, catalog)
    timeline = pl.concat([history, events.select(history.columns)]).sort("user_id", "ts")
    kept = timeline.group_by("user_id", maintain_order=True).tail(100)
    kept.write_parquet(out.with_name("polars-sequences.parquet"), compression_level=1)
    samples = _samples(pages, timeline, events, catalog, statistics)
    samples.write_parquet(out, compression_level=1)
    return samples.height


def _behaviors(path: Path) -> pl.DataFrame:
    return (
        pl.read_parquet(path)
        .with_columns(
            pl.col("type").replace_strict(TYPES, default=None, return_dtype=pl.Int8),
            pl.col("scenario").replace_strict(SCENARIOS, default=None, return_dtype=pl.Int8),
        )
        .drop_nulls(["user_id", "item_id", "type", "ts"])
        .unique()
        .sort("user_id", "ts")
    )


def _catalog(path: Path, events: pl.DataFrame) -> pl.DataFrame:
    items = pl.read_parquet(path)
    new = events.select("item_id").unique().join(items, on="item_id", how="anti")
    catalog = pl.concat([items, new], how="diagonal").with_row_index("item", offset=2)
    level = pl.col("price").rank("ordinal").over("category_id") * 7 / pl.len().over("category_id")
    codes = [pl.col(name).rank("dense").cast(pl.Int32) for name in GROUPS[1:]]
    return catalog.with_columns(level=level.ceil().clip(1, 7).cast(pl.Int8)).with_columns(codes)


def _statistics(events: pl.DataFrame, pages: pl.DataFrame, catalog: pl.DataFrame) -> pl.DataFrame:
    shown = pages.select(item_id=pl.col("item_ids").explode()).group_by("item_id").len("shown")
    counts = events.group_by("item_id").agg(
        *[(pl.col("type") == code).sum().alias(name) for name, code in TYPES.items()],
        buyers=pl.col("user_id").filter(pl.col("type") == 4).n_unique(),
    )
    table = (
        catalog.join(shown, on="item_id", how="left")
        .join(counts, on="item_id", how="left")
        .with_columns(pl.col("shown", *TYPES, "buyers").fill_null(0))
    )
    for group in GROUPS[1:]:
        sums = [
            pl.col(name).sum().over(group).alias(f"{group}_{name}")
            for name in ("shown", "click", "purchase")
        ]
        table = table.with_columns(sums)
    rates = [
        ((pl.col(f"{prefix}click") + 0.2) / (pl.col(f"{prefix}shown") + 20))
        .log()
        .alias(f"{prefix}ctr")
        for prefix in ("", *(f"{group}_" for group in GROUPS[1:]))
    ]
    volumes = [
        pl.col(name).log1p().alias(f"{name}_volume")
        for name in ("shown", *TYPES, "buyers", *(f"{group}_click" for group in GROUPS[1:]))
    ]
    return table.select("item", *rates, *volumes, level_feature=(pl.col("level") - 4) / 3)


def _history(home: Path, before: date, catalog: pl.DataFrame) -> pl.DataFrame:
    store = Store(home)
    partition = store.partition("sequences", before, "history")
    files = [f"{partition.path}/{entry.name}" for entry in partition.manifest().files]
    columns = ["user_id", "ts", "item_id", "type", "scenario"]
    history = pl.read_parquet(files, columns=columns)
    coded = history.join(catalog.select("item_id", "item"), on="item_id", how="left")
    return coded.with_columns(pl.col("item").fill_null(1))


def _samples(
    moments: pl.DataFrame,
    timeline: pl.DataFrame,
    events: pl.DataFrame,
    catalog: pl.DataFrame,
    statistics: pl.DataFrame,
) -> pl.DataFrame:
    moments = moments.with_row_index("moment")
    past = _past(moments, timeline)
    local = pl.from_epoch("past_ts", time_unit="ms").dt.replace_time_zone("UTC")
    minutes = (pl.col("ts") - pl.col("past_ts")) // 60_000
    labels = [str(i) for i in range(len(GAP_EDGES_MIN) + 1)]
    sequence = past.with_columns(
        seq_gap=minutes.cut(GAP_EDGES_MIN, labels=labels, left_closed=True).to_physical(),
        seq_daypart=local.dt.hour() // 3 + 1,
        seq_weekend=(local.dt.weekday() >= 6).cast(pl.Int8) + 1,
    )
    names = ["item", "type", "scenario", "seq_gap", "seq_daypart", "seq_weekend"]
    lists = sequence.group_by("moment", maintain_order=True).agg(names)
    candidates = _candidates(moments, events, catalog)
    features = _features(candidates, past, catalog, statistics)
    asked = features.group_by("moment", maintain_order=True).agg(pl.exclude("moment"))
    return moments.join(lists, on="moment", how="left").join(asked, on="moment", how="left")


def _past(moments: pl.DataFrame, timeline: pl.DataFrame) -> pl.DataFrame:
    """The last 100 rows strictly before each moment, one row each."""
    numbered = timeline.with_row_index("row")
    first = numbered.group_by("user_id").agg(start=pl.col("row").min())
    spans = (
        moments.select("moment", "user_id", "ts")
        .sort("ts")
        .join_asof(
            numbered.select("user_id", "ts", "row").sort("ts"),
            on="ts",
            by="user_id",
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .drop_nulls("row")
        .join(first, on="user_id")
        .with_columns(begin=pl.max_horizontal(pl.col("row").cast(pl.Int64) - 99, pl.col("start")))
    )
    rows = spans.select(
        "moment", "ts", row=pl.int_ranges("begin", pl.col("row") + 1, dtype=pl.UInt32)
    ).explode("row")
    taken = timeline.select("item", "type", "scenario", past_ts="ts")[rows["row"]]
    return pl.concat([rows.drop("row"), taken], how="horizontal")


def _candidates(moments: pl.DataFrame, events: pl.DataFrame, catalog: pl.DataFrame) -> pl.DataFrame:
    shown = moments.select("moment", "request_id", "ts", item_id="item_ids").explode("item_id")
    actions = events.drop_nulls("request_id").select("request_id", "item_id", "type", at="ts")
    done = (
        shown.join(actions, on=["request_id", "item_id"])
        .filter(pl.col("at").is_between(pl.col("ts"), pl.col("ts") + WINDOW_MS))
        .group_by("moment", "item_id")
        .agg(
            strongest=pl.col("type").max(),
            clicked=(pl.col("type") == 1).any(),
            purchased=(pl.col("type") == 4).any(),
        )
    )
    return (
        shown.join(done, on=["moment", "item_id"], how="left", maintain_order="left")
        .join(catalog.select("item_id", "item", *GROUPS[1:], "level"), on="item_id", how="left")
        .drop("request_id", "item_id")
    )


def _features(
    candidates: pl.DataFrame, past: pl.DataFrame, catalog: pl.DataFrame, statistics: pl.DataFrame
) -> pl.DataFrame:
    known = past.join(
        catalog.select("item", *GROUPS[1:], "level"), on="item", how="left", maintain_order="left"
    )
    whole = known.group_by("moment").agg(usual=pl.col("level").mean(), length=pl.len())
    out = candidates.join(statistics, on="item", how="left", maintain_order="left")
    out = out.join(whole, on="moment", how="left", maintain_order="left")
    for group in GROUPS:
        wanted = candidates.select("moment", group).unique()
        met = (
            known.join(wanted, on=["moment", group])
            .group_by("moment", group)
            .agg(
                pl.len().log1p().alias(f"{group}_count"),
                pl.col("past_ts").max().alias(f"{group}_last"),
            )
        )
        out = out.join(met, on=["moment", group], how="left", maintain_order="left")
        gap = (pl.col("ts") - pl.col(f"{group}_last")) / 60_000
        out = out.with_columns((1 - gap.log1p() / 11.4).alias(f"{group}_last").fill_null(0))
    match = 1 - (pl.col("level") - pl.col("usual")).abs() / 3
    return out.with_columns(price_match=match).drop("ts", *GROUPS[1:])
