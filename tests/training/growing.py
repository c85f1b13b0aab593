"""A store whose vocabulary grows on a day, or whose catalog or labels are corrected."""

import pyarrow as pa
import pyarrow.compute as pc

from features.schemas import CATALOG, VOCABULARY


def add_rows(store, day, feature, count):
    """New ids of a feature on `day`."""
    place = store.partition("vocabulary", day, feature)
    table = place.table()
    first = max(table["row"].to_pylist()) + 1
    new = {
        "id": [f"new{i}" for i in range(count)],
        "row": range(first, first + count),
        "count": [1] * count,
    }
    whole = pa.concat_tables([table, pa.table(new, schema=VOCABULARY)])
    with place.publish() as out:
        out.record([out.write_table("part", whole, counts={"admitted": len(whole)})])


def grow_vocabulary(store, day, more):
    """New items on `day`, all of the first category; one new shop."""
    for feature, count in (("item", more), ("shop", 1)):
        add_rows(store, day, feature, count)
    place = store.partition("catalog", day)
    table, index = place.table(), store.partition("catalog", day, "items").table()
    rows = table.slice(0, more).to_pylist()
    fresh = [
        row | {"row": len(table) + 2 + i, "item": len(table) + 2 + i} for i, row in enumerate(rows)
    ]
    whole = pa.concat_tables([table, pa.Table.from_pylist(fresh, schema=CATALOG)])
    with place.publish() as out:
        out.record([out.write_table("part", whole)])
    return fresh, index


def correct_catalog(store, day):
    """Every item of `day` gets another brand; samples stay as they are."""
    place = store.partition("catalog", day)
    table = place.table()
    brands = pa.array([2 + (row + 7) % 20 for row in range(len(table))], pa.int32())
    with place.publish() as out:
        corrected = table.set_column(table.column_names.index("brand"), "brand", brands)
        out.record([out.write_table("part", corrected)])


def relabel(store, day, whose):
    """Turn every label of some users round, leaving files and row groups as they are."""
    place = store.partition("samples", day)
    with place.publish() as out:
        entries = []
        for entry in place.manifest().files:
            table = place.table(entries=[entry])
            mask = whose(table["user_hash"].to_numpy())
            level = table["price_level"]
            turned = pc.if_else(pa.array(mask), pc.subtract(pa.scalar(8, pa.int8()), level), level)
            at = table.column_names.index("price_level")
            table = table.set_column(at, table.schema.field(at), turned)
            stem = entry.name.rpartition("-")[0]
            entries.append(out.write_table(stem, table, row_group_size=64))
        out.record(entries)


def samples_catalog(store, day):
    table = store.partition("catalog", day).table(["item", "category"])
    return list(zip(table["item"].to_pylist(), table["category"].to_pylist(), strict=True))
