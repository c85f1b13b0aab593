"""A clock that goes back over midnight shows the end of a day twice: both belong to its events."""

import json
from datetime import date

import pytest

from features.property import LocalClock
from features.raw.dataset import parse_description
from features.sequence import SequencesConfig
from infra.store import Store
from pipeline.beam.run import BeamConfig
from pipeline.jobs import events, sequences

ZONE = "America/St_Johns"
BEAM = BeamConfig(buckets=2)
EVE, DAY = date(2010, 11, 6), date(2010, 11, 7)  # from 0:01 of the 7th to 23:01 of the 6th


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    store = Store(home)
    text = f'name = "n"\ntime_zone = "{ZONE}"\n[behaviors]\nformat = "jsonl"\n'
    for day in (EVE, DAY):
        begins = LocalClock(ZONE).midnight_ms(day)
        rows = [
            {"user_id": "u", "item_id": f"{day}-{n}", "type": "click", "ts": begins + n * 1_800_000}
            for n in range(4)
        ]
        folder = home / f"raw/dt={day}/behaviors"
        folder.mkdir(parents=True)
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        events.run(store, day, parse_description(text, "n.toml"), beam=BEAM)
        sequences.run(store, day, SequencesConfig(moments="derived"), ZONE, BEAM)
    return store


@pytest.mark.parametrize("day", [EVE, DAY])
def test_the_pool_has_all_clicks_of_the_day(store, day):
    kept = store.partition("events", day, "behaviors").table()["item_id"].to_pylist()
    pool = store.partition("sequences", day, "pool").table()["item_id"].to_pylist()
    assert sorted(pool) == sorted(kept) == [f"{day}-{n}" for n in range(4)]
