"""What a person is told while MLflow is away: what the store knows, and within seconds."""

import json
import time

import pytest

from infra.ledger import Ledger
from pipeline.release import standing
from pipeline.settings import load
from tests.first_night import DAY, published

AWAY = "tracking.uri=http://127.0.0.1:9"
SECONDS = 60  # importing MLflow counts, on a busy machine; its own patience is four minutes


@pytest.fixture
def settings(tmp_path):
    settings = load("smoke", str(tmp_path), [AWAY])
    published(settings, DAY)
    ledger = Ledger(settings.store)
    facts = {"run_key": f"dupn-{DAY}"}
    entry = ledger.append([], action="promote", aliases={"champion": "1"}, why="it", facts=facts)
    ledger.finish(entry)
    return settings


def test_status_tells_what_the_store_knows_and_as_of_when_the_aliases_are(settings, dupn):
    begin = time.monotonic()
    code, out, err = dupn("--home", settings.home, "--set", AWAY, "--json", "status")
    assert time.monotonic() - begin < SECONDS
    assert code == 0, err
    found = json.loads(out)
    assert found["samples days"] == f"{DAY} to {DAY} (1)"
    assert (found["aliases"], found["champion"]) == ({"champion": "1"}, f"dupn-{DAY}")
    assert "not read, so aliases and champion are as of ledger entry 1 (" in found["note"]
    assert "MLflow at http://127.0.0.1:9 did not answer" in found["note"]
    assert "refused" in found["note"], "the cause stands at the end of MLflow's sentence"


def test_log_tells_the_ledger_and_warns(settings, caplog):
    begin = time.monotonic()
    assert [one["why"] for one in standing.log(settings)] == ["it"]
    assert time.monotonic() - begin < SECONDS
    assert "as of ledger entry 1" in caplog.text


def test_a_move_that_was_cut_off_or_given_up_is_not_told_as_made(settings):
    ledger = Ledger(settings.store)
    entry = ledger.append(ledger.entries(), action="promote", aliases={"champion": "2"}, why="on")
    assert "as ledger entry 2 will have them" in standing.status(settings)["note"]
    ledger.finish(entry, given_up="version 2 is deleted")
    found = standing.status(settings)
    assert found["aliases"] == {"champion": "1"}
    assert "as of ledger entry 1" in found["note"]


@pytest.mark.parametrize(
    "command",
    [
        ("rollback", "--why", "it is bad"),
        ("promote", "--version", "1", "--why", "it is good"),
        ("promote", "--day", f"{DAY}"),
        ("check", "--day", f"{DAY}"),
    ],
    ids=" ".join,
)
def test_what_moves_or_asks_the_champion_fails_in_seconds(settings, dupn, command):
    begin = time.monotonic()
    code, _, err = dupn("--home", settings.home, "--set", AWAY, *command)
    assert time.monotonic() - begin < SECONDS
    assert code == 1
    assert "RegistryUnavailable: MLflow at http://127.0.0.1:9 did not answer" in err
