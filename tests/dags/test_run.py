"""The logic of the DAGs, each run whole in one process; the scheduler has a test of its own (e2e).

One home for all: an initial training that the gate keeps back, then promoted by hand, then nights.
"""

from datetime import date

import pytest
from typer.testing import CliRunner

from evaluation.marketplace.spoil import spoil_day
from pipeline.cli import app
from pipeline.nights import nightly
from pipeline.nights.nightly import State
from pipeline.settings import load

STRICT = "gate.min_positives=1000000"
FIRST, EVALUATED = "2026-03-02", "2026-03-03"
GOOD, DIRTY, AFTER = "2026-03-04", "2026-03-05", "2026-03-06"
PREPARED = ("events", "quality", "vocabulary", "statistics", "sequences", "samples", "update")


@pytest.fixture(scope="module")
def kept(run_dag):
    """A first model that the gate does not let through, on a day that holds too few clicks."""
    conf = {"preset": "smoke", "days": 1, "first_day": FIRST, "overrides": STRICT}
    return run_dag("dupn_initial_train", conf)


@pytest.fixture(scope="module")
def dupn(airflow_environment):
    """The command, on the same home."""

    def run(*arguments):
        place = ["--preset", "smoke", "--home", airflow_environment["DUPN_HOME"]]
        done = CliRunner().invoke(app.app, [*place, *arguments])
        assert done.exit_code == 0, done.output[-4000:]

    return run


@pytest.fixture(scope="module")
def champion(kept, dupn):
    """The initial model, promoted after all."""
    run = f"dupn-{FIRST}"
    dupn("gate", "--day", EVALUATED, "--run", run)
    dupn("promote", "--day", EVALUATED, "--run", run)
    return run


@pytest.fixture(scope="module")
def settings(airflow_environment):
    return load("smoke", airflow_environment["DUPN_HOME"])


@pytest.fixture(scope="module")
def night(run_dag):
    def run(day, **conf):
        conf = {"preset": "smoke", "day": day, **conf}
        return run_dag("dupn_nightly_update", conf, "release")

    return run


@pytest.fixture(scope="module")
def good(champion, night):
    """A night without its release."""
    return night(GOOD)


@pytest.fixture(scope="module")
def refused(good, run_dag):
    """The release of that night, whose day is said to hold too few clicks."""
    conf = {"preset": "smoke", "day": GOOD, "run": f"dupn-{GOOD}", "overrides": STRICT}
    return run_dag("dupn_release", conf)


@pytest.fixture(scope="module")
def dirty(good, night, dupn, settings):
    """A night whose raw data is broken."""
    dupn("simulate", "--first", DIRTY, "--days", "1")
    spoil_day(settings.store, date.fromisoformat(DIRTY), 0.4, seed=1)
    return night(DIRTY)


@pytest.fixture(scope="module")
def overtaking(dirty, night):
    """The night after it."""
    return night(AFTER)


def states(run, state):
    return {name for name, found in run["tasks"].items() if found == [state]}


def record(settings, day):
    return nightly.read(settings, date.fromisoformat(day))


def test_not_promoting_is_a_green_run(kept):
    assert kept["state"] == "success"


def test_it_skips_everything_after_the_gate(kept):
    assert states(kept, "skipped") == {"import", "canary", "register", "promote", "check"}


def test_every_day_has_its_own_events_and_quality(kept):
    assert kept["tasks"]["events"] == ["success"] * 2
    assert kept["tasks"]["quality"] == ["success"] * 2
    assert kept["tasks"]["quality_samples"] == ["success"] * 2


def test_a_night_goes_from_raw_to_a_candidate(good, settings):
    assert good["state"] == "success"
    assert states(good, "success") >= {"raw", "simulate", *PREPARED, "quality_samples", "onward"}
    assert settings.store.partition("checkpoints", None, f"dupn-{GOOD}", "final").exists()
    assert states(good, "skipped") == {"abtest"}  # no experiment runs
    assert record(settings, GOOD).state is State.ENDED


def test_a_refused_candidate_is_a_green_release_that_is_watched_all_the_same(refused):
    assert refused["state"] == "success"
    assert states(refused, "skipped") == {"canary", "approval", "register", "promote", "check"}
    assert states(refused, "success") == {
        "evaluate",
        "bundle",
        "gate",
        "refresh",
        "represent",
        "watch",
    }


def test_a_name_that_is_no_param_fails_the_run_at_its_first_task(good, run_dag):
    typo = run_dag("dupn_backfill", {"preset": "smoke", "day": GOOD, "only_plam": False})
    assert typo["state"] == "failed"
    assert typo["tasks"] == {"plan": ["failed"], "backfill": ["upstream_failed"]}


def test_dirty_data_stops_the_night_at_quality(dirty, settings):
    assert dirty["state"] == "failed"
    assert states(dirty, "failed") == {"quality"}
    assert states(dirty, "success") == {"raw", "events"}
    assert states(dirty, "skipped") == {"simulate"}
    assert record(settings, DIRTY).state is State.BEGUN


def test_the_next_night_does_not_overtake_it(overtaking, settings):
    assert states(overtaking, "failed") == {"raw"}
    assert states(overtaking, "success") == set()
    assert record(settings, AFTER).state is State.WAITING
    assert record(settings, AFTER).run == overtaking["run"]
    assert not settings.store.partition("raw", date.fromisoformat(AFTER), "behaviors").exists()


def test_a_day_that_stays_dirty_can_be_left_out(overtaking, night, settings):
    done = night(DIRTY, leave_out=True)
    assert done["state"] == "success"
    assert states(done, "skipped") == {"simulate", "release", "abtest"}
    assert record(settings, DIRTY).outcome == "left out"
    day = date.fromisoformat(DIRTY)
    assert settings.store.partition("sequences", day, "history").exists()  # carried on
    assert not settings.store.partition("checkpoints", None, f"dupn-{DIRTY}", "final").exists()
    # The night that waited may go now.
    assert nightly.obstacle(settings, date.fromisoformat(AFTER)) == ""
