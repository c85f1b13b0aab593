"""A server that is away, a disk that is full and a refusal are three things."""

import sqlite3
import subprocess
import sys
import time
import traceback

import pytest
from alembic.util import CommandError
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from infra.errors import ConfigError, RegistryError, RegistryUnavailable, StoreError
from infra.ledger import Ledger
from infra.mlflow_client import Client, Refused, answering, briefly, is_there, prepare
from infra.registry import MODEL, Registry
from infra.store import Store
from infra.tracking import TrackingConfig, tracking_uri
from tests import refusing
from tests.disks import disk, fill

NOBODY = "http://127.0.0.1:9"
WITH_PASSWORD = "http://dupn:s3cret@127.0.0.1:9"


@pytest.fixture
def at_once(monkeypatch):
    """MLflow asks again for four minutes by default."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def test_a_server_that_is_away_may_come_back(at_once):
    with pytest.raises(RegistryUnavailable, match=r"127\.0\.0\.1:9 did not answer .*run the step"):
        Client(NOBODY).get_run("x")


def test_nobody_is_told_the_password_of_a_server_that_is_away(at_once):
    with pytest.raises(RegistryUnavailable, match=r"MLflow at http://127\.0\.0\.1:9 did") as told:
        Client(WITH_PASSWORD).get_run("x")
    assert "s3cret" not in "".join(traceback.format_exception(told.value))


def test_a_server_that_is_away_is_not_a_registry_without_aliases(at_once, tmp_path):
    store = Store(tmp_path)
    Ledger(store).append([], action="promote", aliases={"champion": "1"}, why="first")
    with pytest.raises(RegistryUnavailable):
        Registry(NOBODY, store).look()
    assert len(Ledger(store).entries()) == 1


def test_a_refusal_says_what_and_has_a_code(tmp_path):
    client = Client(f"sqlite:///{tmp_path}/mlflow.db")
    with pytest.raises(Refused, match=r"mlflow\.db refused: .*dupn not found\. See that") as no:
        client.get_registered_model(MODEL)
    assert no.value.code == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(RegistryError, match="version 7 of dupn does not exist") as told:
        Registry(f"sqlite:///{tmp_path}/mlflow.db", Store(tmp_path)).promote("7", "why")
    assert not isinstance(told.value, RegistryUnavailable)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "set MLFLOW_TRACKING_USERNAME and"),
        (403, "have somebody let you do that"),
        (404, "address of an MLflow server"),
    ],
)
def test_who_may_not_ask_is_told_what_to_do(status, remedy, tmp_path):
    with refusing.mlflow(status) as (address, _):
        with pytest.raises(Refused, match=f"(?i){status}.*{remedy}") as told:
            Client(address).log_text("run", "page", "report.html")
        with pytest.raises(Refused, match=f"(?i){remedy}"):
            Registry(address, Store(tmp_path)).look()
    assert not isinstance(told.value, RegistryUnavailable)


def test_a_run_that_was_deleted_is_told_with_a_way_back(tmp_path):
    client = Client(f"sqlite:///{tmp_path}/mlflow.db")
    run = client.create_run("0").info.run_id
    client.delete_run(run)
    with pytest.raises(RegistryError, match=r"is deleted\..*`mlflow runs restore --run-id"):
        client.set_tag(run, "gate", "promote")


def test_a_database_whose_driver_is_not_here_is_told_without_its_password():
    with pytest.raises(ConfigError, match=r"tracking\.uri .* package pymysql") as told:
        Client("mysql+pymysql://dupn:s3cret@nowhere/db").get_run("x")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgresql://dupn:s3cret@db:port/mlflow", "is no address"),
        ("postgresql+foo://dupn:s3cret@db/mlflow", "that no package here knows"),
        ("postgresql:dupn:s3cret", "is no address"),
        ("http://dupn:s3cret@host:port", "is no address"),
        ("http://[host", "is no address"),
        ("http://:5000", "is no address"),
    ],
)
def test_what_is_no_address_of_mlflow_is_a_setting_to_mend(uri, said, tmp_path):
    with pytest.raises(ConfigError, match=rf"tracking\.uri .*{said}") as told:
        tracking_uri(TrackingConfig(uri=uri), Store(tmp_path))
    assert "s3cret" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize("kept", [0, 100, 4096, 40_000])
def test_a_spoilt_database_is_no_outage_and_says_to_put_a_copy_in_its_place(tmp_path, kept):
    file = tmp_path / "mlflow.db"
    prepare(f"sqlite:///{file}")
    file.write_bytes(file.read_bytes()[:kept] + b"\0" * 4096)
    with pytest.raises(StoreError, match=r"mlflow\.db is spoilt .* a copy of before in its place"):
        Client(f"sqlite:///{file}").search_experiments()


def test_a_database_that_cannot_be_opened_is_asked_once_by_who_is_in_haste(tmp_path, monkeypatch):
    (tmp_path / "mlflow.db" / "a folder").mkdir(parents=True)
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    said = r"mlflow\.db could not be written: it is read-only"
    with briefly(), pytest.raises(StoreError, match=said):
        Client(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()
    assert not waits
    with pytest.raises(StoreError, match=said):
        Client(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()
    assert len(waits) > 5


def test_a_database_is_made_with_its_folder(tmp_path):
    file = tmp_path / "not" / "yet" / "mlflow.db"
    assert Client(f"sqlite:///{file}").search_experiments()
    assert file.exists()


def test_a_full_disk_under_the_database_says_so(tmp_path):
    with disk(tmp_path / "home") as home:
        fill(home)
        with pytest.raises(StoreError, match=r"mlflow\.db could not be written: the disk is full"):
            Client(f"sqlite:///{home}/mlflow.db").search_experiments()


def test_a_copy_that_finds_the_disk_full_names_what_could_not_be_written(tmp_path):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "report.html").write_bytes(bytes(5000))
    client = Client(f"sqlite:///{tmp_path}/mlflow.db")
    with disk(tmp_path / "home") as home:
        run = client.create_run(client.create_experiment("x", home.as_uri())).info.run_id
        client.log_text(run, "", "first.txt")  # the folder is there
        fill(home)
        with pytest.raises(StoreError, match=rf"^{home}/.*report\.html could not .* disk is full"):
            client.log_artifacts(run, str(tmp_path / "pages"))


def test_asking_makes_no_database(tmp_path):
    registry = Registry(f"sqlite:///{tmp_path}/mlflow/mlflow.db", Store(tmp_path))
    assert (registry.look(), registry.aliases(), registry.versions()) == ([], {}, [])
    assert registry.version("1") is registry.champion() is None
    with pytest.raises(RegistryError, match="version 1 of dupn does not exist; there are: none"):
        registry.found("1")
    assert not list(tmp_path.iterdir())


def test_a_ledger_whose_database_is_gone_is_told_and_none_is_made_in_its_place(tmp_path):
    registry = Registry(f"sqlite:///{tmp_path}/mlflow.db", Store(tmp_path))
    registry.ledger.append([], action="promote", aliases={"champion": "1"}, why="first")
    with pytest.raises(RegistryError, match=r"mlflow\.db knows no model dupn\..*tracking\.uri"):
        registry.look()
    assert [one.name for one in tmp_path.iterdir()] == ["ledger"]


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///file:/x.db?uri=true", NOBODY])
def test_what_is_no_plain_file_is_asked_whether_it_is_there(uri):
    assert is_there(uri)


def test_a_database_that_is_read_only_says_so(tmp_path):
    with pytest.raises(StoreError, match="read-only"), answering("sqlite:////x.db"):
        _write(tmp_path)


@pytest.mark.drill
def test_two_who_find_no_database_make_one(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    ask = (
        "import sys; from infra.mlflow_client import Client; Client(sys.argv[1]).get_experiment(0)"
    )
    begun = [subprocess.Popen([sys.executable, "-c", ask, uri]) for _ in range(2)]
    assert [process.wait() for process in begun] == [0, 0]


@pytest.mark.drill
@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.8])
def test_whoever_is_killed_while_tables_are_made_leaves_no_half_made_database(tmp_path, seconds):
    file = tmp_path / "mlflow.db"
    code = "import sys; from infra.mlflow_client import prepare; prepare(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", code, f"sqlite:///{file}"])
    while process.poll() is None and not list(tmp_path.glob("mlflow.db.*.new")):
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()
    process.wait()
    found = Client(f"sqlite:///{file}").search_experiments()
    assert [one.name for one in found] == ["Default"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["mlflow.db", "mlflow.db.making"]


def test_a_database_that_was_left_half_made_is_not_asked_again():
    said = "(sqlite3.OperationalError) table scorers already exists"
    with pytest.raises(StoreError, match=r"half made: .* move the file"), answering("sqlite:////x"):
        raise MlflowException(said)


def test_a_database_whose_tables_others_make_may_be_asked_again():
    with pytest.raises(RegistryUnavailable, match="to match one row"), answering("sqlite:////x.db"):
        raise CommandError("Online migration expected to match one row when updating")


def test_a_database_of_another_mlflow_is_no_outage_and_says_to_copy_then_upgrade(tmp_path):
    file = tmp_path / "mlflow.db"
    prepare(f"sqlite:///{file}")
    with sqlite3.connect(file) as database:
        database.execute("UPDATE alembic_version SET version_num = 'bd07f7e963c5'")
    database.close()
    with pytest.raises(RegistryError, match=f"copy it first, then run .*sqlite:///{file}`") as told:
        Client(f"sqlite:///{file}").get_run("x")
    assert "found version bd07f7e963c5" in str(told.value)
    assert not isinstance(told.value, RegistryUnavailable | Refused)


def test_the_database_of_another_mlflow_is_told_without_its_password():
    uri = "postgresql://dupn:s3cret@db/mlflow"
    said = "Detected out-of-date database schema (found version 1). Take a backup of your database"
    with pytest.raises(RegistryError, match=r"`mlflow db upgrade URI`") as told, answering(uri):
        raise MlflowException(said)
    assert "s3cret" not in "".join(traceback.format_exception(told.value))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("x" * 400, f"refused: {'x' * 150} ... {'x' * 150}. See"),
        ("no " + "x" * 400, f"refused: no ... {'x' * 150}. See"),
        ("begin " * 30 + "z" * 300 + " end" * 40, f"begin ... {'end ' * 36}end. See"),
    ],
)
def test_of_a_long_message_both_ends_are_told_in_whole_words_where_it_has_some(words, told):
    with pytest.raises(Refused) as no, answering("http://mlflow"):
        raise MlflowException(words, RESOURCE_DOES_NOT_EXIST)
    assert told in str(no.value)


@pytest.mark.parametrize("before", range(0, 301, 10))
def test_half_a_login_at_the_cut_is_not_told(before):
    words = "x" * before + "http://dupn:" + "s3cret" * 12 + "@mlflow/api?token=s3cret" + "y" * 300
    with pytest.raises(Refused) as no, answering("http://mlflow"):
        raise MlflowException(words, RESOURCE_DOES_NOT_EXIST)
    assert "s3cret" not in str(no.value)


def test_a_database_is_read_where_no_lock_can_be_had(tmp_path):
    (tmp_path / "mlflow.db.making").mkdir()
    found = Client(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()
    assert [one.name for one in found] == ["Default"]


def _write(folder):
    """SQLite itself refuses, and SQLAlchemy tells it on, as under MLflow."""
    import sqlalchemy

    sqlite3.connect(folder / "x.db").execute("CREATE TABLE t (a)").connection.close()
    engine = sqlalchemy.create_engine(f"sqlite:///file:{folder}/x.db?mode=ro&uri=true")
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO t VALUES (1)"))
