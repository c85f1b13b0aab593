"""A process that lives long asks the database of MLflow that is there now."""

import importlib.util
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.store.db import utils

from infra.errors import RegistryError, RegistryUnavailable
from infra.mlflow_client import Client, Refused, prepare
from infra.registered import MODEL, Registered


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory):
    """A database of two versions, the first of which is champion."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    prepare(f"sqlite:///{file}")
    registered = Registered(f"sqlite:///{file}")
    registered.client.create_registered_model(MODEL)
    for _ in range(2):
        registered.client.create_model_version(MODEL, file.parent.as_uri(), None)
    registered.point("champion", "1")
    return file


@pytest.fixture
def file(two_versions, tmp_path):
    """The same, of which `backup` is a copy."""
    shutil.copy(two_versions, tmp_path / "backup")
    return Path(shutil.copy(two_versions, tmp_path / "mlflow.db"))


@pytest.fixture
def registered(file):
    """Somebody who has seen the second version become champion."""
    found = Registered(f"sqlite:///{file}")
    found.point("champion", "2")
    return found


def test_who_asks_on_reads_and_writes_the_backup_that_was_put_in_the_place_of_a_database(
    registered, file
):
    file.with_name("backup").replace(file)
    assert registered.aliases() == {"champion": "1"}
    registered.point("challenger", "2")
    with closing(sqlite3.connect(file)) as database:
        found = database.execute("SELECT alias, version FROM registered_model_aliases").fetchall()
    assert dict(found) == {"champion": 1, "challenger": 2}


def test_runs_are_of_the_database_that_is_there(file):
    client = Client(f"sqlite:///{file}")
    run = client.create_run("0").info.run_id
    file.with_name("backup").replace(file)
    with pytest.raises(Refused, match=f"'?{run}'? not found"):
        client.get_run(run)


def test_a_database_that_was_moved_away_takes_no_more_until_it_is_back(registered, file):
    file.rename(file.with_name("away"))
    with pytest.raises(RegistryUnavailable, match=r"no MLflow database .*nobody moved the file"):
        registered.point("challenger", "1")
    assert not file.exists()
    file.with_name("away").rename(file)
    assert registered.aliases() == {"champion": "2"}


def test_a_backup_of_another_mlflow_is_told_as_by_a_process_that_begins(registered, file):
    backup = file.with_name("backup")
    with closing(sqlite3.connect(backup)) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'bd07f7e963c5'")
    file.rename(file.with_name("before"))
    backup.replace(file)
    for _ in range(2):
        with pytest.raises(RegistryError, match="found version bd07f7e963c5") as told:
            registered.aliases()
        assert not isinstance(told.value, RegistryUnavailable | Refused)
    file.with_name("before").replace(file)  # the very file of before is asked again
    assert registered.aliases() == {"champion": "2"}
    registered.point("challenger", "2")
    with closing(sqlite3.connect(file)) as database:
        found = database.execute("SELECT alias FROM registered_model_aliases").fetchall()
    assert set(found) == {("champion",), ("challenger",)}


def test_a_database_that_stays_keeps_its_connections(registered, file):
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    pool = SqlAlchemyStore._engine_map[f"sqlite:///{file}"].pool
    registered.aliases()
    kept = SqlAlchemyStore._engine_map[f"sqlite:///{file}"].pool
    assert kept is pool


@pytest.fixture
def make():
    """As a program has it; in tests a file of the session is copied instead."""
    spec = importlib.util.find_spec("infra.mlflow_file")
    anew = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(anew)
    return anew.make


def test_a_database_has_its_name_when_it_has_all_tables_and_nothing_lies_beside(
    make, tmp_path, monkeypatch
):
    file, during, tables = tmp_path / "mlflow.db", [], utils._initialize_tables

    def watched(engine):
        tables(engine)
        during.append(file.exists())

    monkeypatch.setattr(utils, "_initialize_tables", watched)
    make(file)
    assert during == [False]
    assert list(tmp_path.iterdir()) == [file]
    with closing(sqlite3.connect(file)) as opened:
        found = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
    assert {"runs", "registered_models", "registered_model_aliases"} <= found
