"""What a run is asked before it begins."""

from datetime import date, timedelta

import pytest

from infra.errors import ConfigError, RegistryUnavailable
from pipeline import chain, steps
from pipeline.settings import load
from tests import nights
from tests.evaluation.marketplace.test_own import import_day

DAYS = [date(2026, 3, 2) + timedelta(days=n) for n in range(2)]


def test_an_initial_run_finds_mlflow_away_before_it_makes_anything(tmp_path):
    home = tmp_path / "home"
    settings = nights.settings(home)
    for day in DAYS:
        import_day(settings.store, day, tmp_path)
    away = load("smoke", str(home), ["tracking.uri=http://127.0.0.1:9"])
    with pytest.raises(RegistryUnavailable, match="did not answer"):
        chain.initial(away, DAYS[0], 1)
    assert settings.store.days("events", "behaviors") == []


def test_an_initial_run_on_an_object_store_wants_an_mlflow_server_at_once():
    settings = load("smoke", "memory://bucket/begins", [])
    with pytest.raises(ConfigError, match=r"tracking\.uri is not set"):
        steps.data_days(settings, *DAYS)
