import json
from datetime import date

import pytest

from features.dataset import load
from infra.store import Store
from pipeline import rawday, rawfiles

DAY = date(2026, 11, 1)
USERS = [{"user_id": "u1"}, {"user_id": "u2", "age": "18-24"}, {"user_id": "u3", "city": "Ulm"}]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def extra(store, name="users"):
    return rawday.extra_columns(name, rawfiles.parts(store, DAY, name), load("marketplace"))


def put(store, content, file="users.jsonl", name="users"):
    store.put(f"raw/dt={DAY}/{name}/{file}", content)


def test_a_key_that_the_first_objects_leave_out_is_a_column(store):
    put(store, "".join(json.dumps(user) + "\n" for user in [USERS[0]] * 50 + USERS))
    assert extra(store) == ("age", "city")


def test_a_key_is_found_in_whatever_block_it_stands(store, monkeypatch):
    monkeypatch.setattr(rawfiles, "JSON_ROWS", 1)
    put(store, "".join(json.dumps(user) + "\n" for user in USERS))
    assert extra(store) == ("age", "city")


def test_a_broken_line_costs_no_column(store):
    put(store, json.dumps(USERS[0]) + "\n{broken\n" + json.dumps(USERS[1]) + "\n")
    put(store, "user_id,sex\nu4,f\n", "more.csv")
    assert extra(store) == ("age", "sex")


def test_a_log_has_no_columns_of_its_own(store):
    put(store, '{"user_id": "u1", "age": "x"}\n', "log.jsonl", "behaviors")
    assert extra(store, "behaviors") == ()
