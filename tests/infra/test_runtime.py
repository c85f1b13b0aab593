import json
import re
import stat
from pathlib import Path

import pytest

from infra import programs, runtime
from infra.errors import ConfigError, OrchestrationError, StoreError
from infra.programs import RuntimeConfig, airflow_environment
from tests.disks import files_up_to


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def environment(home, **settings):
    return airflow_environment(home, Path("/dags"), 18080, RuntimeConfig(**settings))


def test_every_address_names_the_same_port(home):
    found = environment(home)
    assert found["AIRFLOW__API__PORT"] == "18080"
    assert found["AIRFLOW__API__BASE_URL"] == "http://127.0.0.1:18080"
    execution = found["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    assert execution == "http://127.0.0.1:18080/execution/"


def test_log_servers_of_two_airflows_do_not_meet(home):
    found = environment(home)
    ports = {found[f"AIRFLOW__LOGGING__{x}_LOG_SERVER_PORT"] for x in ("WORKER", "TRIGGER")}
    assert len(ports) == 2
    assert not ports & {"8793", "8794", "18080"}


def test_the_secret_is_long_private_and_drawn_once(home):
    secret = environment(home)["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert len(secret.encode()) >= 64
    assert environment(home)["AIRFLOW__API_AUTH__JWT_SECRET"] == secret
    mode = (home / "airflow" / "jwt_secret").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_secret_that_a_full_disk_left_empty_is_drawn_anew(home):
    place = home / "airflow" / "jwt_secret"
    place.parent.mkdir(parents=True)
    with files_up_to(0), pytest.raises(StoreError):
        environment(home)
    assert list(place.parent.glob("*secret*")) == []
    place.touch()
    assert len(environment(home)["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64


def test_as_many_tasks_at_once_as_there_are_usable_cores_or_as_asked(home, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    assert environment(home)["AIRFLOW__CORE__PARALLELISM"] == "1"
    assert environment(home, parallelism=3)["AIRFLOW__CORE__PARALLELISM"] == "3"


def test_the_settings_of_another_airflow_stay_out(home, monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY", "theirs")
    monkeypatch.setenv("AIRFLOW_HOME", "/theirs")
    found = environment(home)
    assert found["AIRFLOW__CORE__EXECUTOR"] == programs.EXECUTOR
    assert found["AIRFLOW_HOME"] == str(home / "airflow")
    assert "AIRFLOW__CORE__FERNET_KEY" not in found


def test_only_how_mlflow_lets_us_in_is_inherited_of_its_variables(home, monkeypatch):
    for name in ("TOKEN", "USERNAME", "PASSWORD", "URI"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "theirs")
    found = environment(home)
    assert {name for name in programs.MLFLOW_LOGIN if found.get(name) == "theirs"} == {
        f"MLFLOW_TRACKING_{name}" for name in ("TOKEN", "USERNAME", "PASSWORD")
    }
    assert "MLFLOW_TRACKING_URI" not in found


def test_tasks_reach_the_bucket_that_whoever_starts_them_reaches(home, monkeypatch):
    from mlflow import environment_variables

    names = [name for name in vars(environment_variables) if re.match("MLFLOW_(S3|BOTO)_", name)]
    for name in names:
        monkeypatch.setenv(name, "theirs")
    found = environment(home)
    assert {"MLFLOW_S3_IGNORE_TLS", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"} <= set(names)
    assert [name for name in names if name not in found] == []


def test_tasks_find_the_settings_that_up_was_given(home, monkeypatch):
    monkeypatch.setenv("DUPN_SET", "seed=1")
    given = {"DUPN_SET": "seed=2\n", "DUPN_HOME": "/elsewhere"}
    found = airflow_environment(home, Path("/dags"), 18080, RuntimeConfig(), given)
    assert found["DUPN_SET"] == "seed=2\n"
    assert found["DUPN_HOME"] == str(home)


def test_a_record_tells_settings_apart_and_holds_none(home):
    def given(value):
        made = programs.serve(home, RuntimeConfig(), {"DUPN_SET": value})
        assert value not in made.given
        return made.given

    assert given("smtp.password=one") == given("smtp.password=one") != given("smtp.password=two")


@pytest.mark.parametrize(
    ("variable", "changes"),
    [
        ("DUPN_NIGHTLY_START", ["airflow"]),
        ("DUPN_ALERT_WEBHOOK", ["airflow"]),
        ("DUPN_SMTP_PASSWORD", ["airflow"]),
        ("DUPN_SERVE_TOKEN", ["serve"]),
        ("DUPN_PRESET", ["airflow", "serve"]),
        ("DUPN_HOME", []),
        ("PATH", []),
    ],
)
def test_a_record_tells_variables_apart_that_its_program_reads(
    home, monkeypatch, variable, changes
):
    def given():
        config = RuntimeConfig()
        airflow = programs.airflow(home, Path("/dags"), config, {})
        return {"airflow": airflow.given, "serve": programs.serve(home, config, {}).given}

    before = given()
    monkeypatch.setenv(variable, "/x")
    after = given()
    assert [name for name in before if before[name] != after[name]] == changes


def test_the_service_listens_where_the_others_do(home):
    service = programs.serve(home, RuntimeConfig(host="127.0.0.2"), {})
    assert 'serve.host="127.0.0.2"' in service.command
    assert service.health.startswith("http://127.0.0.2:")


def test_the_ui_of_mlflow_shows_the_database_in_use_and_no_command_line_does(home):
    secret = "postgresql://me:secret@db/mlflow"
    for tracking, database in ((secret, secret), (None, f"sqlite:///{home}/mlflow/mlflow.db")):
        service = programs.mlflow(home, RuntimeConfig(), tracking)
        assert service.environment["MLFLOW_BACKEND_STORE_URI"] == database
        assert "secret" not in " ".join(service.command) + service.given
    assert programs.mlflow(home, RuntimeConfig(), secret).given != service.given


def test_an_mlflow_of_somebodys_is_where_it_is(home):
    place = runtime.where(home, "https://me:secret@mlflow.shop/base")
    assert place == {"mlflow": "https://mlflow.shop/base"}
    assert not runtime.is_server("sqlite:////data/mlflow.db")
    assert not runtime.is_server(None)


def test_computation_has_one_slot_and_data_a_slot_a_core():
    assert {pool.name: pool.slots for pool in runtime.pools(6)} == {"compute": 1, "data": 6}


def test_pools_can_be_imported_into_an_airflow_of_your_own():
    for pool in json.loads(runtime.POOLS.read_text()).values():
        assert set(pool) == {"slots", "description", "include_deferred"}


def test_an_object_store_is_no_place_for_sqlite():
    with pytest.raises(ConfigError, match="Give a folder with --home"):
        runtime.up("s3://bucket/dupn")


UNWRITABLE = {
    "home": ("home", "a file stands where a folder is needed"),
    "record": ("home/airflow", "a file stands where a folder is needed"),
    "secret": ("home/airflow/jwt_secret/", "a folder stands where the file is to be"),
    "log": ("home/airflow/airflow.log/", "a folder stands where the file is to be"),
}


@pytest.mark.parametrize("what", UNWRITABLE)
def test_a_home_that_cannot_be_written_starts_nothing_and_is_named(tmp_path, what):
    place, wrong = UNWRITABLE[what]
    stands = tmp_path / place
    stands.parent.mkdir(parents=True, exist_ok=True)
    stands.mkdir() if place.endswith("/") else stands.touch()
    with pytest.raises(StoreError, match=f"{place.rstrip('/')}.* could not be written: {wrong}"):
        runtime.up(tmp_path / "home")


def test_stopping_what_does_not_run_is_fine_and_asking_it_is_not(home):
    assert set(runtime.down(home).values()) == {"did not run"}
    assert runtime.where(home) == {}
    with pytest.raises(OrchestrationError, match="dupn up"):
        runtime.connect(home)


def test_no_airflow_is_started_under_a_home_that_sqlite_cannot_name(tmp_path):
    with pytest.raises(ConfigError, match="has %20 in its path"):
        runtime.up(tmp_path / "a%20b", tracking="http://mlflow:5000")
    assert not list(tmp_path.iterdir())
