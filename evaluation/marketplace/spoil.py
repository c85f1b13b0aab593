"""A day of raw behaviours as a broken collector would send it, for demonstrations and drills.

After `simulate` has written a sound day, a share of its behaviours is overwritten: half of them get
their timestamp in seconds where milliseconds belong, half a type that nobody has heard of. The
world itself goes on unharmed: simulating the day again brings the sound rows back.
"""

from datetime import date

import numpy as np
import pyarrow as pa

from evaluation.marketplace.seeds import Purpose, stream
from features.raw.raw_table import LISTED
from infra.store import Store

UNKNOWN_TYPE = "undefined"


def spoil(behaviors: pa.Table, share: float, rng: np.random.Generator) -> pa.Table:
    """The same rows, `share` of them broken: half in `ts`, half in `type`."""
    drawn = rng.random(behaviors.num_rows)
    ts = behaviors["ts"].to_numpy()
    ts = np.where(drawn < share / 2, ts // 1000, ts)
    types = np.asarray(behaviors["type"].to_pylist(), dtype=object)
    types[(drawn >= share / 2) & (drawn < share)] = UNKNOWN_TYPE
    names = behaviors.column_names
    schema = behaviors.schema
    out = behaviors.set_column(names.index("ts"), schema.field("ts"), pa.array(ts))
    kinds = pa.array(types, type=schema.field("type").type)
    return out.set_column(names.index("type"), schema.field("type"), kinds)


def spoil_day(store: Store, day: date, share: float, seed: int) -> int:
    """Overwrite `raw/dt=day/behaviors`; how many rows are broken now."""
    partition = store.partition("raw", day, "behaviors")
    manifest = partition.manifest()
    sound = partition.table()
    spoilt = spoil(sound, share, stream(seed, Purpose.SPOIL, day.toordinal()))
    with partition.publish(**manifest.lineage, spoilt=share) as out:
        out.record([out.write_table(f"{LISTED}part-000", spoilt)])
    broken = np.asarray(sound["ts"].to_numpy() != spoilt["ts"].to_numpy())
    types = np.asarray([kind == UNKNOWN_TYPE for kind in spoilt["type"].to_pylist()])
    return int((broken | types).sum())
