"""Users as they stand at the end of a day: the input of the network, without a question.

One vectorised pass over `sequences(D)`: the last 100 behaviours, their properties as seen from
midnight, the newest profile. `samples` cuts histories at moments of the day, this at its end.
"""

from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor

from features import lists
from features.catalog import CatalogArrays
from features.profiles import Profiles
from features.property import LocalClock, told
from features.schemas import SAMPLES, SEQUENCE_LENGTH, conform
from training.collate import collate
from training.data import alike
from training.inference import answered
from training.model.dupn import Dupn
from training.moments import IntArray, Moments

HISTORY = ("user_hash", "user_id", "ts", "item_id", "type", "scenario")


def moments_of(
    past: pa.Table, items: CatalogArrays, clock: LocalClock, day: date, profiles: Profiles
) -> pa.Table:
    """One moment a user at the end of the day, schema SAMPLES, that asks nothing.

    Args:
        past: behaviours in user and time order, columns HISTORY.
        items: the catalog of the day.
        clock: of the data set's time zone.
        day: whose end it is.
        profiles: of the users.
    """
    end = clock.end_ms(day)
    ts = past["ts"].cast(pa.int64()).to_numpy()
    past = past.filter(pa.array(ts < end))
    hashes = past["user_hash"].to_numpy()
    starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
    stops = np.append(starts[1:], len(hashes))
    cut = np.maximum(stops - SEQUENCE_LENGTH, starts)
    lengths = stops - cut
    rows = np.arange(int(lengths.sum())) + np.repeat(cut - (np.cumsum(lengths) - lengths), lengths)
    kind, scenario = past["type"].to_numpy()[rows], past["scenario"].to_numpy()[rows]
    ts = past["ts"].cast(pa.int64()).to_numpy()[rows]
    item = items.rows_of(past["item_id"].combine_chunks())[rows]
    values = {"item": item, **told(kind, scenario, ts, end, clock)}
    offsets = lists.offsets(lengths)
    users = past.take(pa.array(starts))
    columns: dict[str, Any] = {
        f"seq_{name}": lists.lists(offsets, flat) for name, flat in values.items()
    }
    columns |= {
        "sample_id": users["user_id"],
        "user_id": users["user_id"],
        "user_hash": users["user_hash"],
        "ts": pa.array(np.full(len(starts), end), pa.int64()),
        "scenario": pa.array(np.zeros(len(starts), np.int8)),
        "profile": lists.matrix(profiles.of_users(hashes[starts])),
    }
    return conform(pa.table(columns), SAMPLES)


def encode(
    model: Dupn, table: pa.Table, items: CatalogArrays, batch_size: int
) -> NDArray[np.float32]:
    """The representation of each moment, in order."""
    moments = Moments.from_arrow(table, np.zeros(table.num_rows, np.int64))
    out = np.empty((table.num_rows, model.config.rep_dim), np.float32)
    device = str(next(model.parameters()).device)

    def ask(rows: IntArray) -> Tensor:
        batch = collate(moments, rows, [items], model.sizes).to(device)
        return model.encode(batch).float().cpu()

    for rows, found in answered(model, ask, alike(moments.sequence.lengths, batch_size)):
        out[rows] = found.numpy()
    return out
