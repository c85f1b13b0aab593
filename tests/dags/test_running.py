"""Which errors a task may be tried again for, and which need a person."""

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags import running, study_stages
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
    monkeypatch.setattr(running, "get_current_context", lambda: {"dag_run": run, "params": params})
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
    assert running.settings().line == "dupn"


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
