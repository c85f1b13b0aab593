import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psutil
import pyarrow as pa
import pytest

from infra import processes
from infra.errors import OutOfTurn, PartitionMissing
from pipeline import steps
from pipeline.nights import nightly, workers
from pipeline.nights.config import NightlyConfig
from pipeline.nights.nightly import State
from pipeline.release import standing
from pipeline.settings import load
from tests import first_night
from tests.first_night import DAY, ONE, published


@pytest.fixture
def settings(tmp_path):
    return first_night.home(tmp_path)


def ended(settings, day, run="r"):
    nightly.begin(settings, day, run)
    published(settings, day)
    nightly.end(settings, day, run, "promote")


def test_the_first_night_follows_the_initial_training(settings):
    nightly.begin(settings, DAY, "r1")
    assert nightly.read(settings, DAY).state is State.BEGUN


def test_without_a_day_before_there_is_nothing_to_go_on_from(tmp_path):
    with pytest.raises(OutOfTurn, match="dupn_initial_train"):
        nightly.begin(load("smoke", str(tmp_path)), DAY, "r1")


def test_a_night_does_not_overtake_one_that_has_begun(settings):
    nightly.begin(settings, DAY, "r1")
    published(settings, DAY)
    with pytest.raises(OutOfTurn, match=r"the night of 2026-03-13 has not ended \(begun since"):
        nightly.begin(settings, DAY + ONE, "r2")
    assert nightly.waiting(settings, DAY).run == "r2"
    nightly.end(settings, DAY, "r1", "promote")
    nightly.begin(settings, DAY + ONE, "r2")
    assert nightly.waiting(settings, DAY) is None


def test_nights_that_wait_go_on_oldest_first(settings):
    nightly.begin(settings, DAY, "r1")
    for back in (3, 2, 1):  # started in the wrong order
        with pytest.raises(OutOfTurn):
            nightly.begin(settings, DAY + back * ONE, f"w{back}")
    published(settings, DAY)
    nightly.end(settings, DAY, "r1", "promote")
    with pytest.raises(OutOfTurn):
        nightly.begin(settings, DAY + 2 * ONE, "w2")
    for back in (1, 2, 3):
        assert nightly.waiting(settings, DAY + (back - 1) * ONE).run == f"w{back}"
        ended(settings, DAY + back * ONE, f"w{back}")


def test_behind_nights_that_wait_the_one_to_mend_is_named(settings):
    nightly.begin(settings, DAY, "r1")  # its quality fails
    for back in (1, 2, 3):
        with pytest.raises(OutOfTurn, match=f"night of {DAY} .*begun .*r1.* Mend it") as told:
            nightly.begin(settings, DAY + back * ONE, f"w{back}")
        assert "dupn run nightly" not in str(told.value)


def test_a_command_is_offered_for_the_night_that_may_begin(settings):
    nightly.begin(settings, DAY, "r1")
    for back in (1, 2):
        with pytest.raises(OutOfTurn):
            nightly.begin(settings, DAY + back * ONE, f"w{back}")
    published(settings, DAY)
    nightly.end(settings, DAY, "r1", "promote")
    with pytest.raises(OutOfTurn, match=f"dupn run nightly --day {DAY + ONE}`"):
        nightly.begin(settings, DAY + 3 * ONE, "w3")
    nightly.begin(settings, DAY + ONE, "command:1")


def test_of_those_that_wait_for_one_night_the_last_goes_on(settings):
    nightly.begin(settings, DAY, "r1")
    for run, out in (("scheduled", False), ("by hand", True)):
        with pytest.raises(OutOfTurn, match="this one goes on after it"):
            nightly.begin(settings, DAY + ONE, run, {"leave_out": out})
    published(settings, DAY)
    nightly.end(settings, DAY, "r1", "promote")
    found = nightly.waiting(settings, DAY)
    assert (found.run, found.conf) == ("by hand", {"leave_out": True})


def test_a_day_that_was_mistyped_waits_for_nothing(settings):
    with pytest.raises(OutOfTurn):
        nightly.begin(settings, DAY.replace(year=2027), "r1")
    assert standing.nights(settings, settings.store)["nights that have not ended"] == "none"


def test_nights_that_were_refused_before_the_training_stand_in_nobodys_way(settings):
    home = settings.model_copy(update={"home": f"{settings.home}/empty"})
    for day in (DAY - 2 * ONE, DAY - ONE):
        with pytest.raises(OutOfTurn, match="Train first"):
            nightly.begin(home, day, f"scheduled {day}")
        assert nightly.read(home, day) is None
    published(home, DAY - 3 * ONE)
    with pytest.raises(OutOfTurn, match=f"samples/dt={DAY - 2 * ONE} is not published"):
        nightly.begin(home, DAY - ONE, "too early")
    with pytest.raises(OutOfTurn, match=f"run the night of {DAY - 2 * ONE} first"):
        nightly.begin(home, DAY, "earlier still")  # not the one that waits: that may not begin
    for day in (DAY - 2 * ONE, DAY - ONE):  # the initial training, after all
        published(home, day)
    nightly.begin(home, DAY, "r1")
    assert nightly.read(home, DAY).state is State.BEGUN


