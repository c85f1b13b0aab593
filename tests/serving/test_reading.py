"""A service that cannot read the registry goes on, and shows it."""

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from infra.errors import RegistryUnavailable
from infra.registry import Registry
from infra.store import Store
from serving import app as http
from serving.reading import Reading
from serving.versions import FromRegistry, Versions


def missed(reading, times=1):
    for _ in range(times):
        with pytest.raises(RegistryUnavailable), reading.look():
            raise RegistryUnavailable("MLflow is away")


def test_looks_that_fail_are_logged_ever_more_rarely_and_once_when_they_are_answered(caplog):
    caplog.set_level("INFO")
    reading = Reading()
    missed(reading, 100)
    assert len(caplog.records) == 7  # 1, 2, 4, ..., 64
    assert reading.told.endswith(": MLflow is away")
    for unread in (True, False):
        with reading.look():
            assert bool(reading.told) is unread
    [said] = [one.getMessage() for one in caplog.records[7:]]
    assert said == "the registry answers again, after 100 looks that failed"
    assert (reading.told, reading.unread_s) == ("", 0)


def test_a_service_that_has_nothing_yet_does_not_say_that_it_goes_on(caplog, tmp_path):
    registry = Registry(f"sqlite:///{tmp_path}/none.db", Store(tmp_path))
    versions = Versions(FromRegistry(registry, (), tmp_path, tmp_path), tmp_path, 0.0)
    versions.reading = versions.source.reading
    versions.refresh()
    assert "(look 1 that fails): nothing is served yet. there is no MLflow" in caplog.text
    versions.served = {"champion": None}
    versions.refresh()
    assert "(look 2 that fails): what is served goes on, and a moved alias is" in caplog.text


def test_a_source_whose_registry_is_not_there_notes_it(tmp_path):
    registry = Registry(f"sqlite:///{tmp_path}/none.db", Store(tmp_path))
    source = FromRegistry(registry, (), tmp_path, tmp_path)
    with pytest.raises(RegistryUnavailable):
        source.wanted()
    assert "there is no MLflow database" in source.reading.told


def test_probe_and_metrics_show_a_registry_that_is_not_read(shop, monkeypatch):
    reading = Reading()
    monkeypatch.setattr(shop.service.versions, "reading", reading)
    with TestClient(http.create(shop.service)) as client:
        assert client.get("/readyz").json()["registry"] == ""
        assert "dupn_registry_unread_seconds 0.0" in client.get("/metrics").text
        missed(reading)
        reading._began_s -= 8 * 60
        reading.since = datetime(2070, 1, 1, tzinfo=UTC)  # the wall clock was set back since
        found = client.get("/readyz")
        assert (found.status_code, found.json()["status"]) == (200, "ready")
        assert found.json()["registry"].startswith("not read since 20")
        assert "dupn_registry_unread_seconds 48" in client.get("/metrics").text
