import tomllib
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

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


def test_events_and_quality_are_mapped_by_day(tasks):
    mapped = {name for name, task in tasks.items() if task["mapped"]}
    assert mapped == {"events", "quality"}
    assert all("day" in tasks[name]["label"] for name in mapped)


def test_a_skipped_import_or_simulation_does_not_skip_the_run(tasks):
    assert tasks["days"]["trigger_rule"] == "none_failed"
    assert tasks["days"]["upstream"] == ["import", "simulate"]


def test_one_heavy_computation_at_a_time(tasks):
    heavy = {name for name, task in tasks.items() if task["pool"] == "compute"}
    assert heavy == {"train", "evaluate", "bundle", "canary", "check"}


def test_the_form_offers_what_is_there(seen):
    params = seen["dags"]["dupn_initial_train"]["params"]
    for name, folder in (("dataset", "datasets"), ("preset", "presets")):
        files = sorted(path.stem for path in (ROOT / "infra" / folder).glob("*.toml"))
        assert params[name]["schema"]["examples"] == files
        assert params[name]["value"] in files
    assert date.fromisoformat(params["first_day"]["value"])
    assert params["days"]["value"] == 10


def test_every_preset_is_readable_by_name():
    for path in (ROOT / "infra" / "presets").glob("*.toml"):
        assert tomllib.loads(path.read_text())
