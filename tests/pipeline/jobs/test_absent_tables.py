from datetime import UTC, date, datetime

import pyarrow as pa

from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events

DAY = date(2026, 11, 1)
START = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp() * 1_000)
TABLES = {
    "behaviors": {"user_id": ["u"], "item_id": ["i"], "type": ["click"], "ts": [START]},
    "impressions": {"request_id": ["r"], "user_id": ["u"], "ts": [START], "item_ids": [["i"]]},
    "items": {"item_id": ["i"], "brand_id": ["b"]},
    "users": {"user_id": ["u"], "age": ["18-24"]},
}


def test_a_table_that_raw_has_no_longer_is_no_event_of_the_day_read_again(tmp_path, caplog):
    store = Store(tmp_path)
    for name, columns in TABLES.items():
        with store.partition("raw", DAY, name).publish(dataset="marketplace") as out:
            out.record([out.write_table("_part", pa.table(columns))])
    events.run(store, DAY, beam=BeamConfig(buckets=2))
    assert store.partition("events", DAY).names() == sorted(TABLES)
    for name in ("impressions", "items"):
        store.partition("raw", DAY, name).remove()
    events.run(store, DAY, beam=BeamConfig(buckets=2))
    assert store.partition("events", DAY).names() == ["behaviors", "users"]
    assert "events/dt=2026-11-01/items is gone: raw/dt=2026-11-01 has no items" in caplog.text
