"""Nights in a real `airflow standalone`: a person's yes, a day that quality stops, and going on."""

import time
from datetime import date

import pytest

from infra import runtime
from infra.airflow_api import FINAL
from infra.follow import follow, until_ended
from infra.programs import RuntimeConfig
from pipeline import steps
from pipeline.nights import nightly
from pipeline.nights.nightly import State
from pipeline.settings import load
from tests.e2e.person import says_yes

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]  # the machine may be busy

NIGHT, RELEASE = "dupn_nightly_update", "dupn_release"
FIRST, GOOD, DIRTY, AFTER = (f"2026-03-0{n}" for n in (2, 4, 5, 6))
LENIENT = "\n".join(
    [
        "update.holdout_share=0.5",
        "gate.min_ctr_margin=1.0",
        "gate.max_ctr_margin=1.0",
        "gate.alpha=1e-9",
        "compatibility.max_drop=1.0",
    ]
)
"""So little data proves nothing; here it must get through."""
PATIENCE_S = 1200


@pytest.fixture(scope="module")
def home(home):
    runtime.up(home, RuntimeConfig(airflow_port=28280, mlflow_port=25280, start_timeout_s=900))
    return home


@pytest.fixture(scope="module")
def airflow(home):
    """With a champion to update."""
    airflow = runtime.connect(home)
    run = airflow.trigger("dupn_initial_train", {"preset": "smoke", "days": 1, "first_day": FIRST})
    follow(airflow, "dupn_initial_train", run, timeout_s=PATIENCE_S)
    return airflow


@pytest.fixture(scope="module")
def settings(home):
    return load("smoke", str(home))


def night(airflow, day, **conf):
    return airflow.trigger(NIGHT, {"preset": "smoke", "day": day, "overrides": LENIENT, **conf})


def states(run):
    return {task.task_id: task.state for task in run.tasks}


def wait(condition, timeout_s=PATIENCE_S):
    end = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(1)
    return found


def test_a_night_asks_a_person_and_promotes(airflow, settings):
    run = night(airflow, GOOD, approval=True)
    child = f"night__dupn-{GOOD}__{run}"
    path = f"/dags/{RELEASE}/dagRuns/{child}/taskInstances/approval/-1/hitlDetails"

    def asked():
        known = airflow.call("GET", f"/dags/{RELEASE}/dagRuns")["dag_runs"]
        if child not in {one["dag_run_id"] for one in known}:
            return False
        return states(airflow.run(RELEASE, child)).get("approval") == "awaiting_input"

    wait(asked)
    question = airflow.call("GET", path)
    assert f"dupn-{GOOD}" in question["subject"]
    assert f"dupn-{GOOD} passed the gate on {GOOD} against dupn-" in question["body"]
    assert "report.html" in question["body"]
    assert states(airflow.run(NIGHT, run))["release"] == "deferred"
    says_yes(airflow, RELEASE, child, PATIENCE_S)
    follow(airflow, NIGHT, run, timeout_s=PATIENCE_S)
    assert set(states(airflow.run(RELEASE, child)).values()) == {"success"}
    assert champion_of(settings) == f"dupn-{GOOD}"


def test_a_dirty_day_stops_it_and_those_after_it_until_it_is_mended(airflow, settings):
    steps.simulate(settings, date.fromisoformat(DIRTY), 1, 0.4)
    dirty = until_ended(airflow, NIGHT, night(airflow, DIRTY), timeout_s=PATIENCE_S)
    assert [name for name, state in states(dirty).items() if state == "failed"] == ["quality"]
    waiting = night(airflow, AFTER)
    assert states(until_ended(airflow, NIGHT, waiting, timeout_s=PATIENCE_S))["raw"] == "failed"

    mended = night(airflow, DIRTY, leave_out=True)
    follow(airflow, NIGHT, mended, timeout_s=PATIENCE_S)
    # Nobody clears the one that waited: it goes on by itself.
    wait(lambda: airflow.run(NIGHT, waiting).state in FINAL)
    assert airflow.run(NIGHT, waiting).state == "success"
    assert nightly.read(settings, date.fromisoformat(AFTER)).state is State.ENDED


def champion_of(settings):
    from pipeline.release.incumbent import registry_of

    return registry_of(settings).version("champion").tags["run_key"]
