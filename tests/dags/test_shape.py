import tomllib
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.studies.studying import STUDIES

ROOT = Path(__file__).resolve().parents[2]

DATA = ["days", "events", "quality", "vocabulary", "statistics", "samples", "quality_samples"]
RELEASE = ["evaluate", "bundle", "gate", "canary", "register", "promote", "check"]
FLOW = [*DATA, "train", *RELEASE]


@pytest.fixture
def tasks(seen):
    return seen["dags"]["dupn_initial_train"]["tasks"]


def above(tasks, name):
    """Everything that must have ended before the task starts."""
    found = set(tasks[name]["upstream"])
    return found.union(*(above(tasks, one) for one in found))


def test_the_stages_follow_one_another_as_in_the_flow(tasks):
    for earlier, later in pairwise(FLOW):
        assert earlier in above(tasks, later), f"{later} does not wait for {earlier}"


def test_sequences_grow_beside_the_vocabulary_and_before_the_samples(tasks):
    assert "sequences" in above(tasks, "samples")
    assert "quality" in above(tasks, "sequences")
    assert "vocabulary" not in above(tasks, "sequences")


def test_there_is_no_other_task(tasks):
    assert set(tasks) == {*FLOW, "sequences", "import", "simulate"}


def test_events_and_what_checks_a_day_are_mapped_by_day(tasks):
    mapped = {name for name, task in tasks.items() if task["mapped"]}
    assert mapped == {"events", "quality", "quality_samples"}
    assert all("day" in tasks[name]["label"] for name in mapped)


def test_a_skipped_import_or_simulation_does_not_skip_the_run(tasks):
    assert tasks["days"]["trigger_rule"] == "none_failed"
    assert tasks["days"]["upstream"] == ["import", "simulate"]


HEAVY = {
    "dupn_initial_train": {"train", "evaluate", "bundle", "canary", "register", "check"},
    "dupn_nightly_update": {"update"},
    "dupn_release": {
        "evaluate", "bundle", "canary", "register", "check", "refresh", "represent", "watch",
    },
    "dupn_ab_test": {"rival"},
    "dupn_backfill": {"backfill"},
    "dupn_study": set(),
}  # fmt: skip
"""What waits for the one slot of `compute`; a study's cells share the cores that `data` has."""


def test_one_heavy_computation_at_a_time(seen):
    heavy = {
        dag: {name for name, task in found["tasks"].items() if task["pool"] == "compute"}
        for dag, found in seen["dags"].items()
    }
    assert heavy == HEAVY


@pytest.fixture
def night(seen):
    return seen["dags"]["dupn_nightly_update"]["tasks"]


@pytest.fixture
def released(seen):
    return seen["dags"]["dupn_release"]["tasks"]


@pytest.fixture
def looked(seen):
    return seen["dags"]["dupn_ab_test"]["tasks"]


def test_a_night_follows_the_flow_too(night):
    flow = ["raw", "simulate", *DATA[1:], "update", "release", "onward"]
    for earlier, later in pairwise(flow):
        assert earlier in above(night, later), f"{later} does not wait for {earlier}"
    assert set(night) == {*flow, "sequences", "abtest"}
    assert "vocabulary" not in above(night, "sequences")


def test_a_release_follows_the_flow_too(released):
    flow = [*RELEASE[:4], "approval", *RELEASE[4:], "refresh", "represent", "watch"]
    for earlier, later in pairwise(flow):
        assert earlier in above(released, later), f"{later} does not wait for {earlier}"
    assert set(released) == set(flow)


def test_a_kept_champion_is_watched_too_and_a_person_need_not_be_asked(released):
    assert released["register"]["trigger_rule"] == "none_failed_min_one_success"
    assert released["register"]["upstream"] == ["approval", "canary"]
    assert released["represent"]["trigger_rule"] == "none_failed"
    assert released["watch"]["trigger_rule"] == "none_failed"


def test_a_look_goes_from_the_declaration_to_the_rivals_release(looked):
    flow = ["start", "readout", "verdict", "report", "approval", "conclude", "rival", "release"]
    for earlier, later in pairwise(flow):
        assert earlier in above(looked, later), f"{later} does not wait for {earlier}"
    assert set(looked) == set(flow)


def test_nobody_need_be_asked_and_a_no_lets_the_experiment_go_on(looked):
    assert looked["conclude"]["trigger_rule"] == "none_failed_min_one_success"
    assert looked["conclude"]["upstream"] == ["approval", "report"]
    assert looked["rival"]["trigger_rule"] == "none_failed"
    assert looked["rival"]["pool"] == "compute"


def test_the_report_has_a_button(looked):
    assert looked["report"]["links"] == ["Report"]


def test_a_night_looks_at_the_experiment_after_its_release_and_waits_for_nothing(night):
    assert night["abtest"]["upstream"] == ["release"]
    assert night["abtest"]["trigger_rule"] == "none_failed"
    assert "abtest" not in above(night, "onward")  # whatever becomes of it, the next night begins


def test_waiting_takes_no_slot(night, looked):
    assert night["raw"]["mode"] == "reschedule"
    assert night["release"]["deferrable"]
    assert looked["release"]["deferrable"]


def test_what_only_a_trigger_starts_is_never_paused(seen, scheduled):
    for dags in (seen["dags"], scheduled["dags"]):
        paused = {name: dag["paused"] for name, dag in dags.items()}
        assert paused.pop("dupn_nightly_update") is None  # as Airflow has it, which is paused
        assert set(paused.values()) == {False}


def test_an_experiment_is_declared_in_a_form(seen):
    declaration = seen["dags"]["dupn_ab_test"]["params"]["declaration"]
    assert declaration["schema"]["format"] == "multiline"
    assert declaration["value"] == ""


