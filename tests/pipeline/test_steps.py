"""What a run is asked before it begins."""

from datetime import date, timedelta

import pytest

from infra.errors import ConfigError, RegistryError, RegistryUnavailable
from infra.registry import Registry
from infra.store import Store
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


def test_an_initial_run_finds_another_home_in_its_mlflow_before_it_makes_anything(tmp_path):
    uri = f"sqlite:///{tmp_path}/shared.db"
    theirs = Registry(uri, Store(tmp_path / "theirs"))
    theirs.register("file:///theirs", "", {"run_key": f"dupn-{DAYS[0]}"})
    theirs.promote("1", "first")
    mine = nights.settings(tmp_path / "home", 1, f"tracking.uri={uri}")
    for day in DAYS:
        import_day(mine.store, day, tmp_path)
    with pytest.raises(RegistryError, match=r"its champion, in MLflow .* by another home .* give "):
        chain.initial(mine, DAYS[0], 1)
    assert mine.store.days("events", "behaviors") == []
    assert theirs.look()[-1].number == 1


def test_an_initial_run_on_an_object_store_wants_an_mlflow_server_at_once():
    settings = load("smoke", "memory://bucket/begins", [])
    with pytest.raises(ConfigError, match=r"tracking\.uri is not set"):
        steps.data_days(settings, *DAYS)
