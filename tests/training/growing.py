"""A store whose vocabulary grows on a day."""

import pyarrow as pa

from features.schemas import CATALOG, VOCABULARY


def grow_vocabulary(store, day, more):
    """New items on `day`, all of the first category; one new shop."""
    for feature, count in (("item", more), ("shop", 1)):
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


def samples_catalog(store, day):
    table = store.partition("catalog", day).table(["item", "category"])
    return list(zip(table["item"].to_pylist(), table["category"].to_pylist(), strict=True))
