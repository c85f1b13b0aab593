"""Second half of `dupn statistics`: groups, prices, the market and LR-CTR, from items' counts."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from features import carry, catalog, price
from features.catalog import CatalogArrays
from features.items import counts, lr_ctr, lr_sample, statistics, summary
from features.items.lr_ctr import Weights
from features.items.lr_sample import Labels
from features.items.statistics import GROUPS, StatisticsConfig
from infra.store import Store

FIRST = GROUPS[0]
"""The table of the second half that is published first; its `wall_s` is that of the half."""


def close(
    store: Store,
    day: date,
    config: StatisticsConfig,
    *,
    paged: bool,
    lineage: Mapping[str, Any],
) -> Mapping[str, int]:
    """Publish everything of the day's statistics that follows from its items.

    Args:
        store: where the day's items and sample are published.
        day: the day.
        config: its settings.
        paged: False draws negatives for LR-CTR.
        lineage: what the day was made from, and by which settings.
    """
    # The first to be published is begun before anything is worked out: its seconds are this half's.
    with store.partition("statistics", day, FIRST).publish(**lineage) as attempt:
        arrays = catalog.load(store, day)
        item = statistics.item_counts(store, day, arrays)
        tables = {name: summary.group(item, getattr(arrays, name)) for name in GROUPS}
        tables["price"] = price.quantile_edges(arrays.price, arrays.category, config.min_prices)
        tables["overall"] = summary.overall_table(summary.overall(item, config))
        labels, weights = _learn(store, day, arrays, config, paged=paged)
        tables["lr_ctr"] = lr_ctr.table(weights)
        attempt.record([attempt.write_table("part", tables[FIRST])])
    learned = {"displays": int(labels.shown.sum()), "clicked": int(labels.clicked.sum())}
    for name in [name for name in tables if name != FIRST]:
        facts = learned if name == "lr_ctr" else {}
        _publish(store, day, name, tables[name], {**lineage, **facts})
    rows = store.partition("statistics", day, "item").manifest().rows
    return {"items": rows, **{name: tables[name].num_rows for name in GROUPS}, **learned}


def _learn(
    store: Store, day: date, arrays: CatalogArrays, config: StatisticsConfig, *, paged: bool
) -> tuple[Labels, Weights]:
    """Labels of the day on features of the day before; yesterday's weights where nothing is new."""
    before = carry.yesterday(store, "statistics", day, "lr_ctr")
    sample = store.partition("statistics", day, "lr_sample").table()
    if not paged:
        sample = _with_negatives(store, day, sample, config)
    labels = lr_sample.labels(sample, arrays)
    prior = lr_ctr.of_table(before.table()) if before else np.zeros(len(lr_ctr.FEATURES))
    if not len(labels.rows):
        return labels, prior
    past = statistics.load(store, day - carry.ONE_DAY if before else None, arrays)
    x = lr_ctr.design(statistics.item_side(past, arrays))[labels.rows]
    return labels, lr_ctr.fit(x, labels.clicked, labels.shown, prior, config.lr_l2)


def _with_negatives(
    store: Store, day: date, sample: pa.Table, config: StatisticsConfig
) -> pa.Table:
    before = carry.yesterday(store, "statistics", day, "item")
    if before is None or not before.manifest().rows or not sample.num_rows:
        return lr_sample.SAMPLE.empty_table()
    items = before.table(["item_hash", *counts.COUNTED])
    known = counts.of_table(items).behaviors >= counts.EVIDENCE
    hashes = items.column("item_hash").to_numpy()[known]
    return lr_sample.with_negatives(sample, hashes, config.lr_negatives, config.seed)


def _publish(
    store: Store, day: date, name: str, table: pa.Table, lineage: Mapping[str, object]
) -> None:
    with store.partition("statistics", day, name).publish(**lineage) as attempt:
        attempt.record([attempt.write_table("part", table)])
