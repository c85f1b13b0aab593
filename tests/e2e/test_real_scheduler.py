"""A real `airflow standalone`, triggered over REST as its UI does, from nothing to a champion."""

import pytest
import requests

from infra import peak, runtime
from infra.errors import OrchestrationError
from infra.follow import follow
from infra.programs import RuntimeConfig

pytestmark = pytest.mark.timeout(3600)  # the machine may be busy

DAG = "dupn_initial_train"
SMALL = {"preset": "smoke", "days": 1, "first_day": "2026-03-02"}
LENIENT = "gate.floors={}\ngate.max_calibration_error=1.0\ngate.min_positives=1\ngate.min_users=2"
"""So little data proves nothing; here it must get through."""


@pytest.fixture(scope="module")
def home(home):
    runtime.up(home, RuntimeConfig(airflow_port=28080, mlflow_port=25000, start_timeout_s=900))
    return home


def test_a_run_that_cannot_work_fails_with_our_sentence(home):
    airflow = runtime.connect(home)
    run_id = airflow.trigger(DAG, {**SMALL, "dataset": "taobao_userbehavior"})
    with pytest.raises(OrchestrationError) as caught:
        follow(airflow, DAG, run_id, timeout_s=900)
    assert f"{DAG} failed in days" in str(caught.value)
    assert "raw/dt=2026-03-02/behaviors has no files under" in str(caught.value)
    # A missing day is not mended by trying again.
    days = next(t for t in airflow.run(DAG, run_id).tasks if t.task_id == "days")
    assert days.tries == 1


def test_from_nothing_to_a_champion(home):
    airflow = runtime.connect(home)
    run_id = airflow.trigger(DAG, {**SMALL, "overrides": LENIENT})
    with peak.watching(home) as memory:
        done = follow(airflow, DAG, run_id, timeout_s=900)
    print(f"peak memory of {memory.processes} processes: {memory.mib} MiB")
    assert 500 < memory.mib < 8 * 1024
    states = {(task.task_id, task.label): task.state for task in done.tasks}
    assert states.pop(("import", "")) == "skipped"
    assert set(states.values()) == {"success"}
    for stage in ("events", "quality"):
        days = sorted(label for name, label in states if name == stage)
        assert days == ["2026-03-02", "2026-03-03"]
    assert champion(home) == "1"


def champion(home):
    answer = requests.get(
        f"{runtime.where(home)['mlflow']}/api/2.0/mlflow/registered-models/alias",
        params={"name": "dupn", "alias": "champion"},
        timeout=30,
    )
    return answer.json()["model_version"]["version"]
