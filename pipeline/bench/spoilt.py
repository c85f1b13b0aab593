"""Planted defects: what a bad night does to a candidate, in several strengths.

Three ways in. Samples: labels of one task are dealt anew among a share of tonight's moments, before
the update learns them. Weights: embeddings of whole categories are zero. Batches: what the network
is fed when it is asked lacks properties, or newer ids are unknown, as if its vocabulary were old.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from evaluation.predict import answering
from evaluation.predictions import Predictions
from evaluation.sampled import SampledDay
from features.catalog import CatalogArrays
from features.schemas import UNKNOWN_ROW
from infra.store import Store
from training.batch import PROPERTIES_BT, Batch
from training.model.dupn import Dupn

LINKED = ("catalog", "vocabulary", "statistics", "checkpoints")


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One of the three is set."""

    samples: Callable[[pa.Table], pa.Table] | None = None
    weights: Callable[[Dupn, CatalogArrays], None] | None = None
    batch: Callable[[Batch], Batch] | None = None


def copy(store: Store, home: str, day: date, spoil: Callable[[pa.Table], pa.Table]) -> Store:
    """A store with the same past and another `samples/dt=day`; what is trained there stays there.

    Args:
        store: a local one; it is linked to and not written.
        home: an empty folder.
        day: whose samples are spoilt.
        spoil: how.
    """
    there = Store(home)
    for stage in LINKED:
        folder = Path(home, stage)
        folder.mkdir()
        for name in store.names(stage):
            Path(folder, name).symlink_to(store.address(stage, name))
    Path(home, "samples").mkdir()
    for known in store.days("samples"):
        if known != day:
            key = store.partition("samples", known).key
            Path(home, key).symlink_to(store.address(key))
    old = store.partition("samples", day)
    entries = old.manifest().files
    with there.partition("samples", day).publish(**old.manifest().lineage) as out:
        out.record(
            [
                out.write_table(f"part-{place:05d}", spoil(old.table(None, [entry])))
                for place, entry in enumerate(entries)
            ]
        )
    return there


def ask(day: SampledDay, model: Dupn, alter: Callable[[Batch], Batch] | None = None) -> Predictions:
    """The answers of a network that is fed altered batches."""
    if alter is None:
        return day.ask(model)
    scores = day.scores()
    with answering(model):
        for rows, batch in day.batches(model.sizes):
            scores.put(day.info(rows), batch, model(alter(batch)))
    return Predictions(day.questions, scores.answers(), {"day": day.day.isoformat()})


def shuffled_labels(columns: tuple[str, ...], share: float, table: pa.Table) -> pa.Table:
    """List columns whose values change places among a share of the moments, together."""
    rng = np.random.default_rng(17)
    whole = table.combine_chunks()
    lists = whole[columns[0]].combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    hit = np.repeat(rng.random(len(lengths)) < share, lengths)
    places = np.flatnonzero(hit)
    order = np.arange(len(hit))
    order[places] = places[rng.permutation(len(places))]
    for name in columns:
        old = whole[name].combine_chunks()
        values = old.flatten().take(pa.array(order))
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
        made = pa.ListArray.from_arrays(offsets, values, mask=old.is_null()).cast(old.type)
        whole = whole.set_column(whole.schema.get_field_index(name), whole.field(name), made)
    return whole


def zeroed_categories(count: int, model: Dupn, items: CatalogArrays) -> None:
    """The `count` largest categories, and every item in them, have no embedding."""
    rows, sizes = np.unique(items.category[items.category > UNKNOWN_ROW], return_counts=True)
    chosen = rows[np.argsort(-sizes, kind="stable")[:count]]
    mine = items.item[np.isin(items.category, chosen)]
    tables = dict(model.named_parameters())
    with torch.no_grad():
        for name, zero in (("item.item.weight", mine), ("item.category.weight", chosen)):
            table = tables[name]
            keep = zero[(zero > UNKNOWN_ROW) & (zero < len(table))]
            table[torch.from_numpy(keep.astype(np.int64))] = 0.0


def without_properties(share: float, batch: Batch) -> Batch:
    """A share of the moments comes without the properties of its behaviours."""
    rng = np.random.default_rng(len(batch.cand_C))
    hit = torch.from_numpy(rng.random(batch.size) < share)[:, None]

    def dropped(values: Tensor) -> Tensor:
        return torch.where(hit, torch.zeros_like(values), values)

    altered: dict[str, Any] = {name: dropped(getattr(batch, name)) for name in PROPERTIES_BT}
    return replace(batch, **altered)


def stale_vocabulary(share: float, batch: Batch) -> Batch:
    """Only the older share of item ids, brands and shops is known."""
    items = batch.items

    def known(rows: Tensor) -> Tensor:
        newest = max(int(rows.max()), 1)
        unknown = torch.full_like(rows, UNKNOWN_ROW)
        return torch.where(rows > share * newest, unknown, rows)

    old = replace(
        items,
        item_U=known(items.item_U),
        brand_U=known(items.brand_U),
        shop_U=known(items.shop_U),
        category_U=known(items.category_U),
    )
    return replace(batch, items=old)


_TASKS: Mapping[str, tuple[str, ...]] = {
    "ctr": ("cand_clicked",),
    "l2r": ("cand_label", "cand_weight"),
    "fifp": ("icon_followed",),
}
KINDS: Mapping[str, Defect] = {
    **{
        f"{task}_labels:{share}": Defect(samples=partial(shuffled_labels, columns, share))
        for task, columns in _TASKS.items()
        for share in (0.5, 1.0)
    },
    **{
        f"categories:{count}": Defect(weights=partial(zeroed_categories, count))
        for count in (1, 6, 24)
    },
    **{
        f"properties:{share}": Defect(batch=partial(without_properties, share))
        for share in (0.25, 0.5, 1.0)
    },
    **{
        f"vocabulary:{share}": Defect(batch=partial(stale_vocabulary, share))
        for share in (0.95, 0.7, 0.4)
    },
}
"""Name, before the colon the kind; after it how strong."""