def test_no_day_is_left_out(settings):
    with pytest.raises(OutOfTurn, match="run the night of 2026-03-13 first"):
        nightly.begin(settings, DAY + 3 * ONE, "r1")


def test_a_night_may_be_repeated_until_the_next_has_begun(settings):
    ended(settings, DAY)
    nightly.begin(settings, DAY, "again")
    nightly.end(settings, DAY, "again", "promote")
    nightly.begin(settings, DAY + ONE, "r2")
    with pytest.raises(OutOfTurn, match="dupn backfill --day 2026-03-13"):
        nightly.begin(settings, DAY, "again")


def test_a_night_whose_day_was_built_on_waits_for_nothing(settings):
    published(settings, DAY)  # by the initial training
    nightly.begin(settings, DAY + ONE, "r2")
    with pytest.raises(OutOfTurn, match=f"dupn backfill --day {DAY}"):
        nightly.begin(settings, DAY, "mistyped")
    assert nightly.read(settings, DAY) is None


def test_another_run_may_take_a_failed_night_over(settings):
    nightly.begin(settings, DAY, "r1", {"leave_out": False})
    nightly.begin(settings, DAY, "by hand", {"leave_out": True})
    assert nightly.read(settings, DAY).run == "by hand"


def test_of_commands_that_begin_at_once_one_works(settings):
    def begins(number):
        try:
            nightly.begin(settings, DAY, elsewhere(number))
        except OutOfTurn:
            return 0
        return 1

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(begins, range(8))) == 1


def begun_by_the_dead(home):
    settings = first_night.home(home)
    nightly.begin(settings, DAY, f"dupn, process 4194305 on {socket.gethostname()} since 5")
    return settings


def test_of_two_that_take_a_night_over_at_once_one_works(tmp_path, monkeypatch):
    settings, at_work = begun_by_the_dead(tmp_path), nightly._at_work

    def slowly(holder, asking):
        """The second one takes the night while the first still looks at who holds it."""
        if asking == elsewhere(1):
            nightly.begin(settings, DAY, elsewhere(2))
        return at_work(holder, asking)

    monkeypatch.setattr(nightly, "_at_work", slowly)
    with pytest.raises(OutOfTurn, match="at the same moment by"):
        nightly.begin(settings, DAY, elsewhere(1))
    assert nightly.read(settings, DAY).run == elsewhere(2)


def test_who_claimed_a_night_and_died_before_its_record_is_taken_over(tmp_path):
    settings = begun_by_the_dead(tmp_path)
    gone = f"dupn, process 4194306 on {socket.gethostname()} since 5"
    settings.store.put_new(nightly._turn(settings, DAY, 1), gone)
    nightly.begin(settings, DAY, workers.this())
    assert nightly.read(settings, DAY).run == workers.this()


def test_who_was_killed_before_the_record_of_an_ended_night_holds_it_when_tried_again(settings):
    ended(settings, DAY)
    settings.store.put_new(nightly._turn(settings, DAY, 1), "again")
    nightly.begin(settings, DAY, "again")
    with pytest.raises(OutOfTurn, match=r"2026-03-13 has not ended \(begun .*, again\)"):
        nightly.begin(settings, DAY + ONE, "next")
    nightly.end(settings, DAY, "again", "promote")
    nightly.begin(settings, DAY + ONE, "next")


def test_a_claim_on_a_night_holds_before_its_record_says_so(tmp_path):
    settings = begun_by_the_dead(tmp_path)
    settings.store.put_new(nightly._turn(settings, DAY, 1), elsewhere(1))
    with pytest.raises(OutOfTurn, match=r"on another-machine.*--day \S+ --take-over"):
        nightly.begin(settings, DAY, workers.this())
    nightly.begin(settings, DAY, workers.this(), take_over=True)
    with pytest.raises(OutOfTurn, match="process 1 on another-machine"):
        nightly.end(settings, DAY, elsewhere(1), "promote")
    assert nightly.end(settings, DAY, workers.this(), "promote").state is State.ENDED


def test_who_lost_a_night_does_not_end_it_or_say_how_it_ended(settings):
    nightly.begin(settings, DAY, "r1")
    nightly.begin(settings, DAY, elsewhere(2), take_over=True)
    with pytest.raises(OutOfTurn, match=r"was taken over .*process 2 on another-machine"):
        nightly.end(settings, DAY, "r1", "promote")
    assert nightly.read(settings, DAY).state is State.BEGUN
    nightly.end(settings, DAY, elsewhere(2), "keep the champion")
    assert nightly.end(settings, DAY, "r1", "promote").outcome == "keep the champion"


