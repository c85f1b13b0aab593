"""What tasks of a night do beside their step: whose settings, and which failures are final."""

import shutil
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowSkipException,
    DagRunTriggerException,
)

from dags import callbacks, nightly_stages, running, stages
from evaluation import filed
from evaluation.abtest.experiment import Recipe
from infra.errors import QualityFailed, RegistryUnavailable, StoreError
from pipeline import steps
from pipeline.learn import recipes
from pipeline.nights import nightly
from pipeline.quality import judged
from tests.evaluation.marketplace.test_own import import_day

NIGHT = "2026-03-13"


@pytest.fixture
def night(monkeypatch, tmp_path):
    """A night whose Params are these; the settings that `update` was given, and its day."""
    given: list[tuple[object, date]] = []
    params = {"preset": "smoke", "overrides": "", "day": NIGHT, "leave_out": False}
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    for module in (running, nightly_stages):
        monkeypatch.setattr(module, "get_current_context", lambda: {"params": params})
    monkeypatch.setattr(
        steps, "update", lambda mine, day: given.append((mine, day)) or {"run": "r"}
    )
    return params, given


def facts_of(line):
    """An entry of the ledger by which the line is champion."""
    return SimpleNamespace(facts={"line": line})


def in_production(monkeypatch, line):
    champion = SimpleNamespace(tags={"line": line})
    registry = SimpleNamespace(
        champion=lambda: champion, challenger=lambda: None, look=lambda: [facts_of(line)]
    )
    monkeypatch.setattr(recipes, "registry_of", lambda _: registry)


@pytest.mark.parametrize(("line", "epochs"), [("dupn", 9), ("wide", 1)])
def test_a_line_is_updated_with_its_own_recipe_and_no_others(night, monkeypatch, line, epochs):
    theirs = {"dupn": Recipe(settings=("train.epochs=9",))}
    monkeypatch.setattr(recipes, "declared", lambda _, name: theirs.get(name))
    in_production(monkeypatch, line)
    nightly_stages.update.function()
    [(mine, day)] = night[1]
    assert (mine.line, mine.train.epochs, day.isoformat()) == (line, epochs, NIGHT)


def test_quality_stops_a_night_unless_its_day_is_left_out_which_somebody_is_told(
    night, monkeypatch
):
    params, told = night[0], []

    def fail(*_):
        raise QualityFailed("too many rejects")

    monkeypatch.setattr(steps, "quality", fail)
    monkeypatch.setattr(callbacks, "tell", lambda *words: told.append(words[2]))
    with pytest.raises(AirflowFailException, match="QualityFailed: too many rejects"):
        nightly_stages.quality.function()
    assert told == []
    params["leave_out"] = True
    nightly_stages.quality.function()
    assert told == ["too many rejects"]


def test_events_that_are_cleared_alone_leave_a_day_that_was_built_on_as_it_is(night, monkeypatch):
    params, _ = night
    params |= {"dataset": "rees46", "approval": False}
    context = {"params": params, "dag_run": SimpleNamespace(run_id="failed, and cleared")}
    monkeypatch.setattr(nightly_stages, "get_current_context", lambda: context)
    settings, day = running.plain({"params": params}), date.fromisoformat(NIGHT)
    for one in (day - timedelta(days=1), day):
        with settings.store.partition("samples", one).publish() as out:
            out.record([out.write_bytes("part", b"")])
    done = []
    monkeypatch.setattr(steps, "events", lambda *_, **__: done.append(NIGHT) or {})
    nightly_stages.events.function()
    assert done == [NIGHT]
    nightly.end(settings, day, "failed, and cleared", "left out")
    nightly.begin(settings, day + timedelta(days=1), "the next")
    with pytest.raises(AirflowFailException, match=f"dupn backfill --day {NIGHT}"):
        nightly_stages.events.function()
    assert done == [NIGHT]


def test_a_night_that_waits_goes_on_with_what_it_was_triggered_with(night, monkeypatch, seen):
    """Also if its run was deleted meanwhile: it is made again, of what the record holds."""
    params, _ = night
    params |= {"dataset": "rees46", "approval": True, "leave_out": True}
    context = {"params": params, "dag_run": SimpleNamespace(run_id="it waits")}
    monkeypatch.setattr(nightly_stages, "get_current_context", lambda: context)
    settings, eve = running.plain(context), date.fromisoformat(NIGHT) - timedelta(days=1)
    for one in (eve - timedelta(days=1), eve):
        with settings.store.partition("samples", one).publish() as out:
            out.record([out.write_bytes("part", b"")])
    nightly.begin(settings, eve, "the eve")
    with pytest.raises(AirflowFailException, match="has not ended"):
        nightly_stages.events.function()
    monkeypatch.setattr(nightly_stages, "run", lambda *_, **__: {})
    run = SimpleNamespace(run_id="the eve", dag_id="dupn_nightly_update")
    eves = {"params": params | {"day": str(eve)}, "dag_run": run}
    for module in (running, nightly_stages):
        monkeypatch.setattr(module, "get_current_context", lambda: eves)
    with pytest.raises(DagRunTriggerException) as again:
        nightly_stages.onward.function()
    assert again.value.dag_run_id == "it waits"
    assert again.value.conf == params
    assert set(params) == set(seen["dags"]["dupn_nightly_update"]["params"])


