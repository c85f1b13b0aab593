"""One bucket's moments of one day with their histories, which come from one of two places.

`opened` takes moments of yesterday that waited in `sequences/open` for their windows to close:
their histories were cut when that day ended, and lie beside them. `cut` takes moments of today, and
those of yesterday that arrived late: their histories are cut here, from the timeline.
"""

import numpy as np
import pyarrow as pa

from features.questions.moments import Moments
from features.questions.world import Group
from features.timeline import Spans, Timeline, codes_of


def opened(kept: Moments, waiting: pa.Table, actions: Timeline, own_day: Timeline) -> Group:
    """Moments with histories that were cut when their own day ended."""
    lists = waiting.column("seq_item_id").combine_chunks()
    length = lists.value_lengths().to_numpy().astype(np.int64)
    owner = np.repeat(np.arange(len(length), dtype=np.int32), length)
    flat = {
        name: waiting.column(f"seq_{name}").combine_chunks().flatten().to_numpy()
        for name in ("ts", "type", "scenario")
    }
    past = Timeline.of_histories(owner, codes_of(lists.flatten()), flat, len(length))
    return Group(
        moments=kept,
        past=past,
        spans=Spans(past.offsets[:-1], past.offsets[1:]),
        actions=actions,
        own_day=own_day,
        past_owner=owner,
        moment_owner=np.arange(len(length), dtype=np.int32),
        profile=np.empty((len(length), 0), np.int32),
    )


def cut(moments: Moments, past: Timeline, actions: Timeline, own_day: Timeline) -> Group:
    """Moments with histories cut from a timeline."""
    return Group(
        moments=moments,
        past=past,
        spans=past.before(moments.user, moments.ts),
        actions=actions,
        own_day=own_day,
        past_owner=past.user,
        moment_owner=moments.user,
        profile=np.empty((len(moments.user), 0), np.int32),
    )
