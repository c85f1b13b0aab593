"""Which price level a moment asks for (the job's tests recompute everything else)."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from features import labels, samples
from features.questions.candidates import Asked
from features.schemas import CandidateOrigin, MomentKind


def test_the_topmost_item_bought_of_which_the_level_is_known_is_asked():
    """Rows of the catalog: 2 of no level, 3, 4 and 5 of levels 3, 4 and 5."""
    pages = {0: [(5, 0), (3, 1), (4, 1)], 1: [(2, 1), (4, 1), (3, 1)], 2: [(2, 1)], 3: [(3, 0)]}
    moment, item, bought = np.array(
        [(page, item, bought) for page, shown in pages.items() for item, bought in shown]
    ).T
    none = np.zeros(len(item), np.int8)
    asked = Asked(
        moment=moment,
        item=item.astype(np.int32),
        origin=np.full(len(item), CandidateOrigin.SHOWN, np.int8),
        outcome=labels.Outcome(none, none, bought.astype(np.int8)),
    )
    kinds = pa.table({"kind": np.full(len(pages), MomentKind.PAGE, np.int8)})
    moments = SimpleNamespace(user=np.zeros(len(pages), np.int32), table=kinds)
    world = SimpleNamespace(catalog=SimpleNamespace(price_level=np.array([0, 0, 0, 3, 4, 5])))
    group = SimpleNamespace(moments=moments, actions=None)
    assert samples._prices(group, asked, world, 1).to_pylist() == [3, 4, None, None]