def test_a_night_of_a_line_that_no_night_updates_is_refused_before_it_begins(night, monkeypatch):
    params, _ = night
    params |= {"dataset": "rees46", "approval": False, "overrides": "line=other"}
    context = {"params": params, "dag_run": SimpleNamespace(run_id="r")}
    monkeypatch.setattr(nightly_stages, "get_current_context", lambda: context)
    in_production(monkeypatch, "dupn")
    with pytest.raises(AirflowFailException, match=r"neither the champion's line \(dupn\)"):
        nightly_stages.events.function()
    assert nightly.read(running.plain(context), date.fromisoformat(NIGHT)) is None


def test_a_day_that_is_left_out_is_noted_for_the_nights_after_and_taken_in_again(
    night, monkeypatch
):
    params, given = night
    in_production(monkeypatch, "dupn")
    store, day = running.plain({"params": params}).store, date.fromisoformat(NIGHT)
    params["leave_out"] = True
    assert nightly_stages.update.function() == ""
    assert judged.objections(store, day) == judged.LEFT_OUT
    params["leave_out"] = False
    assert nightly_stages.update.function() == "r"
    assert judged.objections(store, day) != judged.LEFT_OUT
    assert len(given) == 1


def test_an_update_tells_of_odd_days_and_of_days_whose_samples_are_gone(night, monkeypatch):
    in_production(monkeypatch, "dupn")
    learnt, told = {"run": "r", "abnormal": "three times the volume", "lost": "gone."}, []
    monkeypatch.setattr(steps, "update", lambda *_: learnt)
    monkeypatch.setattr(callbacks, "tell", lambda *words: told.append((words[0], words[2])))
    assert nightly_stages.update.function() == "r"
    assert told == [("abnormal", "three times the volume"), ("quality", "gone.")]


def test_the_tasks_simulate_nothing_beside_a_day_that_somebody_sent(night, monkeypatch, tmp_path):
    params, day = night[0], date.fromisoformat(NIGHT)
    store = running.plain({"params": params}).store
    in_production(monkeypatch, "dupn")
    monkeypatch.setattr(stages, "get_current_context", lambda: {"params": params})
    import_day(store, day - timedelta(days=1), tmp_path)
    with pytest.raises(AirflowSkipException, match="follows a day that somebody sent"):
        nightly_stages.simulate.function()
    params |= {"first_day": NIGHT, "days": 1}
    with pytest.raises(AirflowSkipException, match="those of a real log"):
        stages.simulate.function()
    assert store.dates("raw") == [day - timedelta(days=1)]


@pytest.fixture
def waiting(night, monkeypatch):
    """The run of a night whose raw data is not there; a test says since when it waits."""
    params, day = night[0] | {"dataset": "rees46", "approval": False}, date.fromisoformat(NIGHT)
    run = SimpleNamespace(run_id="r", start_date=None)
    for module in (running, nightly_stages):
        monkeypatch.setattr(
            module, "get_current_context", lambda: {"params": params, "dag_run": run}
        )
    store = running.plain({"params": params}).store
    with store.partition("samples", day - timedelta(days=1)).publish() as out:
        out.record([out.write_bytes("part", b"")])
    return run


def test_a_night_that_waits_for_raw_data_logs_at_each_look_for_what(waiting, caplog):
    with caplog.at_level("INFO", nightly_stages.logger.name):
        assert not nightly_stages.raw.function().is_done
    assert f"raw/dt={NIGHT}: behaviors not there. So far: nothing." in caplog.messages


def test_a_late_night_tells_at_each_look_until_somebody_is_reached(waiting, monkeypatch):
    waiting.start_date = datetime.now(UTC) - timedelta(hours=7)
    told, reached = [], iter([False, True])
    monkeypatch.setattr(callbacks, "tell", lambda kind, *_: told.append(kind) or next(reached))
    for _ in range(3):
        nightly_stages.raw.function()
    assert told == ["late", "late"]


class Kept(dict):
    """What Airflow keeps for a task."""

    set = dict.__setitem__


@pytest.fixture
def silent(waiting, monkeypatch, tmp_path):
    """The same, in a store that does not answer; a test says how often it was looked at."""
    (tmp_path / "reports").write_text("where its folder should be")
    context = {
        "params": running.get_current_context()["params"], "dag_run": waiting,
        "task_reschedule_count": 0, "task_state_store": Kept(),
    }  # fmt: skip
    for module in (running, nightly_stages):
        monkeypatch.setattr(module, "get_current_context", lambda: context)
    return context


