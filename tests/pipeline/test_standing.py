"""What `dupn status` says of nights."""

import socket

import pytest

from infra.errors import OutOfTurn
from pipeline import nightly, standing
from tests import first_night
from tests.first_night import DAY, ONE, published


@pytest.fixture
def settings(tmp_path):
    return first_night.home(tmp_path)


def test_status_names_what_is_open_and_what_arrived_again(settings):
    assert set(standing.nights(settings, settings.store).values()) == {"none"}
    nightly.begin(settings, DAY, "r1")
    published(settings, DAY)
    nightly.end(settings, DAY, "r1", "promote")
    nightly.begin(settings, DAY + ONE, "r2")
    published(settings, DAY, "events", "behaviors", raw={"behaviors": "0"})
    published(settings, DAY, "raw", "behaviors")
    found = standing.nights(settings, settings.store)
    assert found["last night"] == "2026-03-13: promote"
    assert "2026-03-14 begun" in found["nights that have not ended"][0]
    assert found["raw data that arrived again"] == [
        "2026-03-13: `dupn backfill --day 2026-03-13` takes it in."
    ]


def test_a_night_that_waits_is_named_until_its_day_is_published_all_the_same(settings):
    with pytest.raises(OutOfTurn, match="is not published"):
        nightly.begin(settings, DAY + ONE, "too early")
    [said] = standing.nights(settings, settings.store)["nights that have not ended"]
    assert said.startswith(f"{DAY + ONE} waiting since")
    published(settings, DAY)
    published(settings, DAY + ONE)  # by an initial training after all
    assert standing.nights(settings, settings.store)["nights that have not ended"] == "none"


def process(number):
    return f"dupn, process {number} on {socket.gethostname()} since 5"


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (process(4194306), f": that process is gone, and `dupn run nightly --day {DAY}` goes on"),
        ("dupn, process 7 on another machine since 5", ""),
        ("manual__1", ": if a task of that run has failed, clear it and its downstream tasks"),
    ],
    ids=["dead", "maybe alive", "of Airflow"],
)
def test_an_open_night_is_named_with_what_ends_it(settings, run, said):
    nightly.begin(settings, DAY, run)
    [status] = standing.nights(settings, settings.store)["nights that have not ended"]
    assert f"({run}){said}" in status
    assert status.endswith(f"({run})") is (said == "")
    next_one = nightly.obstacle(settings, DAY + ONE)
    assert f"{run}), and that of {DAY + ONE} needs what it leaves. Mend it first{said}" in next_one
    assert next_one.endswith("; this one goes on after it.")
