"""A process that finds no registry begins with what the ones before it served."""

import json
from pathlib import Path

import pytest

from infra.tracking import tracking_uri
from pipeline.release.incumbent import registry_of
from serving import running
from serving.last_served import FILE
from serving.running import Setup
from serving.settings import ServeConfig
from serving.splitting import Splitting


@pytest.fixture
def setup(home, tmp_path, monkeypatch):
    for name, value in running.MLFLOW.items():  # as `serve` has it: nobody waits for minutes
        monkeypatch.setenv(name, value)
    uri = tracking_uri(home.tracking, home.store)
    work = tmp_path / "work"
    work.mkdir()
    return Setup(config=ServeConfig(), home=home.home, work=str(work), zone="UTC", tracking_uri=uri)


def process(setup):
    """The versions of a process that starts now, and whether its first look found any."""
    versions = running._versions(setup, Splitting(setup.config))
    return versions, versions.refresh()


@pytest.fixture
def database(home):
    return Path(home.home, "mlflow", "mlflow.db")


def test_a_process_that_finds_no_registry_serves_what_was_served_last(
    setup, home, database, caplog
):
    before, _ = process(setup)
    away = database.rename(database.with_name("away.db"))
    after, moved = process(setup)
    assert moved, after.refused
    assert after.served["champion"].name == before.served["champion"].name
    assert "what was served last is served (champion 1): there is no MLflow database" in caplog.text
    assert not after.refresh()
    assert "there is no MLflow database" in after.reading.told
    assert not database.exists(), "nobody who only asks makes one"

    away.rename(database)
    registry = registry_of(home)
    champion = registry.version("champion")
    again = registry.client.create_model_version(
        "dupn", champion.source, run_id=champion.run_id, tags=dict(champion.tags)
    )
    registry.client.set_registered_model_alias("dupn", "champion", again.version)
    assert after.refresh(), "once the registry answers, it alone says what is served"
    assert after.served["champion"].name.version == str(again.version)
    assert json.loads((setup.folder / FILE).read_text())["arms"]["champion"]["version"] == "2"


def test_a_process_serves_what_was_served_last_where_the_database_cannot_be_opened(
    setup, tmp_path, caplog
):
    before, _ = process(setup)
    (tmp_path / "mlflow.db" / "a folder").mkdir(parents=True)
    spoilt = setup.model_copy(update={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})
    after, moved = process(spoilt)
    assert moved, after.refused
    assert after.served["champion"].name == before.served["champion"].name
    assert (
        f"last is served (champion 1): sqlite:///{tmp_path}/mlflow.db could not be" in caplog.text
    )


def test_a_process_that_starts_while_nobody_is_champion_serves_who_was_it_last_and_says_so(
    setup, home, caplog
):
    halves = ServeConfig(shares={"champion": 0.5, "challenger": 0.5})
    setup = setup.model_copy(update={"config": halves})
    registry = registry_of(home)
    registry.client.set_registered_model_alias("dupn", "challenger", "1")
    before, _ = process(setup)
    assert sorted(before.served) == ["challenger", "champion"]
    registry.client.delete_registered_model_alias("dupn", "challenger")
    registry.client.delete_model_version("dupn", "1")

    after, moved = process(setup)
    assert moved, after.refused
    assert {arm: one.name for arm, one in after.served.items()} == {
        "champion": before.served["champion"].name
    }, "of another arm the champion answers the users"
    assert "nobody is champion: what was served last is served (1). `dupn status`" in caplog.text
    assert not after.refresh()
    assert not before.refresh()
    assert set(after.missing) == set(before.missing) == {"champion", "challenger"}
    assert sorted(after.served) == ["champion"]