def test_a_study_goes_stage_by_stage_with_a_mapped_task_for_every_cell(seen):
    study = seen["dags"]["dupn_study"]["tasks"]
    stages = [f"stage_{place}" for place in range(1, 5)]
    flow = [f"{word}_{place}" for place in range(1, 5) for word in ("cells", "stage")]
    for earlier, later in pairwise([*flow, "report"]):
        assert earlier in above(study, later), f"{later} does not wait for {earlier}"
    assert set(study) == {*flow, "report"}
    assert all(study[name]["mapped"] and "key" in study[name]["label"] for name in stages)
    assert all(study[name]["trigger_rule"] == "none_failed" for name in [*flow, "report"])
    assert {task["pool"] for task in study.values()} == {"data"}, "a cell has one thread"


def test_the_form_of_a_study_offers_all_studies(seen):
    params = seen["dags"]["dupn_study"]["params"]
    assert params["study"]["schema"]["enum"] == list(STUDIES)
    assert params["seeds"]["value"] == 5
    assert "dataset" not in params


DAILY = ["dupn_nightly_update", "dupn_release", "dupn_backfill", "dupn_ab_test"]


@pytest.mark.parametrize("name", DAILY)
def test_the_form_of_a_day_asks_for_the_day(seen, name):
    params = seen["dags"][name]["params"]
    assert params["day"]["schema"]["format"] == "date"
    assert {"dataset", "preset", "overrides"} <= set(params)


@pytest.mark.parametrize("name", ["dupn_release", "dupn_backfill"])
def test_a_trigger_that_forgets_the_day_is_refused(seen, name):
    assert "day" in seen["dags"][name]["bare"]
    assert seen["dags"][name]["params"]["day"]["value"] is None


def test_without_a_first_day_nothing_is_scheduled(seen):
    assert seen["dags"]["dupn_nightly_update"]["schedule"] is None


def test_every_data_day_has_its_run_oldest_first(scheduled):
    night = scheduled["dags"]["dupn_nightly_update"]
    assert night["catchup"]
    assert night["max_active_runs"] == 1
    # From the first day of data on; each run starts at 02:00 in the zone, on the day after. In
    # Berlin the clock goes forward on 29 March 2026 and back on 25 October: days of 23, 25 hours.
    assert night["first_runs"][:4] == [
        ["2026-03-27", "2026-03-28T01:00:00+00:00"],
        ["2026-03-28", "2026-03-29T01:00:00+00:00"],
        ["2026-03-29", "2026-03-30T00:00:00+00:00"],
        ["2026-03-30", "2026-03-31T00:00:00+00:00"],
    ]
    days = [date.fromisoformat(day) for day, _ in night["first_runs"]]
    assert [later - earlier for earlier, later in pairwise(days)] == [timedelta(1)] * 239


def test_nights_are_scheduled_in_the_zone_of_their_data_set(in_airflow, tmp_path):
    toml = tmp_path / "mine.toml"
    toml.write_text('name = "mine"\ntime_zone = "Australia/Sydney"\n')
    said = {"DUPN_NIGHTLY_START": "2026-04-04", "DUPN_NIGHTLY_DATASET": str(toml)}
    night = in_airflow("describe.py", ROOT / "dags", **said)["dags"]["dupn_nightly_update"]
    assert night["first_runs"][:3] == [  # the clock goes back on 5 April, and shows 02:00 twice
        ["2026-04-04", "2026-04-04T16:00:00+00:00"],
        ["2026-04-05", "2026-04-05T16:00:00+00:00"],
        ["2026-04-06", "2026-04-06T16:00:00+00:00"],
    ]


def test_the_environment_says_what_a_scheduled_night_works_with(scheduled):
    params = scheduled["dags"]["dupn_nightly_update"]["params"]
    assert params["dataset"]["value"] == "mylog.toml"
    assert params["preset"]["value"] == "smoke"


def test_every_form_says_at_first_what_the_environment_does(scheduled):
    for name in (*DAILY, "dupn_initial_train"):
        params = scheduled["dags"][name]["params"]
        assert (params["dataset"]["value"], params["preset"]["value"]) == ("mylog.toml", "smoke")


def test_the_form_offers_what_is_there(seen):
    params = seen["dags"]["dupn_initial_train"]["params"]
    for name, folder in (("dataset", "datasets"), ("preset", "presets")):
        files = sorted(path.stem for path in (ROOT / "infra" / folder).glob("*.toml"))
        assert params[name]["schema"]["examples"] == files
        assert params[name]["value"] in files
    assert date.fromisoformat(params["first_day"]["value"])
    assert params["days"]["value"] == 10
    assert (params["files"]["value"], params["replace"]["value"]) == ([], False)
    assert params["replace"]["schema"]["type"] == "boolean"


def test_a_field_of_the_form_that_may_be_empty_may_be_emptied(seen):
    """Airflow's UI makes it null, and lets nobody trigger a DAG whose type of it has no `null`."""
    fields = [
        (dag, name, param["schema"]["type"])
        for dag, found in seen["dags"].items()
        for name, param in found["params"].items()
        if param["value"] in (None, "", []) and name not in found["bare"]
    ]
    assert {("dupn_initial_train", "files", ("null", "array"))} < {
        (dag, name, tuple(types)) for dag, name, types in fields
    }
    assert [field for field in fields if "null" not in field[2]] == []


def test_every_preset_is_readable_by_name():
    for path in (ROOT / "infra" / "presets").glob("*.toml"):
        assert tomllib.loads(path.read_text())