@pytest.fixture
def told_at(silent, waiting, monkeypatch, tmp_path):
    """Look every so many minutes; the looks at which somebody was told that it was in vain."""
    told, reports, begun = [], tmp_path / "reports", datetime.now(UTC)
    waiting.start_date = begun

    def look(in_vain, minutes=20, reached=lambda number: True):
        def tell(_, title, __):
            assert title == f"nobody can look for the raw data of {NIGHT}"
            told.append(silent["task_reschedule_count"])
            return reached(told[-1])

        monkeypatch.setattr(callbacks, "tell", tell)
        for number in range(max(in_vain) + 1):
            now = begun + timedelta(minutes=minutes * number)
            monkeypatch.setattr(nightly_stages.timezone, "utcnow", lambda now=now: now)
            silent["task_reschedule_count"] = number
            shutil.rmtree(reports) if reports.is_dir() else reports.unlink()
            if number in in_vain:
                reports.write_text("where its folder should be")
            assert not nightly_stages.raw.function().is_done
        return told

    return look


def test_a_look_that_the_store_does_not_answer_is_no_failed_try(silent, caplog):
    assert not nightly_stages.raw.function().is_done
    assert "night.json could not be written" in caplog.text


def test_nor_is_one_that_a_disk_of_the_network_does_not_answer(silent, tmp_path):
    (tmp_path / "reports").unlink()
    (tmp_path / f"{filed.nightly('dupn')}/dt={NIGHT}/night.json").mkdir(parents=True)  # an OSError
    assert not nightly_stages.raw.function().is_done


def test_a_registry_that_does_not_answer_is_waited_for(silent, monkeypatch):
    def asleep(_):
        raise RegistryUnavailable("asleep")

    monkeypatch.setattr(recipes, "registry_of", asleep)
    silent["params"]["overrides"] = "line=dupn"
    assert not nightly_stages.raw.function().is_done


@pytest.mark.parametrize("since", [0, 5])
def test_of_a_silent_store_somebody_is_told_soon_and_past_the_deadline_once_an_hour(told_at, since):
    assert told_at(range(since, 30)) == [since + 2, 18, 21, 24, 27]  # 6, 7, 8 and 9 hours


def test_who_was_not_reached_is_told_at_the_next_look(told_at):
    assert told_at(range(12), reached=lambda number: number >= 4) == [2, 3, 4]


def test_of_a_store_that_falls_silent_again_and_again_somebody_is_told_once_an_hour(told_at):
    assert told_at([look for look in range(20) if look % 4 != 3], minutes=5) == [2, 14]


def test_two_looks_in_vain_are_told_to_nobody(told_at):
    assert told_at([0, 1, 3, 4, 6, 7]) == []


@pytest.mark.usefixtures("silent")
def test_airflow_keeps_from_look_to_look_how_many_were_in_vain(in_airflow, hook, tmp_path):
    where = {"DUPN_HOME": str(tmp_path), "DUPN_ALERT_WEBHOOK": hook[0]}
    assert in_airflow("silent_looks.py", NIGHT, 4, **where) == ["up_for_reschedule"] * 4
    assert [told["title"] for told in hook[1]] == [f"nobody can look for the raw data of {NIGHT}"]


def test_a_night_gives_a_silent_store_up_after_the_hours_that_are_set(silent, waiting):
    waiting.start_date = datetime.now(UTC) - timedelta(hours=48)
    with pytest.raises(StoreError, match=r"night\.json could not be written"):
        nightly_stages.raw.function()


def test_a_record_that_cannot_be_read_fails_at_once(waiting, tmp_path):
    record = tmp_path / f"{filed.nightly('dupn')}/dt={NIGHT}/night.json"
    record.parent.mkdir(parents=True)
    record.write_text("{")
    with pytest.raises(AirflowFailException, match="RecordCorrupt"):
        nightly_stages.raw.function()


def test_a_release_that_failed_is_a_persons_and_is_not_started_all_over():
    release = nightly_stages.release()
    with pytest.raises(AirflowFailException, match="Clear the task that failed there"):
        release.execute_complete({}, ("trigger", {"run_ids": ["r"], "r": "failed"}))
    release.execute_complete({}, ("trigger", {"run_ids": ["r"], "r": "success"}))


@pytest.mark.parametrize("line", ["dupn", "2026", "1e5", "true"])
def test_a_release_gets_the_line_of_its_candidate_whatever_it_is_called(night, line, seen):
    params, _ = night
    params |= {"dataset": "marketplace", "approval": False, "overrides": "train.epochs=9"}
    unpaused = SimpleNamespace(is_paused=False)
    instance = SimpleNamespace(
        xcom_pull=lambda task_ids: f"{line}-{NIGHT}", get_dag=lambda _: unpaused
    )
    context = {"params": params, "ti": instance, "run_id": "r"}
    with pytest.raises(DagRunTriggerException) as triggered:
        nightly_stages.release().execute(context)
    assert set(triggered.value.conf) == set(seen["dags"]["dupn_release"]["params"])
    theirs = running.plain({"params": triggered.value.conf})
    assert (theirs.line, theirs.train.epochs) == (line, 9)


def test_a_release_without_a_candidate_says_what_to_clear(night):
    params, _ = night
    instance = SimpleNamespace(xcom_pull=lambda task_ids: None)
    with pytest.raises(AirflowFailException, match=r"`rival` has left no run key, .* Clear it"):
        nightly_stages.release(learner="rival").execute({"params": params, "ti": instance})
