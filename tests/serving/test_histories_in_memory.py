"""What the example of a store of several machines does beyond what every store must."""

import time
from datetime import date, timedelta

import pytest

from infra.errors import ServingUnavailable
from tests.serving.histories_in_memory import NIGHTS, Heard, HistoriesInMemory
from tests.serving.history_stores import NEXT, Service, behavior


def test_whoever_waits_for_a_server_that_hangs_gives_up_in_time_and_the_next_sooner(tmp_path):
    with Service.at("memory", tmp_path) as service:
        heard = Heard()
        histories = HistoriesInMemory(heard, service.store, tmp_path, "UTC", patience_s=2.0)
    waits = []
    with heard.lock:  # of a client that never comes back
        for ask in (lambda: histories.add([behavior(NEXT)]), lambda: histories.before("u1", NEXT)):
            begin = time.monotonic()
            with pytest.raises(ServingUnavailable):
                ask()
            waits.append(time.monotonic() - begin)
    assert waits[0] > 1.9
    assert waits[1] < waits[0] / 2
    assert histories.add([behavior(NEXT)]) == 1


def test_a_machine_that_cannot_take_nights_over_keeps_what_their_days_brought(tmp_path):
    with Service.at("memory", tmp_path) as service:
        first, lagging = service.process(), service.process()
        first.add([behavior(NEXT, "a")], NEXT)
        known = []
        for days in range(NIGHTS + 3):
            service.night(date(2026, 3, 4) + timedelta(days=days), ("u1", NEXT, "a"))
            first.follow(service.store)
            known.append([len(one.before("u1", NEXT + 9).ts) for one in (first, lagging)])
    assert known == [[1, 1]] * (NIGHTS + 1) + [[1, 0]] * 2
