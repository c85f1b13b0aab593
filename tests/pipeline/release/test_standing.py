"""What `dupn status` says of nights."""

import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from infra.errors import OutOfTurn, RecordCorrupt, RegistryError
from infra.ledger import Ledger, LedgerBroken
from infra.registry import MODEL
from pipeline import steps
from pipeline.learn import updating
from pipeline.nights import nightly
from pipeline.release import incumbent, standing
from tests import first_night
from tests.first_night import DAY, ONE, published
from tests.infra.moves import by_hand, delete, promoted, versions


@pytest.fixture
def settings(tmp_path):
    return first_night.home(tmp_path)


def test_status_waits_for_no_library_that_it_does_not_ask():
    code = (
        "import sys, pipeline.release.standing;"
        "assert not {'torch', 'sklearn', 'apache_beam', 'matplotlib'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


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


def test_a_champion_whose_alias_a_hand_took_away_is_told_with_who_may_be_it_again(settings):
    registry = incumbent.registry_of(settings)
    for number in ("1", "2"):
        tags = {"run_key": f"dupn-2026-03-0{number}", "line": "dupn"}
        registry.register(f"file:///models/{number}", "", tags)
        registry.promote(number, "a night")
    assert standing.status(settings).get("note") is None
    registry.client.delete_registered_model_alias(MODEL, "champion")
    again = (
        "Nobody is champion since ledger entry 3 (moved outside dupn: champion 2 -> none). Let "
        "somebody be: `dupn rollback --why ...`, or `dupn promote --version 2 --why ...`."
    )
    assert standing.status(settings)["note"] == again
    asked = [lambda: updating.promoted(settings, registry)]
    asked += [partial(step, settings, DAY) for step in (steps.refresh, steps.represent)]
    for ask in asked:
        with pytest.raises(RegistryError) as told:
            ask()
        assert str(told.value).endswith(again)


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        (
            "3",
            "Let somebody be: `dupn rollback --why ...`, or `dupn promote --version 2 --why ...`.",
        ),
        (
            "32",
            "Let somebody be: `dupn rollback --why ...`, or `dupn promote --version 1 --why ...`.",
        ),
        ("321", "None of those who were is there to be it again. Promote another version (`dupn "),
    ],
)
def test_nobody_is_sent_to_a_version_that_was_deleted(settings, gone, said):
    registry = incumbent.registry_of(settings)
    promoted(registry, 3)
    for number in gone:
        delete(registry, number)
    told = standing.status(settings)["note"]
    assert told.startswith("Nobody is champion since ledger entry 4 (moved outside dupn: champion")
    assert said in told


def test_nobody_is_sent_to_whom_a_rollback_left_or_to_a_move_that_was_given_up(settings):
    registry = incumbent.registry_of(settings)
    promoted(registry, 2)
    registry.rollback("worse")
    delete(registry, "1")
    told = standing.status(settings)["note"]
    assert "moved away from: version 2 (ledger entry 3: worse). `dupn promote --v" in told
    assert "Promote another version (" in told
    versions(registry, 3)
    move = {"champion": "3", "challenger": "9"}
    registry.ledger.append(registry.look(), action="promote", aliases=move, why="cut off")
    told = standing.status(settings)["note"]
    assert told.startswith(
        "Nobody is champion since ledger entry 4 (moved outside dupn: champion 1"
    )
    assert "--version 3" not in told


def test_who_was_moved_away_from_is_named_with_why_where_nobody_else_is_there(settings):
    registry = incumbent.registry_of(settings)
    promoted(registry, 2)
    by_hand(registry, champion="1")
    registry.rollback("a slip")
    versions(registry, 3)
    registry.promote("3", "better")
    registry.rollback("worse")
    delete(registry, "2")
    told = standing.status(settings)["note"]
    assert (
        "were moved away from: version 3 (ledger entry 6: worse), version 1 (ledger entry 4: a "
        "slip). `dupn promote --version 3 --why ...` brings one back. Promote another"
    ) in told
    assert "None of those" not in told


def process(number):
    return f"dupn, process {number} on {socket.gethostname()} since 5"


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (process(4194306), f": that process is gone, and `dupn run nightly --day {DAY}` goes on"),
        ("dupn, process 7 on another machine since 5", ""),
        (
            "manual__1",
            ": if a task of that run has failed, clear it and its downstream tasks; if the run was "
            "deleted, or marked as a whole, trigger its day again",
        ),
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


def spoilt(settings, day, *place):
    published(settings, day, *place)
    settings.store.put(
        f"{settings.store.partition(place[0], day, *place[1:]).key}/_manifest.json", b""
    )


@pytest.mark.parametrize(
    ("place", "field"),
    [
        (("samples",), "days that are behind"),
        (("events", "behaviors"), "raw data that arrived again"),
        (("raw", "behaviors"), "raw files that are not read"),
    ],
    ids=["samples", "events", "raw"],
)
def test_status_tells_of_a_spoilt_manifest_and_of_all_else(settings, place, field):
    published(settings, DAY, "sequences", "history")
    nightly.begin(settings, DAY, "r1")
    nightly.end(settings, DAY, "r1", "promote")
    spoilt(settings, DAY, *place)
    settings.store.put(f"{settings.store.partition(place[0], DAY, *place[1:]).key}/x.csv", "")
    found = standing.status(settings)
    key = settings.store.partition(place[0], DAY, *place[1:]).key
    assert [one for one in found[field] if one.startswith(f"{key}/_manifest.json cannot be read")]
    assert found["last night"] == f"{DAY}: promote"


def test_status_tells_of_a_night_whose_record_is_empty_and_of_all_else(settings):
    nightly.begin(settings, DAY, "r1")
    nightly.end(settings, DAY, "r1", "promote")
    settings.store.put(nightly.key(settings, DAY + ONE), b"")
    found = standing.nights(settings, settings.store)
    assert found["last night"] == f"{DAY}: promote"
    [said] = found["nights that have not ended"]
    assert "Remove it, and any turn-* beside it; if that night had not ended" in said
    assert f"`dupn run nightly --day {DAY + ONE}` does it again" in said


@pytest.mark.parametrize("content", [None, b""], ids=["gone", "empty"])
def test_status_tells_of_a_ledger_that_lacks_an_entry_and_of_all_else(settings, content):
    ledger = Ledger(settings.store)
    for number in ("1", "2"):
        aliases = {"champion": number}
        ledger.finish(ledger.append(ledger.entries(), action="promote", aliases=aliases, why="x"))
    first = Path(settings.home, "ledger/00000001.json")
    first.write_bytes(content) if content is not None else first.unlink()
    found = standing.status(settings)
    assert "ledger/00000001.json" in found["note"]
    assert "Take it from a backup" in found["note"]
    told = {found[one] for one in ("aliases", "champion", "bundle", "last move")}
    assert told == {"not known"}
    assert found["last night"] == "none"
    with pytest.raises((LedgerBroken, RecordCorrupt), match=r"ledger/00000001\.json"):
        standing.log(settings)
