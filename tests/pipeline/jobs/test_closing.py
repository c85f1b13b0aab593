"""What follows from a day's items where there are none."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from features import catalog
from features.items import lr_ctr, lr_sample
from features.items.statistics import StatisticsConfig
from infra.store import Store
from pipeline.jobs import closing

FIRST = date(2026, 11, 1)
SECOND = FIRST + timedelta(days=1)


def test_on_the_day_after_one_of_which_nothing_was_kept_no_negative_can_be_drawn(tmp_path):
    """A log may begin with types that are ignored alone."""
    store = Store(tmp_path)
    clicks = pa.table({"item_hash": [7], "key": [1], "clicked": [1]}, lr_sample.SAMPLE)
    told = {"item": None, "lr_ctr": lr_ctr.table(np.zeros(len(lr_ctr.FEATURES)))}
    for day, tables in ((FIRST, told), (SECOND, {"lr_sample": clicks})):
        for name, table in tables.items():
            with store.partition("statistics", day, name).publish() as out:
                out.record([out.write_table("part", table)] if table is not None else [])
    labels, weights = closing._learn(
        store, SECOND, catalog.empty(), StatisticsConfig(), paged=False
    )
    assert not len(labels.rows)
    assert not weights.any()
