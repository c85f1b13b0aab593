"""The logic of a DAG, run whole in one process; the scheduler has a test of its own (tests/e2e)."""

import pytest

STRICT = "gate.min_positives=1000000"


@pytest.fixture(scope="module")
def kept(in_airflow):
    """A first model that the gate does not let through, on a day that holds too few clicks."""
    conf = {"preset": "smoke", "days": 1, "first_day": "2026-03-02", "overrides": STRICT}
    return in_airflow("run_dag.py", "dupn_initial_train", conf)


def test_not_promoting_is_a_green_run(kept):
    assert kept["state"] == "success"


def test_it_skips_everything_after_the_gate(kept):
    skipped = {name for name, states in kept["tasks"].items() if states == ["skipped"]}
    assert skipped == {"import", "canary", "register", "promote", "check"}


def test_every_day_has_its_own_events_and_quality(kept):
    assert kept["tasks"]["events"] == ["success"] * 2
    assert kept["tasks"]["quality"] == ["success"] * 2
