"""A service whose history store refuses says since when and why, and not only its callers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from infra.errors import ServingUnavailable
from serving import app as http
from serving import meters
from serving.http_contracts import Behavior
from serving.outages import QUIET_S, READ, WRITTEN, Outages
from serving.running import Background
from serving.service import Service

GAUGE = "dupn_histories_unavailable_seconds"
SENT = {"user_id": "u", "item_id": "i", "type": "click"}


class Away:
    """Histories of a server that is away, and may come back."""

    def __init__(self, histories):
        self.histories, self.away = histories, {"before", "add"}

    def __getattr__(self, name):
        if name in self.away:
            raise ServingUnavailable("the server of the shop is away. See to it.")
        return getattr(self.histories, name)


@pytest.fixture
def service(shop):
    return Service(shop.service.versions, Away(shop.histories), shop.service.config, None)


def since_minutes(outages, minutes):
    for what, one in outages._now.items():
        outages._now[what] = replace(one, began_s=one.began_s - 60 * minutes)


def test_probe_and_metrics_show_histories_that_are_away(service, ids):
    asked = {"user_id": "u", "candidates": ids[:2], "page": False}
    with TestClient(http.create(service)) as client:
        assert client.get("/readyz").json()["histories"] == ""
        assert f"{GAUGE} 0.0" in client.get("/metrics").text
        assert client.post("/v1/rank", json=asked).status_code == 503
        assert client.post("/v1/behaviors", json={"behaviors": [SENT]}).status_code == 503
        since_minutes(service.outages, 8)
        found = client.get("/readyz")
        assert (found.status_code, found.json()["status"]) == (200, "ready")
        read, written = found.json()["histories"].split("not written")
        assert read.startswith("not read since 20")
        assert written.endswith(": the server of the shop is away. See to it.")
        assert f"{GAUGE} 48" in client.get("/metrics").text
        service.histories.away = {"add"}
        assert client.post("/v1/rank", json=asked).status_code == 200
        assert client.get("/readyz").json()["histories"].startswith("not written since 20")
        service.histories.away = set()
        assert client.post("/v1/behaviors", json={"behaviors": [SENT]}).status_code == 200
        assert client.get("/readyz").json()["histories"] == ""
        assert f"{GAUGE} 0.0" in client.get("/metrics").text


def test_each_process_tells_its_own_outage_though_no_scrape_asks_it(service, shop):
    with pytest.raises(ServingUnavailable):
        service.add([Behavior(**SENT)])
    since_minutes(service.outages, 8)
    Background(None, service, shop.histories, _rest=9).catch_up()
    assert REGISTRY.get_sample_value(GAUGE) >= 480
    meters.AWAY.set(0)


def test_the_log_has_one_line_a_minute_of_an_outage(caplog, monkeypatch):
    outages, minute = Outages(), 1000.0
    monkeypatch.setattr("time.monotonic", lambda: minute)

    def refuse(times):
        for n in range(times):
            with pytest.raises(ServingUnavailable), outages.watch((READ, WRITTEN)[n % 2]):
                raise ServingUnavailable("away")

    refuse(100)
    assert len(caplog.records) == 1
    minute += 61
    refuse(100)
    assert [one.getMessage().endswith(": away") for one in caplog.records] == [True, True]
    assert "(51 requests since 20" in caplog.text


def test_only_what_the_store_itself_refuses_is_an_outage():
    outages = Outages()
    with pytest.raises(ValueError, match="ours"), outages.watch(READ):
        raise ValueError("ours")
    assert (outages.told, outages.seconds) == ("", 0)


def test_one_that_was_refused_once_and_tried_again_elsewhere_is_no_outage_that_grows():
    outages = Outages()
    with pytest.raises(ServingUnavailable), outages.watch(WRITTEN):
        raise ServingUnavailable("locked. Ask again.")
    assert outages.told.startswith("not written since 20")
    assert outages.seconds == 0
    (one,) = outages._now.values()
    before = {"began_s": one.began_s - QUIET_S, "last_s": one.last_s - QUIET_S}
    outages._now[WRITTEN] = replace(one, **before)
    assert (outages.told, outages.seconds) == ("", 0)
    with pytest.raises(ServingUnavailable), outages.watch(WRITTEN):
        raise ServingUnavailable("locked. Ask again.")
    assert (outages.seconds, outages._now[WRITTEN].failed) == (0, 1), "another one begins"


def test_a_clock_that_is_set_back_makes_no_outage_shorter_or_longer(monkeypatch):
    class Clock(datetime):
        set_to = datetime(2026, 3, 5, 12, tzinfo=UTC)

        @classmethod
        def now(cls, tz=None):
            return cls.set_to

    ticks = 1000.0
    monkeypatch.setattr("serving.outages.datetime", Clock)
    monkeypatch.setattr("time.monotonic", lambda: ticks)
    outages = Outages()
    for _ in range(2):
        with pytest.raises(ServingUnavailable), outages.watch(READ):
            raise ServingUnavailable("away")
        ticks += 120
        Clock.set_to -= timedelta(minutes=30)
    assert outages.seconds == 120
    assert outages.told.startswith("not read since 2026-03-05T12:00:00")
    ticks += QUIET_S
    assert (outages.told, outages.seconds) == ("", 0)


def test_the_metric_says_of_itself_what_it_measures():
    page = meters.page().decode()
    assert f"# HELP {GAUGE} From the first to the last request in a row" in page
