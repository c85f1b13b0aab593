"""Several past days read again at once: each stage of a day once, and nobody is left of the old."""

import json

import pyarrow.compute as pc
import pytest

from infra.errors import ConfigError, PartitionMissing
from pipeline import steps
from pipeline.quality import judged
from pipeline.upkeep import afterwards, backfill
from tests import nights
from tests.nights import DAYS
from tests.pipeline.upkeep.test_backfill import MINE, killed_on, made

FIRST, LAST = MINE[1], MINE[2]


def forget(settings, user):
    """A shop takes a user out of the raw tables of the two newest days, as it corrects them."""
    for day in (FIRST, LAST):
        for name in settings.store.partition("raw", day).names():
            part = settings.store.partition("raw", day, name)
            rows = part.table()
            if "user_id" not in rows.column_names:
                continue
            kept = rows.filter(pc.fill_null(pc.not_equal(rows["user_id"], user), True))
            with part.publish(**part.manifest().lineage) as out:
                out.record([out.write_table("rows", kept)])


def often(settings):
    """The user who does most."""
    seen = settings.store.partition("events", LAST, "behaviors").table(["user_id"])["user_id"]
    counts = pc.value_counts(seen).to_pylist()
    return max(counts, key=lambda one: one["counts"])["values"]


@pytest.fixture
def home(whole, tmp_path):
    mine = made(whole, tmp_path)
    forget(mine, often(mine))
    return mine


def digests(settings):
    return nights.digests(settings.store, (FIRST, LAST))


@pytest.mark.drill
def test_every_stage_of_a_day_is_redone_once_and_the_days_are_those_of_one_by_one(
    home, whole, tmp_path
):
    said = steps.backfill(home, FIRST, LAST)
    assert len(said["redone"]) == len(set(said["redone"]))
    assert {f"events {FIRST}", f"events {LAST}"} <= set(said["redone"])
    assert (said["day"], said["last"]) == (str(FIRST), str(LAST))
    other = made(whole, tmp_path / "other")
    forget(other, often(other))
    for day in (LAST, FIRST):
        steps.backfill(other, day)
    assert digests(home) == digests(other)
    assert afterwards.behind(home.store) == []


def test_a_range_that_was_cut_off_goes_on_to_its_own_last_day(home, monkeypatch):
    undisturbed = backfill.plan(home, FIRST, LAST)
    monkeypatch.setattr(steps, "events", killed_on(LAST, steps.events))
    with pytest.raises(KeyboardInterrupt):
        steps.backfill(home, FIRST, LAST)
    monkeypatch.undo()
    (said,) = [one for one in afterwards.behind(home.store) if "has not ended" in one]
    assert f"`dupn backfill --day {FIRST}` goes on with it, to {LAST}." in said
    assert [one.stage for one in backfill.plan(home, FIRST)] == [one.stage for one in undisturbed]
    assert f"events {LAST}" in steps.backfill(home, FIRST)["redone"]
    assert backfill.unfinished(home.store) == {}


def test_one_that_was_cut_off_ends_with_a_range_that_reads_its_days_again(home, monkeypatch):
    monkeypatch.setattr(steps, "events", killed_on(LAST, steps.events))
    with pytest.raises(KeyboardInterrupt):
        steps.backfill(home, LAST)
    monkeypatch.undo()
    assert backfill.unfinished(home.store) == {LAST: LAST}
    steps.backfill(home, FIRST)  # which reads another day alone
    assert backfill.unfinished(home.store) == {LAST: LAST}
    judged.leave_out(home.store, LAST, out=True)
    key = f"{backfill.NOTES}/{LAST}.json"
    note = json.loads(home.store.get(key))
    home.store.put(key, json.dumps({**note, "left_out": [str(LAST)]}))  # which it would have let in
    assert steps.backfill(home, FIRST, LAST)["left out no more"] == [str(LAST)]
    assert backfill.unfinished(home.store) == {}


def test_one_that_is_begun_while_a_range_works_stays_its_own(home, monkeypatch):
    """The range tells of none that was begun or begun anew since it began itself."""
    events = steps.events

    def beside(settings, day):
        if day == LAST:
            monkeypatch.setattr(steps, "events", killed_on(LAST, events))
            with pytest.raises(KeyboardInterrupt):
                steps.backfill(settings, LAST)
        return events(settings, day)

    monkeypatch.setattr(steps, "events", killed_on(LAST, events))
    with pytest.raises(KeyboardInterrupt):
        steps.backfill(home, LAST)
    monkeypatch.setattr(steps, "events", beside)
    steps.backfill(home, FIRST, LAST)
    assert backfill.unfinished(home.store) == {LAST: LAST}


def test_a_range_is_refused_whole_where_a_day_has_no_raw_rows_or_the_days_are_turned_round(home):
    before = digests(home)
    with pytest.raises(PartitionMissing, match=f"raw/dt={DAYS[3]}/behaviors is not there"):
        steps.backfill(home, FIRST, DAYS[3])
    with pytest.raises(ConfigError, match="name the older day first"):
        steps.backfill(home, LAST, FIRST)
    assert digests(home) == before
    assert backfill.unfinished(home.store) == {}
