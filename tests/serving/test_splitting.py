"""Users are split as the running experiment says, once all of its arms answer."""

from datetime import date

import pyarrow as pa

from features.abtest import traffic
from features.abtest.assignment import arms
from features.abtest.traffic import Traffic
from infra.store import Store
from serving.settings import ServeConfig
from serving.splitting import Splitting

TRIAL = Traffic(experiment="e", salt="grain", shares={"old": 0.4, "new": 0.6})
USERS = [f"u{number}" for number in range(300)]


def splitting(tmp_path, **config):
    return Splitting(ServeConfig(**config), Store(tmp_path))


def test_without_an_experiment_the_settings_split(tmp_path):
    mine = splitting(tmp_path, shares={"champion": 0.5, "challenger": 0.5}, salt="x")
    mine.look()
    assert list(mine) == ["champion", "challenger"]
    expected = arms(pa.array(USERS), "x", {"champion": 0.5, "challenger": 0.5})
    assert [mine.variant(user) for user in USERS] == expected.tolist()
    assert splitting(tmp_path).variant("anybody") == "champion"


def test_an_experiment_takes_over_when_all_its_arms_answer_and_gives_back_at_its_end(tmp_path):
    mine = splitting(tmp_path)
    assert traffic.take_turn(mine._store, TRIAL)
    mine.look()
    assert list(mine) == ["old", "new"]  # to be loaded
    assert not mine.settle({"champion", "old"})
    assert {mine.variant(user) for user in USERS} == {"champion"}
    assert mine.settle({"champion", "old", "new"})
    given = arms(pa.array(USERS), TRIAL.salt, TRIAL.shares)
    assert [mine.variant(user) for user in USERS] == given.tolist()
    assert not mine.settle({"old", "new"})  # nothing new
    assert traffic.end(mine._store, "e", {"outcome": "stop"})
    assert not traffic.end(mine._store, "e", {"outcome": "ship"})
    mine.look()
    assert mine.settle({"champion"})
    assert mine.variant("anybody") == "champion"


def test_an_experiment_that_has_ended_splits_nobody_though_an_arm_of_the_settings_is_missing(
    tmp_path,
):
    mine = splitting(tmp_path, shares={"champion": 0.5, "challenger": 0.5})
    traffic.take_turn(mine._store, TRIAL)
    mine.look()
    assert mine.settle({"champion", "old", "new"})
    traffic.end(mine._store, "e", {"outcome": "ship"})
    mine.look()
    assert not mine.settle({"old", "new"})  # nobody would answer
    assert mine.settle({"champion", "old", "new"})
    assert {mine.variant(user) for user in USERS} == {"champion", "challenger"}


def test_experiments_that_cannot_be_read_leave_the_split_as_it_is(tmp_path, caplog):
    mine, store = splitting(tmp_path), Store(tmp_path)
    assert traffic.take_turn(store, TRIAL)
    mine.look()
    mine.settle({"champion", "old", "new"})
    store.put(traffic.key("e", "ended"), b"{ half a file")
    mine.look()
    assert not mine.settle({"champion", "old", "new"})
    assert mine.now == TRIAL
    assert str(tmp_path / "experiments") in caplog.text
    started = splitting(tmp_path)
    started.look()
    assert started.variant("anybody") == "champion"


def test_the_service_can_be_told_to_look_at_no_experiment(tmp_path):
    mine = splitting(tmp_path, experiments=False)
    traffic.take_turn(Store(tmp_path), TRIAL)
    mine.look()
    assert list(mine) == ["champion"]


def test_one_experiment_has_the_turn(tmp_path):
    store = Store(tmp_path)
    assert traffic.running(store) is None
    assert traffic.take_turn(store, TRIAL)
    assert traffic.running(store) == TRIAL
    assert traffic.started(store) == ["e"]
    assert traffic.ended(store, "e") is None
    traffic.end(store, "e", {"outcome": "ship", "day": date(2026, 3, 4).isoformat()})
    assert traffic.running(store) is None
    assert traffic.ended(store, "e")["outcome"] == "ship"


def test_an_experiment_that_has_ended_splits_nobody_while_the_next_waits_for_an_arm(tmp_path):
    mine = splitting(tmp_path)
    traffic.take_turn(mine._store, TRIAL)
    mine.look()
    assert mine.settle({"champion", "old", "new"})
    traffic.end(mine._store, "e", {"outcome": "stop"})
    traffic.take_turn(mine._store, Traffic(experiment="f", salt="s", shares={"old": 0.5, "x": 0.5}))
    mine.look()
    assert not mine.settle({"old", "new"})  # nobody would answer
    assert mine.settle({"champion", "old", "new"})
    assert {mine.variant(user) for user in USERS} == {"champion"}
    assert not mine.settle({"champion", "old"})  # nothing new
    assert mine.settle({"champion", "old", "x"})
    assert {mine.variant(user) for user in USERS} == {"old", "x"}


def test_nobody_is_split_before_the_first_day_of_an_experiment(tmp_path):
    days = [date(2026, 3, 1)]
    mine = Splitting(ServeConfig(), Store(tmp_path), lambda: days[-1])
    later = TRIAL.model_copy(update={"first_day": date(2026, 3, 2)})
    assert traffic.take_turn(mine._store, later)
    mine.look()
    assert list(mine) == ["champion"]
    assert not mine.settle({"champion", "old", "new"})
    assert mine.variant("anybody") == "champion"
    days.append(date(2026, 3, 2))
    mine.look()
    assert mine.settle({"champion", "old", "new"})
    assert {mine.variant(user) for user in USERS} == {"old", "new"}


def test_an_experiment_whose_file_is_older_than_first_days_splits_at_once(tmp_path):
    mine = Splitting(ServeConfig(), Store(tmp_path), lambda: date(2026, 3, 1))
    traffic.take_turn(mine._store, TRIAL)
    old = mine._store.get(traffic.key("e", "traffic")).replace(b',\n "first_day": null', b"")
    assert b"first_day" not in old
    mine._store.put(traffic.key("e", "traffic"), old.decode())
    mine.look()
    assert list(mine) == ["old", "new"]
    assert mine.settle({"old", "new"})  # nobody else is needed
