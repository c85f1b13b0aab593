"""Days that stay what they were though a day before them was made again, by hand or in part."""

import json
from collections import Counter
from datetime import date, timedelta

import pyarrow as pa
import pytest

from features import inputs
from infra.store import Partition, Store
from pipeline.quality import judged
from pipeline.upkeep import afterwards, backfill

DAY = date(2026, 3, 13)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def store(tmp_path):
    """Two days of raw, events and sequences."""
    store = Store(tmp_path)
    for day in (DAY, NEXT):
        publish(store, day, "raw", "behaviors", 1)
        events(store, day, 1)
        sequences(store, day, 1)
    return store


def publish(store, day, stage, name, value, **lineage):
    with store.partition(stage, day, name).publish(**lineage) as out:
        out.record([out.write_table("part", pa.table({"x": [value]}))])


def events(store, day, value):
    publish(store, day, "events", "behaviors", value)


def sequences(store, day, value):
    publish(
        store, day, "sequences", "history", value, inputs=inputs.stamps(store, "sequences", day)
    )


def samples(store, day):
    with store.partition("samples", day).publish(
        inputs=inputs.stamps(store, "samples", day)
    ) as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])


def behind(store):
    return [sentence[:10] for sentence in afterwards.behind(store)]


def test_days_that_were_made_from_what_is_there_are_not_behind(store):
    assert afterwards.behind(store) == []
    events(store, DAY, 1)  # again, and the same
    assert afterwards.behind(store) == []


def test_a_day_whose_events_alone_were_made_again_is_behind(store):
    events(store, DAY, 2)
    (said,) = afterwards.behind(store)
    assert said.startswith(
        f"{DAY}: its stage sequences was made from another events/dt={DAY}/behaviors"
    )
    assert f"`dupn backfill --day {DAY}`" in said


def test_of_a_day_without_raw_its_stages_are_named_and_without_events_that_it_stays(store):
    samples(store, DAY)
    events(store, DAY, 2)
    store.partition("raw", DAY, "behaviors").remove()
    (said,) = afterwards.behind(store)
    assert said.endswith(
        f"raw/dt={DAY}/behaviors, which a backfill reads, is not there: from events, "
        f"`dupn sequences --day {DAY}`, `dupn samples --day {DAY}`, "
        f"`dupn quality --day {DAY} --of samples` (in this order). "
        "`dupn status` names then what follows from it."
    )
    store.partition("events", DAY, "behaviors").remove()
    (said,) = afterwards.behind(store)
    assert said.endswith("and neither are its events: without one of them nothing makes it again.")
    assert "`" not in said


def test_who_left_a_day_out_hears_what_a_backfill_does_where_there_can_be_one(store):
    events(store, DAY, 2)
    judged.leave_out(store, DAY, out=True)
    lets_in = "A person left the day out: if it passes quality then, nights learn it."
    assert afterwards.behind(store)[0].endswith(lets_in)
    store.partition("raw", DAY, "behaviors").remove()
    assert "left the day out" not in afterwards.behind(store)[0]


def test_so_is_the_day_after_one_that_was_made_again_alone(store):
    events(store, DAY, 2)
    sequences(store, DAY, 2)
    assert behind(store) == [str(NEXT)]
    sequences(store, NEXT, 2)
    assert behind(store) == []


def test_a_stage_that_was_left_out_of_what_was_made_again_is_named(store):
    for day in (DAY, NEXT):
        samples(store, day)
    assert afterwards.behind(store) == []
    for day in (DAY, NEXT):
        events(store, day, 2)
        sequences(store, day, 2)
    said = afterwards.behind(store)
    assert len(said) == 2
    for sentence, day in zip(said, (DAY, NEXT), strict=True):
        assert sentence.startswith(f"{day}: its stage samples was made from another ")


def test_a_backfill_that_has_not_ended_is_named(store):
    for day, still in ((DAY, True), (NEXT, False)):
        store.put(f"{backfill.NOTES}/{day}.json", json.dumps({"open": still}))
    (said,) = afterwards.behind(store)
    assert said.startswith(f"{DAY}: its backfill has not ended.")


def test_a_backfill_whose_raw_days_are_gone_cannot_go_on(store):
    store.put(f"{backfill.NOTES}/{DAY}.json", json.dumps({"open": True, "last": str(NEXT)}))
    store.partition("raw", NEXT, "behaviors").remove()
    (said,) = afterwards.behind(store)
    assert f"cannot go on, since raw/dt={NEXT}/behaviors is not there. Bring it back; or" in said
    assert said.endswith(f"remove {store.address(backfill.NOTES)}/{DAY}.json.")


@pytest.mark.parametrize("left", [".{day}.json.2f11ba69", ".{day}.json", "{day}.json.partial"])
def test_what_a_killed_writer_left_beside_the_notes_is_no_note(store, left):
    for name in (f"{DAY}.json", left.format(day=NEXT)):
        store.put(f"{backfill.NOTES}/{name}", json.dumps({"open": True}))
    assert backfill.unfinished(store) == {DAY: DAY}


def test_no_manifest_is_read_twice_to_say_which_days_are_behind(store, monkeypatch):
    read, plain = Counter(), Partition.manifest

    def counted(partition):
        read[partition.key] += 1
        return plain(partition)

    monkeypatch.setattr(Partition, "manifest", counted)
    assert afterwards.sentences(store) == []
    assert set(read.values()) == {1}


def test_a_manifest_that_is_spoilt_is_told_once_and_hides_no_other_day(store):
    events(store, NEXT, 2)
    store.put(f"events/dt={DAY}/behaviors/_manifest.json", b"")
    publish(store, NEXT, "raw", "behaviors", 1)
    publish(store, NEXT, "events", "behaviors", 2, raw={"behaviors": "another"})
    spoilt, again, stale = afterwards.sentences(store)
    assert spoilt.startswith(f"events/dt={DAY}/behaviors/_manifest.json cannot be read")
    assert again == f"{NEXT}: `dupn backfill --day {NEXT}` takes it in."
    assert stale.startswith(f"{NEXT}: its stage sequences was made from another ")
