"""Which errors a task may be tried again for, and which need a person."""

import sys
from datetime import UTC, date, datetime, time, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog import tracebacks

from dags import running, schedule, study_stages
from dags.running import front_door
from infra import errors


@pytest.mark.parametrize(
    "kind", [errors.RegistryUnavailable, errors.OrchestrationError, errors.StoreError]
)
def test_what_may_mend_itself_is_tried_again(kind):
    with pytest.raises(kind, match="asleep"), front_door():
        raise kind("asleep")


@pytest.mark.parametrize(
    "kind",
    [
        errors.ConfigError,
        errors.PartitionMissing,
        errors.PartitionCorrupt,
        errors.QualityFailed,
        errors.RegistryError,
    ],
)
def test_what_needs_a_person_fails_at_once_with_its_sentence(kind):
    with pytest.raises(AirflowFailException, match=f"{kind.__name__}: mend it"), front_door():
        raise kind("mend it")


def test_the_log_of_a_failed_task_tells_the_sentence_once_and_first():
    with pytest.raises(AirflowFailException) as told, front_door():
        raise errors.ConfigError("mend it") from KeyError("x")
    entry = tracebacks.ExceptionDictTransformer()((told.type, told.value, told.tb))
    assert [one["exc_value"] for one in entry] == ["ConfigError: mend it"]


def test_a_fault_of_ours_is_tried_again_as_it_is():
    with pytest.raises(ZeroDivisionError), front_door():
        raise ZeroDivisionError


@pytest.fixture
def scheduled(monkeypatch, tmp_path):
    """A scheduled run on a worker that was told nothing; it brings no Params along."""
    run = SimpleNamespace(run_type="scheduled", conf={}, partition_key=None)
    params = {"dataset": "marketplace", "preset": "smoke", "overrides": ""}
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    for name in ("DATASET", "PRESET"):
        monkeypatch.delenv(f"DUPN_NIGHTLY_{name}", raising=False)
    context = {"dag_run": run, "params": params}
    monkeypatch.setattr(running, "get_current_context", lambda: context)
    return run


def test_a_scheduled_night_does_not_run_with_defaults_on_a_worker_without_the_variables(
    scheduled, monkeypatch
):
    both = "DUPN_NIGHTLY_DATASET and DUPN_NIGHTLY_PRESET are not set"
    with pytest.raises(AirflowFailException, match=both):
        running.settings()
    monkeypatch.setenv("DUPN_NIGHTLY_DATASET", "marketplace")
    with pytest.raises(AirflowFailException, match="runs DUPN_NIGHTLY_PRESET is not set"):
        running.settings()
    monkeypatch.setenv("DUPN_NIGHTLY_PRESET", "smoke")
    assert running.settings().dataset == "marketplace"


@pytest.mark.parametrize("kind", ["manual", "backfill"])
def test_a_run_that_says_what_it_works_with_needs_no_variables(scheduled, kind):
    scheduled.run_type, scheduled.conf = kind, {"dataset": "marketplace", "preset": "smoke"}
    running.get_current_context()["dag"] = SimpleNamespace(params=scheduled.conf)
    assert running.settings().line == "dupn"


DAY = date(2026, 3, 28)


@pytest.fixture
def night(scheduled, monkeypatch, tmp_path):
    """A scheduled run of a data set in a zone, as a schedule in another or the same dates it."""

    def of(zone, schedule_zone, kind="scheduled"):
        toml = tmp_path / "mine.toml"
        toml.write_text(f'name = "mine"\ntime_zone = "{zone}"\n')
        for name, value in (("DATASET", str(toml)), ("PRESET", "smoke")):
            monkeypatch.setenv(f"DUPN_NIGHTLY_{name}", value)
        monkeypatch.setattr(schedule, "ZONE", schedule_zone)
        scheduled.run_type = kind
        start = datetime.combine(DAY, time(14), ZoneInfo(schedule_zone)).astimezone(UTC)
        params = {"dataset": str(toml), "preset": "smoke", "overrides": ""}
        context = {"dag_run": scheduled, "params": params, "data_interval_start": start}
        context["data_interval_end"] = start + timedelta(hours=12)
        monkeypatch.setattr(running, "get_current_context", lambda: context)
        return running.day

    return of


@pytest.mark.parametrize("kind", ["scheduled", "backfill"])
@pytest.mark.parametrize("zone", ["Australia/Sydney", "Australia/Adelaide", "Europe/London"])
def test_a_night_by_another_clock_than_that_of_its_data_fails_at_once(night, zone, kind):
    said = f"by the clock of UTC, .* of {zone}: .* Set DUPN_NIGHTLY_ZONE to {zone}"
    with pytest.raises(AirflowFailException, match=said):
        night(zone, "UTC", kind)()


@pytest.mark.parametrize(
    ("zone", "schedule_zone"),
    [("Australia/Sydney", "Australia/Sydney"), ("Asia/Kolkata", "Asia/Calcutta"), ("UTC", "UTC")],
)
def test_one_by_the_same_clock_is_of_its_day_whatever_it_is_called(night, zone, schedule_zone):
    assert night(zone, schedule_zone)() == DAY


def test_a_night_that_is_triggered_by_hand_has_no_schedule(night):
    ask = night("Australia/Sydney", "UTC", "manual")
    running.get_current_context()["params"]["day"] = str(DAY)
    assert ask() == DAY


@pytest.mark.parametrize("pair", ["beam.runner=PortableRunner", "tracking.uri=http://elsewhere"])
@pytest.mark.parametrize("of", [running.settings, study_stages._study])
def test_whoever_triggers_a_dag_cannot_say_what_its_workers_run_or_whom_they_talk_to(
    scheduled, monkeypatch, pair, of
):
    params = {"preset": "smoke", "overrides": f"seed=3\n{pair}", "study": "multitask", "seeds": 1}
    scheduled.run_type = "manual"
    monkeypatch.setattr(study_stages, "get_current_context", lambda: {"params": params})
    context = {"dag_run": scheduled, "params": params}
    monkeypatch.setattr(running, "get_current_context", lambda: context)
    name = pair.partition("=")[0]
    with pytest.raises(AirflowFailException, match=f"ConfigError: the form sets {name}, which no"):
        of()


def test_a_study_says_first_which_package_its_last_cells_lack(scheduled, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim", None)  # as if it were not installed
    params = {"preset": None, "overrides": "", "study": "table2", "seeds": 1, "quick": True}
    scheduled.run_type = "manual"
    context = {"dag_run": scheduled, "params": params}
    for module in (running, study_stages):
        monkeypatch.setattr(module, "get_current_context", lambda: context)
    with pytest.raises(AirflowFailException, match="ConfigError: gensim is not installed"):
        study_stages.cells.function(0)
