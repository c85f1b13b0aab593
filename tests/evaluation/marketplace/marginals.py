"""The figures by which the marketplace is held against a real log; the same code reads both.

Time zones: the real log's days are Beijing's, the world's are UTC; hours are local to each.
"""

import numpy as np
import polars as pl

HALF_HOUR_MS = 1_800_000
DAY_MS = 86_400_000


def marginals(log: pl.DataFrame, days: int) -> dict[str, float]:
    """Figures of a log with columns user, item, category, type, ts (local ms), in any order.

    Args:
        log: one row a behaviour; `type` is click, bookmark, cart or purchase.
        days: length of the log.
    """
    log = log.sort("user", "ts", maintain_order=True)
    return _mix(log) | _activity(log, days) | _gaps(log) | _repeats(log) | _cycle(log)


def of_shops(log: pl.DataFrame) -> dict[str, float]:
    """How far people keep to shops: a log with columns user, day, item, category, shop.

    Args:
        log: one row a behaviour; `day` is anything that sorts and is a number.
    """
    touched = log.select("user", "day", "item", "category", "shop").unique()
    newest = touched.with_columns(
        met=pl.col("day").min().over("user", "item"),
        entered=pl.col("day").min().over("user", "shop"),
        came=pl.col("day").min().over("user"),
    ).filter((pl.col("met") == pl.col("day")) & (pl.col("day") > pl.col("came")))
    new = newest.select("user", "day", "shop", "entered").unique()
    return {
        "two items of a day are of one category": _together(touched, "category"),
        "two items of a day are of one shop": _together(touched, "shop"),
        "a new item's shop was seen before": _mean(new["entered"] < new["day"]),
        "any behaviour's shop was": _seen_by_chance(log, new),
    }


def _together(touched: pl.DataFrame, by: str) -> float:
    """Of the pairs of items that a user touches on a day, the share within one group."""
    day = touched.group_by("user", "day", by).len().group_by("user", "day").agg(
        same=(pl.col("len") * (pl.col("len") - 1)).sum(), items=pl.col("len").sum()
    ).filter(pl.col("items") > 1)  # fmt: skip
    return _mean(day["same"] / (day["items"] * (day["items"] - 1)))


def _seen_by_chance(log: pl.DataFrame, new: pl.DataFrame) -> float:
    """How often a behaviour drawn from all is of a shop that the user knew before the day."""
    weight = log.group_by("shop").agg(weight=pl.len() / len(log))
    known = (
        log.group_by("user", "shop").agg(entered=pl.col("day").min())
        .join(weight, on="shop").sort("entered")
        .with_columns(known=pl.col("weight").cum_sum().over("user"))
    )  # fmt: skip
    met = new.sort("day").join_asof(
        known, left_on="day", right_on="entered", by="user", allow_exact_matches=False
    )
    return _mean(met["known"].fill_null(0.0))


def _mix(log: pl.DataFrame) -> dict[str, float]:
    return {
        f"share of {kind}": _mean(log["type"] == kind)
        for kind in ("click", "bookmark", "cart", "purchase")
    }


def _activity(log: pl.DataFrame, days: int) -> dict[str, float]:
    """Over users with at least one behaviour, as public logs have them."""
    count = log.group_by("user").len()["len"].to_numpy() / days
    daily = log.with_columns(day=pl.col("ts") // DAY_MS).group_by("user", "day")
    active = daily.agg(pl.len(), pl.col("category").n_unique().alias("categories"))
    return {
        "behaviours a user and day, mean": float(count.mean()),
        **{f"the same, p{q}": float(np.quantile(count, q / 100)) for q in (10, 50, 90, 99)},
        "behaviours an active day, median": float(np.median(active["len"].to_numpy())),
        "categories an active day": float(active["categories"].to_numpy().mean()),
        "share of days active": len(active) / (len(count) * days),
    }


def _gaps(log: pl.DataFrame) -> dict[str, float]:
    gap = log.select(gap=pl.col("ts").diff().over("user"))["gap"].drop_nulls().to_numpy() / 1000
    limits = {"1 min": 60, "5 min": 300, "30 min": 1800, "1 day": 86_400}
    return {
        "gap between behaviours, median s": float(np.median(gap)),
        **{f"gaps under {name}": float((gap < limit).mean()) for name, limit in limits.items()},
    }


def _repeats(log: pl.DataFrame) -> dict[str, float]:
    """How often the next behaviour is in the category of the last one."""
    pairs = log.select(
        gap=pl.col("ts").diff().over("user"),
        same=pl.col("category") == pl.col("category").shift().over("user"),
        clicked=pl.col("type") == "click",
    ).drop_nulls()
    near = pl.col("gap") < HALF_HOUR_MS
    seen = log.select(pl.struct("user", "category").is_first_distinct().not_()).to_series()
    return {
        "repeats the last category": _share(pairs),
        "repeats it, clicks only": _share(pairs.filter(pl.col("clicked"))),
        "repeats it within 30 min": _share(pairs.filter(near)),
        "repeats it after 30 min": _share(pairs.filter(~near)),
        "any two share a category": _chance(log),
        "category seen before": _mean(seen),
    }


def _share(pairs: pl.DataFrame) -> float:
    return _mean(pairs["same"])


def _mean(flags: pl.Series) -> float:
    return float(flags.to_numpy().mean())


def _chance(log: pl.DataFrame) -> float:
    """How often two behaviours of a user, drawn at random, share a category."""
    count = log.group_by("user", "category").len()
    user = count.group_by("user").agg(
        same=(pl.col("len") * (pl.col("len") - 1)).sum(), total=pl.col("len").sum()
    )
    same, total = user["same"].to_numpy(), user["total"].to_numpy().astype(float)
    return float(same.sum() / (total * (total - 1)).sum())


def _cycle(log: pl.DataFrame) -> dict[str, float]:
    hour = (log["ts"] // 3_600_000 % 24).to_numpy()
    share = np.bincount(hour, minlength=24) / len(hour)
    night, evening = share[2:6].sum(), share[19:23].sum()
    return {"share 2-6 h": float(night), "share 19-23 h": float(evening)}
