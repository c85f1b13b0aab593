"""What is told to make a day again whose raw rows are gone, done as it is told."""

import re

from pipeline import steps
from pipeline.quality import judged
from pipeline.upkeep import afterwards, again
from tests import nights
from tests.pipeline.upkeep.test_backfill import DAY, MINE, made

COMMAND = re.compile(r"`dupn (\w+) --day [\d-]+( --of samples)?`")


def follow(settings, said):
    for step, of in COMMAND.findall(said):
        getattr(steps, step)(settings, DAY, *(["samples"] if of else []))


def test_days_without_raw_are_made_again_from_events_by_the_commands_that_are_told(whole, tmp_path):
    home = made(whole, tmp_path)
    store, before = home.store, nights.digests(home.store, MINE)
    store.partition("raw", DAY, "behaviors").remove()
    for gone in (store.partition("samples", DAY), store.partition("sequences", DAY, "history")):
        gone.remove()
    said = again.samples(store, DAY)
    assert "dupn backfill" not in said
    follow(home, said)
    assert nights.digests(store, MINE) == before
    assert judged.is_current(store, DAY, "samples")
    assert afterwards.behind(store) == []
    events = store.partition("events", DAY, "behaviors")
    half = events.table().slice(0, events.table().num_rows // 2)
    with events.publish(**events.manifest().lineage) as out:
        out.record([out.write_table("rows", half)])
    follow(home, afterwards.behind(store)[0])
    assert not [said for said in afterwards.behind(store) if said.startswith(str(DAY))]
