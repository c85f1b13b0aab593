"""Whose turn it is: what becomes of the turns of before where one is lost or spoilt."""

import pytest

from features.abtest import traffic
from features.abtest.traffic import TURNS, Traffic
from infra.errors import RecordCorrupt
from infra.store import Store


@pytest.fixture
def store(tmp_path):
    """Of two experiments that are over."""
    store = Store(tmp_path)
    for one in ("one", "two"):
        assert traffic.take_turn(store, of(one))
        traffic.end(store, one, {"outcome": "stop", "day": "2026-03-04"})
    return store


def of(experiment):
    return Traffic(experiment=experiment, salt="s", shares={"old": 0.5, "new": 0.5})


@pytest.mark.parametrize("lost", ["000001.json", "000002.json"])
def test_the_next_turn_follows_the_last_one_though_one_of_before_is_lost(store, tmp_path, lost):
    (tmp_path / TURNS / lost).unlink()
    assert traffic.take_turn(store, of("three"))
    assert traffic.running(store) == of("three")
    assert traffic.started(store)[-1] == "three"


def test_a_copy_beside_a_turn_is_none(store, tmp_path):
    kept = (tmp_path / TURNS / "000001.json").read_bytes()
    for name in ("000001 (copy).json", "before.json", "000001.json.old"):
        (tmp_path / TURNS / name).write_bytes(kept)
    assert traffic.started(store) == ["one", "two"]
    assert traffic.take_turn(store, of("three"))
    assert traffic.started(store) == ["one", "two", "three"]


@pytest.mark.parametrize("spoilt", ["", '{"id"', "{}", "[]"])
def test_a_spoilt_turn_is_refused_with_the_experiments_that_may_have_had_it(
    store, tmp_path, spoilt
):
    store.put(traffic.key("loser", "traffic"), of("loser").model_dump_json())
    (tmp_path / TURNS / "000001.json").write_text(spoilt)
    said = (
        r"experiments/turns/000001\.json cannot be read \(.*\)\. Take it from a backup, or write "
        r'{"id": "ID"} into it, where ID is the experiment that no other turn names: loser, one\.'
    )
    with pytest.raises(RecordCorrupt, match=said):
        traffic.started(store)
    assert traffic.take_turn(store, of("three")), "an order of turns needs no ids"
    (tmp_path / TURNS / "000001.json").write_text('{"id": "one"}')
    assert traffic.started(store) == ["one", "two", "three"]