def test_a_night_is_refused_while_its_process_lives_and_taken_over_when_it_is_dead(settings):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        since = processes.started(psutil.Process(other.pid))
        nightly.begin(
            settings, DAY, f"dupn, process {other.pid} on {socket.gethostname()} since {since}"
        )
        for run in (workers.this(), "dag run"):
            with pytest.raises(OutOfTurn, match=f"worked on since .* process {other.pid} on"):
                nightly.begin(settings, DAY, run)
    nightly.begin(settings, DAY, workers.this())
    assert nightly.read(settings, DAY).run == workers.this()


def test_a_command_takes_a_dag_runs_night_only_when_told_to(settings):
    nightly.begin(settings, DAY, "scheduled__1")
    with pytest.raises(OutOfTurn, match="--take-over"):
        nightly.begin(settings, DAY, workers.this())
    nightly.begin(settings, DAY, workers.this(), take_over=True)
    assert nightly.read(settings, DAY).run == workers.this()


def test_a_command_that_is_refused_waits_for_nothing(settings):
    for wrong in (DAY + 4 * ONE, DAY + 9 * ONE):
        with pytest.raises(OutOfTurn):
            nightly.begin(settings, wrong, workers.this())
        assert nightly.read(settings, wrong) is None
    ended(settings, DAY)
    nightly.begin(settings, DAY + ONE, workers.this())


def test_a_day_that_a_training_has_learnt_has_no_night(settings):
    eve = DAY - ONE
    published(settings, eve - ONE)
    run = f"{settings.line}-{eve}"
    with settings.store.partition("checkpoints", None, run, "final").publish(
        days=[eve.isoformat()]
    ) as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])
    with pytest.raises(OutOfTurn, match=rf"{run} has learnt {eve} already.*dupn backfill --day"):
        nightly.begin(settings, eve, "r1")
    assert nightly.read(settings, eve) is None
    nightly.begin(settings, DAY, "r1")


def elsewhere(number):
    return f"dupn, process {number} on another-machine since 5"


def test_a_day_that_a_training_has_learnt_has_no_night_though_one_waited(settings):
    with pytest.raises(OutOfTurn, match="is not published"):
        nightly.begin(settings, DAY + ONE, "too early")
    run = f"{settings.line}-{DAY + ONE}"
    with settings.store.partition("checkpoints", None, run, "final").publish(
        days=[(DAY + ONE).isoformat()]
    ) as out:
        out.record([out.write_bytes("x", b"")])
    published(settings, DAY)
    with pytest.raises(OutOfTurn, match="in a training that was no night"):
        nightly.begin(settings, DAY + ONE, "too early")


def test_lateness_is_told_once_a_run(settings):
    told = []

    def look(run, *, reached=True):
        nightly.begin(settings, DAY, run)  # as the sensor does at each look
        nightly.tell_late(settings, DAY, lambda: told.append((run, reached)) or reached)

    for _ in range(3):
        look("r1", reached=len(told) > 0)
    assert told == [("r1", False), ("r1", True)]
    look("r2")
    assert told[2:] == [("r2", True)]


def test_a_night_waits_is_late_and_gives_up(settings):
    hours = [timedelta(hours=h) for h in (1, 7, 50)]
    assert not nightly.look(settings, DAY, hours[0]).late
    late = nightly.look(settings, DAY, hours[1])
    assert late.late
    assert not late.ready
    assert "behaviors not there" in late.sentence
    with pytest.raises(PartitionMissing, match="gave up after 48 h"):
        nightly.look(settings, DAY, hours[2])
    published(settings, DAY, "raw", "behaviors")
    assert nightly.look(settings, DAY, hours[2]).ready


def test_files_that_may_grow_are_not_read_before_their_day_is_over(settings, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 3, 13, 23, 30, tzinfo=UTC).astimezone(tz)

    settings.store.put(f"raw/dt={DAY}/behaviors/a.csv", "x")
    quick = settings.model_copy(update={"nightly": NightlyConfig(settle_minutes=0)})
    assert nightly.look(quick, DAY, timedelta()).ready
    monkeypatch.setattr(nightly, "datetime", Clock)
    seen = nightly.look(quick, DAY, timedelta())
    assert (seen.ready, seen.sentence) == (False, "2026-03-13 is not over in UTC.")
    asked = steps.raw(quick, DAY)  # `dupn raw` says what a night would
    assert (asked["complete"], asked["sentence"]) == (False, seen.sentence)
    settings.store.put(f"raw/dt={DAY}/behaviors/_SUCCESS", "")
    assert nightly.look(quick, DAY, timedelta()).ready  # whoever says so knows
    assert steps.raw(quick, DAY)["complete"]


def test_the_marketplace_is_not_waited_for(settings):
    simulated = load("smoke", settings.home)
    published(settings, DAY - ONE, "truth", "state")
    assert not nightly.look(simulated, DAY, timedelta()).ready  # cut off before its behaviours
    mine = {"dataset": "marketplace", "seed": 1, "config": ""}
    published(settings, DAY - ONE, "raw", "behaviors", **mine)
    assert nightly.look(simulated, DAY, timedelta()).ready
    assert steps.raw(simulated, DAY)["complete"]
