"""Behaviours and questions without a `ts`: who asks after an answer has heard what came before."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from infra.store import Store
from serving import app as http
from serving import service as answering
from serving import snapshot
from serving.exposures import ExposureLog
from serving.histories import LocalHistories


@pytest.fixture
def at(monkeypatch):
    """Stops the service's clock at so many microseconds of a second of today."""
    today = datetime.now(UTC).replace(hour=12, minute=0, second=0)

    def stop(microsecond):
        class Stopped(datetime):
            @classmethod
            def now(cls, tz=None):
                return today.replace(microsecond=microsecond).astimezone(tz)

        monkeypatch.setattr(answering, "datetime", Stopped)
        return int(today.replace(microsecond=0).timestamp()) * 1000

    return stop


@pytest.mark.parametrize("microsecond", [0, 499, 500, 999, 1_000, 999_999])
def test_a_question_within_the_microsecond_of_a_behavior_has_heard_it(
    client, shop, ids, at, microsecond
):
    second = at(microsecond)
    user = f"undated-{microsecond}"
    sent = {"user_id": user, "item_id": ids[3], "type": "cart"}
    assert client.post("/v1/behaviors", json={"behaviors": [sent]}).json()["taken"] == 1
    assert len(client.post("/v1/explain", json={"user_id": user}).json()["behaviors"]) == 1
    heard = second + microsecond // 1000
    assert shop.histories.before(user, heard + 1).ts.tolist() == [heard], "and none yet to come"


def test_behaviors_of_a_clock_that_is_ahead_are_told_and_count_when_their_time_has_come(
    client, ids, at
):
    now = at(0)
    done = {"user_id": "hasty", "item_id": ids[3], "type": "cart"}
    sent = [done, *({**done, "ts": now + more} for more in (-1, 0, 1, 5_000))]
    before = counted(client)
    for taken in (len(sent), 1):  # without a `ts` and an id it is another each time
        told = client.post("/v1/behaviors", json={"behaviors": name(sent)}).json()
        assert told == {"taken": taken, "ahead": 2}
    assert counted(client) - before == 4
    for moment, known in ((None, 4), (now + 1, 4), (now + 5_000, 5), (now + 5_001, 6)):
        asked = {"user_id": "hasty"} if moment is None else {"user_id": "hasty", "ts": moment}
        assert len(client.post("/v1/explain", json=asked).json()["behaviors"]) == known


def name(sent):
    """Ids for those that have a time."""
    return [one | {"event_id": str(n)} if "ts" in one else one for n, one in enumerate(sent)]


def counted(client):
    page = client.get("/metrics").text
    return float(re.search(r"^dupn_behaviors_ahead_total (.+)$", page, re.M)[1])


def test_an_undated_page_is_of_the_moment_that_it_was_answered_for(shop, ids, at, tmp_path):
    log = ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")
    service = type(shop.service)(shop.service.versions, shop.histories, shop.service.config, log)
    second = at(600)
    with TestClient(http.create(service)) as client:
        sent = {"user_id": "paged", "item_id": ids[3], "type": "cart"}
        client.post("/v1/behaviors", json={"behaviors": [sent]})
        client.post("/v1/rank", json={"user_id": "paged", "candidates": ids[:3]})
    log.flush()
    (day,) = log.store.dates("raw")
    (name,) = log.store.names(f"raw/dt={day}/impressions")
    page = json.loads(log.store.get(f"raw/dt={day}/impressions/{name}"))
    assert page["ts"] == second + 1
    known = [len(shop.histories.before("paged", ts).ts) for ts in (page["ts"], page["ts"] - 1)]
    assert known == [1, 0], "offline, too, the page comes after the behaviour"


@pytest.mark.parametrize(("ahead", "status"), [(2, 422), (0, 200)])
def test_an_undated_page_before_the_newest_night_is_refused(shop, ids, tmp_path, ahead, status):
    log = ExposureLog(Store(tmp_path / "home"), tmp_path / "spool", "UTC")
    night = datetime.now(UTC).date() + timedelta(days=ahead)
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(night), "UTC")
    service = type(shop.service)(shop.service.versions, histories, shop.service.config, log)
    with TestClient(http.create(service)) as client:
        sent = {"user_id": "paged", "candidates": ids[:3]}
        assert client.post("/v1/rank", json=sent).status_code == status
        assert client.post("/v1/rank", json={**sent, "page": False}).status_code == 200
    assert log.flush() == (status == 200)
