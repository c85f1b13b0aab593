"""A service has the histories that its setting names, from wherever they are imported."""

import pytest
from fastapi.testclient import TestClient

from infra.errors import ConfigError
from infra.identity import identity
from infra.store import Store
from serving import chosen_histories, machine, running
from serving.running import Setup
from serving.settings import ServeConfig
from tests.chain import logged_bundle

MODULE = """
from serving.histories import LiveBehavior
from tests.serving.histories_in_memory import Heard, HistoriesInMemory

made, heard, number = [], Heard(), 5

def by(**given):
    made.append(given)
    return HistoriesInMemory(heard, *(given[name] for name in ("store", "work", "zone")))
"""


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """A folder of modules that are none of ours."""
    monkeypatch.syspath_prepend(tmp_path / "modules")
    (tmp_path / "modules").mkdir()
    return tmp_path / "modules"


def test_a_service_keeps_what_it_hears_in_the_store_that_the_setting_names(
    chain, modules, tmp_path, monkeypatch
):
    (modules / "shared_store.py").write_text(MODULE)
    monkeypatch.setattr(machine, "MEMORY", tmp_path)
    home, work = str(tmp_path / "home"), tmp_path / "work"
    config = ServeConfig(histories="shared_store:by", timeout_s=60)
    setup = Setup(
        config=config, home=home, work=str(work), zone="UTC",
        bundle=str(logged_bundle(chain)), run="r",
    )  # fmt: skip
    monkeypatch.setenv(running.VARIABLE, setup.model_dump_json())
    sent = {"user_id": "u", "item_id": "i", "type": "cart"}
    with TestClient(running.build()) as first, TestClient(running.build()) as second:
        assert first.post("/v1/behaviors", json={"behaviors": [sent]}).json()["taken"] == 1
        told = second.post("/v1/explain", json={"user_id": "u"}).json()["behaviors"]
    assert [one["type"] for one in told] == ["cart"]
    assert not (work / "live.db").exists()
    import shared_store

    given = {"work": work, "zone": "UTC", "patience_s": 15, "namespace": identity(Store(home))}
    assert len(shared_store.made) == 2
    assert all(given.items() <= one.items() for one in shared_store.made)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("shared_store", "no `package.module:function`"),
        (":by", "no `package.module:function`"),
        ("not_there:by", r"not_there cannot be imported \(ModuleNotFoundError: .*PYTHONPATH"),
        ("needs_more:by", r"imported \(ModuleNotFoundError: No module named 'redis_of_nobody'"),
        ("breaks:by", r"breaks cannot be imported \(ZeroDivisionError: "),
        ("shared_stores:other", "shared_stores has no function other"),
        ("shared_stores:number", "shared_stores has no function number"),
        ("fewer:by", r"cannot be called: .*'namespace'.* Let it take store, work, zone, "),
    ],
)
def test_histories_that_cannot_be_made_are_told_with_their_setting(modules, tmp_path, named, said):
    (modules / "shared_stores.py").write_text(MODULE)
    (modules / "needs_more.py").write_text("import redis_of_nobody")
    (modules / "breaks.py").write_text("1 / 0")
    (modules / "fewer.py").write_text("def by(*, store, work, zone, patience_s): ...")
    with pytest.raises(ConfigError, match=rf'^serve\.histories = "{named}".*{said}'):
        chosen_histories.histories(Store(tmp_path / "home"), tmp_path, "UTC", 0.5, named)
