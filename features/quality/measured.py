"""What the quality gate counts in each table, as tallies that merge in any order.

A `Tally` maps `op:table.column.metric` to a number; `op` (sum, min, max) says how two tallies of
parts of a table merge. `features.quality.figures` turns a day's tally into figures.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.schemas import (
    LEVEL_LISTS,
    PADDING,
    PRICE_LEVELS,
    UNKNOWN_ROW,
    BehaviorType,
    Scenario,
    samples_now,
)

Tally = dict[str, float]

_ROUNDING = 1e-4
"""How far float32 shares may be from 1 together."""

MIXES = {
    "behaviors": ("type", "scenario"),
    "impressions": ("scenario",),
    "samples": ("scenario", "price_level", "seq_type"),
    "catalog": ("price_level",),
}

ID_COLUMNS = {
    "behaviors": ("user_id", "item_id", "ts", "type", "scenario"),
    "impressions": ("user_id", "request_id", "ts"),
    "follows": ("user_id", "icon_id", "ts", "followed"),
    "items": ("item_id",),
    "samples": ("sample_id", "user_id", "ts", "seq_item"),
    "catalog": ("row",),
}


def measure(name: str, table: pa.Table) -> Tally:
    """The tally of a part of table `name`; reads each column once, grows with the columns."""
    tally: Tally = {f"sum:{name}.rows": table.num_rows}
    for column in ID_COLUMNS[name]:
        tally[f"sum:{name}.{column}.nulls"] = table.column(column).null_count
    if "ts" in table.column_names and table.num_rows:
        ts = table.column("ts").cast(pa.int64())
        bounds = pc.min_max(ts).as_py()
        if bounds["min"] is not None:
            tally[f"min:{name}.ts.first"] = bounds["min"]
            tally[f"max:{name}.ts.last"] = bounds["max"]
    for column in MIXES.get(name, ()):
        values = table.column(column)
        if pa.types.is_list(values.type):
            values = pc.list_flatten(values)
        for entry in pc.value_counts(values).to_pylist():
            tally[f"sum:{name}.{column}.mix.{entry['values']}"] = entry["counts"]
    special = SPECIAL.get(name)
    if special:
        tally |= special(table)
    return tally


def repeats(samples: pa.Table, begun: pa.Table | None) -> tuple[Tally, pa.Table]:
    """How many ids of a part of a file stand there again, and what to ask of the next part.

    A moment's id is its user's, whose rows stand together: only those of a user who may go on in
    the next part are kept for it.

    Args:
        samples: the part.
        begun: what came of the part before it.
    """
    rows = samples.select(["user_hash", "sample_id"])
    rows = pa.concat_tables([*([begun] if begun else []), rows])
    again = len(rows) - pc.count_distinct(rows.column("sample_id"), mode="all").as_py()
    last = rows.column("user_hash")[-1]
    open_ = rows.filter(pc.equal(rows.column("user_hash"), last))
    open_ = open_.group_by(["user_hash", "sample_id"]).aggregate([])
    return {"sum:samples.sample_id.repeated": again}, open_


def _count(mask: pa.ChunkedArray) -> float:
    return pc.sum(mask.cast(pa.int64())).as_py() or 0


def _outside(values: pa.ChunkedArray, low: float, high: float) -> float:
    return _count(pc.or_(pc.less(values, low), pc.greater(values, high)))


def _behaviors(table: pa.Table) -> Tally:
    price = table.column("price")
    level = pc.floor(pc.log2(pc.if_else(pc.greater(price, 0), price, None)))
    tally = {
        "sum:behaviors.type.bad": _outside(table.column("type"), 1, max(BehaviorType)),
        "sum:behaviors.scenario.bad": _outside(table.column("scenario"), 1, max(Scenario)),
        "sum:behaviors.price.bad": _count(pc.less_equal(price, 0)),
    }
    for entry in pc.value_counts(level).to_pylist():
        if entry["values"] is not None:
            tally[f"sum:behaviors.price.mix.{entry['values']:.0f}"] = entry["counts"]
    naming = table.column("type").filter(table.column("request_id").is_valid())
    for entry in pc.value_counts(naming).to_pylist():
        tally[f"sum:behaviors.request_id.mix.{entry['values']}"] = entry["counts"]
    return tally


def _items(table: pa.Table) -> Tally:
    tally: Tally = {
        f"sum:items.{name}.nulls": table.column(name).null_count
        for name in ("category_id", "brand_id", "shop_id", "price")
    }
    tally["sum:items.price.bad"] = _count(pc.less_equal(table.column("price"), 0))
    return tally


def _catalog(table: pa.Table) -> Tally:
    level = table.column("price_level")
    places = [table.column(name) for name in ("item", "brand", "shop", "category")]
    known = reduce(pc.or_, [pc.greater(place, UNKNOWN_ROW) for place in places])
    tags = pc.list_flatten(table.column("tags"))
    tally: Tally = {
        f"sum:catalog.{name}.nulls": _count(pc.equal(table.column(name), UNKNOWN_ROW))
        for name in ("brand", "shop", "category")
    }
    return tally | {
        "max:catalog.row.last": pc.max(table.column("row")).as_py() or 0,
        "sum:catalog.item_id.bad": _count(pc.and_(table.column("item_id").is_null(), known)),
        "sum:catalog.item.bad": _count(pc.less(pc.min_element_wise(*places), UNKNOWN_ROW)),
        "sum:catalog.tags.bad": _count(pc.less(tags, PADDING)),
        "sum:catalog.tags.bad.of": len(tags),
        "sum:catalog.price.bad": _count(pc.less_equal(table.column("price"), 0)),
        "sum:catalog.price.nulls": table.column("price").null_count,
        "sum:catalog.price_level.bad": _outside(level, 0, PRICE_LEVELS),
        "sum:catalog.price_level.nulls": _count(pc.equal(level, 0)),
    }


def _samples(table: pa.Table) -> Tally:
    table = samples_now(table, "a day of samples")
    length = pc.list_value_length(table.column("seq_item"))
    asked = table.filter(pc.is_valid(table.column("cand_item")))
    clicked = pc.list_flatten(asked.column("cand_clicked"))
    label = pc.list_flatten(asked.column("cand_label"))
    features = pc.list_flatten(pc.list_flatten(asked.column("cand_features")))
    kinds = pc.list_flatten(table.column("seq_type"))
    return {
        "sum:samples.seq_item.empty.bad": _count(pc.equal(length, 0)),
        "max:samples.seq_item.longest": pc.max(length).as_py() or 0,
        **{f"sum:samples.{names[0]}.uneven.bad": _uneven(table, names) for names in LEVEL_LISTS},
        "sum:samples.seq_type.bad": _outside(kinds, 1, max(BehaviorType)),
        "sum:samples.seq_type.bad.of": len(kinds),
        "sum:samples.cand_label.bad": _count(pc.not_equal(pc.abs(label), 1)),
        "sum:samples.cand_label.bad.of": len(label),
        "sum:samples.cand_features.bad": _count(pc.invert(pc.is_finite(features))),
        "sum:samples.cand_features.bad.of": len(features),
        "sum:samples.price_level.bad": _outside(table.column("price_level"), 1, PRICE_LEVELS),
        "sum:samples.price_offer.bad": _bad_offers(table.column("price_offer")),
        "sum:samples.shown": len(clicked),
        "sum:samples.clicked": pc.sum(clicked).as_py() or 0,
    }


def _uneven(table: pa.Table, names: Sequence[str]) -> float:
    """How many moments have lists that are not as long as the first of them."""
    lengths = [pc.list_value_length(table.column(name)) for name in names]
    first, *others = [pc.fill_null(one, 0) for one in lengths]
    return _count(reduce(pc.or_, [pc.not_equal(first, other) for other in others]))


def _bad_offers(column: pa.ChunkedArray) -> float:
    """How many offers are not shares of all price levels."""
    offers = column.combine_chunks().drop_null()
    whole = offers.filter(pc.equal(pc.list_value_length(offers), PRICE_LEVELS))
    shares = whole.flatten().to_numpy(zero_copy_only=False).reshape(-1, PRICE_LEVELS)
    good = (shares > 0).all(axis=1) & (np.abs(shares.sum(axis=1) - 1) < _ROUNDING)
    return len(offers) - float(good.sum())


SPECIAL: Mapping[str, Callable[[pa.Table], Tally]] = {
    "behaviors": _behaviors,
    "items": _items,
    "samples": _samples,
    "catalog": _catalog,
}
