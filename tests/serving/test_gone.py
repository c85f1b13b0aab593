"""A caller who gives up while it waits for its turn: nothing is done for it any more."""

import socket
import struct
import threading
from datetime import date

import orjson
import pytest

from serving import app as http
from serving import snapshot
from serving.histories import LocalHistories
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.versions import OneFolder, Versions
from tests.serving.listening import PATIENCE_S, Counting, heard, listening, wait
from tests.serving.test_callers import asking, count

PATH = "/v1/behaviors"
NOON = 1_772_712_000_000


class Slow(LocalHistories):
    """Takes behaviours in when it is told to."""

    go: threading.Event

    def add(self, behaviors, arrived=None):
        assert self.go.wait(PATIENCE_S)
        return super().add(behaviors, arrived)


@pytest.fixture
def slow(tmp_path):
    histories = Slow(tmp_path / "live.db", snapshot.empty(date(2026, 3, 4)), "UTC")
    histories.go = threading.Event()
    return histories


@pytest.fixture
def app(slow, tmp_path):
    nothing = OneFolder(tmp_path / "no bundle", Name(version="1"))
    versions = Versions(nothing, tmp_path / "versions", 1e-4)
    return http.create(Service(versions, slow, ServeConfig(), None))


def behaviors(user):
    row = {"user_id": user, "item_id": "i1", "type": "click", "ts": NOON}
    return asking(PATH.encode(), orjson.dumps({"behaviors": [row]}))


def known(histories, user):
    return len(histories.before(user, NOON + 1).item)


def test_who_has_given_up_before_its_turn_is_not_computed(app, slow):
    gone, ended = count(499, PATH), Counting.ended
    with listening(app) as address:
        first, second = (socket.create_connection(address, PATIENCE_S) for _ in range(2))
        first.sendall(behaviors("first"))
        wait(app.state.turns._turn.locked)
        second.sendall(behaviors("second"))
        wait(lambda: app.state.turns.waiting == 1)
        second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second.close()  # by a reset
        wait(lambda: Counting.ended == ended + 1)
        slow.go.set()
        assert heard(first).startswith(b"HTTP/1.1 200 ")
        wait(lambda: count(499, PATH) == gone + 1)
        first.sendall(behaviors("third"))
        assert heard(first).startswith(b"HTTP/1.1 200 "), "the turn was given back"
        first.close()
    assert [known(slow, user) for user in ("first", "second", "third")] == [1, 0, 1]


def test_who_only_sends_no_more_before_its_turn_is_answered(app, slow):
    with listening(app) as address:
        first, second = (socket.create_connection(address, PATIENCE_S) for _ in range(2))
        first.sendall(behaviors("first"))
        wait(app.state.turns._turn.locked)
        second.sendall(behaviors("second"))
        second.shutdown(socket.SHUT_WR)
        wait(lambda: app.state.turns.waiting == 1)
        slow.go.set()
        assert heard(second).startswith(b"HTTP/1.1 200 ")
        first.close()
        second.close()
    assert known(slow, "second") == 1