def test_who_was_left_by_a_rollback_is_not_served_where_nobody_is_champion(setup, home):
    registry = registry_of(home)
    champion = registry.version("champion")
    tags = champion.tags | {"run_key": "dupn-2026-03-05"}
    another = registry.client.create_run("0").info.run_id
    other = registry.client.create_model_version("dupn", champion.source, run_id=another, tags=tags)
    registry.promote(str(other.version), "it is better")
    before, _ = process(setup)
    assert before.served["champion"].name.version == "2"
    registry.rollback("it shows what must not be shown")
    registry.client.delete_registered_model_alias("dupn", "champion")
    after, _ = process(setup)
    assert dict(after.served) == {}
    assert after.missing == ("champion",)


def test_who_served_last_is_tried_again_where_the_bundle_could_not_be_read(setup, home):
    process(setup)
    registry_of(home).client.delete_model_version("dupn", "1")
    bundles = Path(home.home, "bundles")
    away = bundles.rename(bundles.with_name("away"))
    versions, moved = process(setup)
    assert (moved, list(versions.refused)) == (False, ["1"])
    assert "nobody is champion, and version 1, which was it last, cannot" in versions.refused["1"]
    away.rename(bundles)
    assert versions.refresh(), versions.refused
    assert not versions.refused
    assert not versions.refresh()
    assert versions.missing == ("champion",)


def test_where_the_ledger_cannot_be_read_others_are_served_and_the_log_says_once_why(
    setup, home, caplog
):
    halves = ServeConfig(shares={"champion": 0.5, "1": 0.5})
    setup = setup.model_copy(update={"config": halves})
    process(setup)
    registry = registry_of(home)
    registry.client.delete_registered_model_alias("dupn", "champion")
    registry.look()
    entry = Path(home.home, "ledger", "00000001.json")
    away = entry.rename(entry.with_name("away"))
    versions, moved = process(setup)
    assert not versions.refresh()
    assert (moved, sorted(versions.served), versions.missing) == (True, ["1"], ("champion",))
    said = "1, which was it last, is not served: whether a rollback left it is not known (ledger/"
    assert caplog.text.count(said) == 1
    away.rename(entry)
    assert versions.refresh()
    assert sorted(versions.served) == ["1", "champion"]


def test_a_spoilt_bundle_of_who_served_last_is_read_once_and_again_when_he_is_champion(
    setup, home, caplog
):
    process(setup)
    registry = registry_of(home)
    registry.client.delete_registered_model_alias("dupn", "champion")
    (weights,) = Path(home.home, "bundles").rglob("model.pt")
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    versions, moved = process(setup)
    for _ in range(5):
        moved |= versions.refresh()
    assert (moved, list(versions.refused)) == (False, ["1"])
    assert versions.refused["1"].startswith("PartitionCorrupt: nobody is champion, and version 1,")
    assert caplog.text.count("version 1 is refused") == 1
    registry.client.set_registered_model_alias("dupn", "champion", "1")
    assert versions.refresh(), "from MLflow"
    assert not versions.refused


def test_without_a_registry_and_without_a_memory_nothing_is_served_and_none_is_made(
    setup, database, caplog
):
    database.unlink()
    versions, moved = process(setup)
    assert (moved, dict(versions.served)) == (False, {})
    assert "there is no MLflow database" in caplog.text
    assert "see that tracking.uri is right" in caplog.text
    assert not database.exists()


@pytest.mark.parametrize("kept", ["{", "[]", '{"home": "/another", "arms": {}}'])
def test_a_memory_of_another_home_or_none_that_can_be_read_is_no_memory(setup, database, kept):
    process(setup)
    file = setup.folder / FILE
    known = json.loads(file.read_text())
    file.write_text(kept if "another" not in kept else json.dumps(known | {"home": "/another"}))
    database.unlink()
    versions, moved = process(setup)
    assert (moved, dict(versions.served)) == (False, {})


def test_services_that_share_a_folder_remember_their_arms_beside_one_another(setup, database):
    process(setup)
    halves = ServeConfig(shares={"champion": 0.5, "1": 0.5})
    process(setup.model_copy(update={"config": halves}))
    process(setup)
    database.unlink()
    one, _ = process(setup)
    two, _ = process(setup.model_copy(update={"config": halves}))
    assert (sorted(one.served), sorted(two.served)) == (["champion"], ["1", "champion"])
