"""A real Airflow, the MLflow UI and the service on one machine: demo, tests, a first look.

`airflow standalone` on SQLite with a LocalExecutor (`infra.warm`), `mlflow server` on the tracking
database, and `dupn serve`; all are kept under `DUPN_HOME`, with free ports near the usual ones.
Every Airflow setting that a small machine needs stands in `airflow_environment`; a production
Airflow has its own.
"""

import hashlib
import json
import logging
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

from pydantic import Field

from infra import cores
from infra.addresses import bare
from infra.airflow_api import Airflow, Pool
from infra.config import Config
from infra.errors import ConfigError, OrchestrationError
from infra.files import writing
from infra.services import Service, free_port, running, start, stop, wait_until_healthy

logger = logging.getLogger(__name__)

POOLS = Path(__file__).parent / "deploy" / "airflow" / "pools.json"
DAGS = Path(__file__).parents[1] / "dags"
NONE: Mapping[str, str] = MappingProxyType({})
EXECUTOR = "infra.warm.WarmExecutor"
NAMES = ("airflow", "mlflow", "serve")
MLFLOW_LOGIN = (
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_INSECURE_TLS"),
    *("MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"),
    "MLFLOW_S3_ENDPOINT_URL",
)
"""How a server lets us in, not which one it is: that is `tracking.uri`."""
SERVED = ("DUPN_SERVE_",)
"""How variables begin that only the service reads."""
NOT_SERVED = ("DUPN_NIGHTLY_", "DUPN_ALERT_", "DUPN_SMTP_")
"""How variables begin that only Airflow reads."""
PASSWORDS = "simple_auth_manager_passwords.json.generated"


class RuntimeConfig(Config):
    """The local Airflow, MLflow UI and service."""

    host: str = "127.0.0.1"
    """Address on which all three listen. They are for one person: do not put them on a network."""
    airflow_port: int = Field(8080, ge=1024, le=65000)
    """First port to try for Airflow."""
    mlflow_port: int = Field(5000, ge=1024, le=65000)
    """First port to try for MLflow."""
    serve_port: int = Field(8000, ge=1024, le=65000)
    """First port to try for the service."""
    parallelism: int = Field(0, ge=0)
    """Tasks at once; 0 for the number of cores that may be used."""
    start_timeout_s: float = Field(240.0, gt=0)
    """For either program to answer after its start."""
    run_timeout_s: float = Field(3600.0, gt=0)
    """How long `dupn run demo` waits for its DAG run."""

    @property
    def slots(self) -> int:
        """Tasks at once."""
        return self.parallelism or cores.usable()


def up(
    home: str | Path,
    config: RuntimeConfig | None = None,
    variables: Mapping[str, str] = NONE,
    *,
    tracking: str | None = None,
    dags: Path = DAGS,
) -> Mapping[str, str]:
    """Start what does not run yet and wait until both answer; addresses and login.

    Where MLflow is a server of somebody's, none is started here.

    Args:
        home: a local folder; Airflow and MLflow get a folder each below it.
        config: ports, parallelism, patience.
        variables: of our environment that tasks find besides (`pipeline.settings.handed_on`).
        tracking: `tracking.uri`, where it is set.
        dags: Airflow's DAG folder.
    """
    place, config = local(home), config or RuntimeConfig()
    services = [_airflow(place, dags, config, variables)]
    if not is_server(tracking):
        services.append(_mlflow(place, config, tracking))
    records = [start(service) for service in services]
    for service, record in zip(services, records, strict=True):
        wait_until_healthy(service, config.start_timeout_s)
        logger.info("%s answers at %s", service.name, record.address)
    airflow = connect(place)
    airflow.wait_for_components(config.start_timeout_s)
    for pool in pools(config.slots):
        airflow.set_pool(pool)
    return where(place, tracking)


def up_serve(
    home: str | Path,
    config: RuntimeConfig | None = None,
    variables: Mapping[str, str] = NONE,
    *,
    tracking: str | None = None,
) -> Mapping[str, str]:
    """Start the service if it does not run, and wait until it answers; where everything is.

    It is alive before there is a champion, and ready once there is one (`/readyz`).

    Args:
        home: a local folder.
        config: port and patience.
        variables: as of `up`; they say with which settings it serves.
        tracking: as of `up`.
    """
    place, config = local(home), config or RuntimeConfig()
    service = _serve(place, config, variables)
    record = start(service)
    wait_until_healthy(service, config.start_timeout_s)
    logger.info("%s answers at %s", service.name, record.address)
    return where(place, tracking)


def is_server(tracking: str | None) -> bool:
    """Whether MLflow is somewhere with a page of its own: no file and no database."""
    return bool(tracking) and urlsplit(tracking).scheme in ("http", "https")


def down(home: str | Path) -> Mapping[str, str]:
    """Stop them; what became of each."""
    place = local(home)
    stopped = {name: stop(place / name, name) for name in NAMES}
    return {name: "stopped" if ran else "did not run" for name, ran in stopped.items()}


def local(home: str | Path) -> Path:
    """The home as a folder of this machine.

    Raises:
        ConfigError: it is an object store, where SQLite cannot lie.
    """
    if "://" in str(home):
        raise ConfigError(
            f"the local Airflow cannot live under {home}. Give a folder with --home, or use an "
            "Airflow of your own with DUPN_HOME set to that address."
        )
    return Path(home).absolute()


def where(home: Path, tracking: str | None = None) -> Mapping[str, str]:
    """Addresses and login of what runs under the home; nothing for what does not.

    Args:
        home: a local folder.
        tracking: `tracking.uri`; where it is a server, that is MLflow's address.
    """
    records = {name: running(home / name, name) for name in NAMES}
    found = {name: record.address for name, record in records.items() if record}
    if tracking and is_server(tracking):
        found["mlflow"] = bare(tracking)
    if "airflow" in found:
        user, password = login(home)
        found |= {"airflow user": user, "airflow password": password}
    return found


def login(home: Path) -> tuple[str, str]:
    """User and password of the local Airflow, as it drew them."""
    known: dict[str, str] = json.loads((home / "airflow" / PASSWORDS).read_text())
    return next(iter(known.items()))


def connect(home: str | Path) -> Airflow:
    """A client of the running Airflow, logged in as its UI does.

    Raises:
        OrchestrationError: none runs under this home.
    """
    place = local(home)
    record = running(place / "airflow", "airflow")
    if record is None:
        raise OrchestrationError(f"no Airflow runs under {place}. Start one with `dupn up`.")
    return Airflow(record.address, *login(place))


def pools(cores: int) -> list[Pool]:
    """The pools that the DAGs ask for: one heavy computation at a time, data work on every core."""
    sized = {"data": cores}
    return [
        Pool(name=name, slots=sized.get(name, entry["slots"]), description=entry["description"])
        for name, entry in json.loads(POOLS.read_text()).items()
    ]


def airflow_environment(
    home: Path,
    dags: Path,
    port: int,
    config: RuntimeConfig,
    variables: Mapping[str, str] = NONE,
) -> dict[str, str]:
    """The environment of a standalone Airflow on a small machine."""
    folder = home / "airflow"
    address = f"http://{config.host}:{port}"
    # Two Airflows on one machine must not share the ports of their log servers either.
    log_port = free_port(port + 1000, config.host)
    tools = str(Path(sys.executable).parent)
    return {
        **_inherited(),
        **variables,
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", "")]),
        "DUPN_HOME": str(home),
        "GX_ANALYTICS_ENABLED": "false",
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": EXECUTOR,
        "AIRFLOW__CORE__PARALLELISM": str(config.slots),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__API__HOST": config.host,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": _secret(folder / "jwt_secret"),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_port),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port(log_port + 1, config.host)),
        # With the defaults a chain of tasks waits a second between two, and up to five for a slot.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        # While every core computes the API server answers late; five seconds would fail the task.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "10",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    }


def _airflow(
    home: Path, dags: Path, config: RuntimeConfig, variables: Mapping[str, str]
) -> Service:
    port = _port(home / "airflow", "airflow", config.airflow_port, config.host)
    address = f"http://{config.host}:{port}"
    environment = airflow_environment(home, dags, port, config, variables)
    return Service(
        name="airflow",
        folder=home / "airflow",
        command=["airflow", "standalone"],
        environment=environment,
        address=address,
        health=f"{address}/api/v2/monitor/health",
        given=_digest(environment, but=SERVED),
    )


def _mlflow(home: Path, config: RuntimeConfig, tracking: str | None = None) -> Service:
    folder = home / "mlflow"
    database = tracking or f"sqlite:///{folder}/mlflow.db"
    port = _port(folder, "mlflow", config.mlflow_port, config.host)
    address = f"http://{config.host}:{port}"
    return Service(
        name="mlflow",
        folder=folder,
        command=[
            *(sys.executable, "-m", "mlflow", "server"),
            *("--default-artifact-root", str(folder / "artifacts")),
            *("--host", config.host, "--port", str(port), "--workers", "1"),
        ],
        environment={
            **_inherited(),
            "MLFLOW_BACKEND_STORE_URI": database,  # no option: there may be a password in it
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        address=address,
        health=f"{address}/health",
        given=_digest({"DUPN_DATABASE": database}, but=()),
    )


def _serve(home: Path, config: RuntimeConfig, variables: Mapping[str, str]) -> Service:
    folder = home / "serve"
    port = _port(folder, "serve", config.serve_port, config.host)
    address = f"http://{config.host}:{port}"
    environment = {**_inherited(), **variables}
    return Service(
        name="serve",
        folder=folder,
        command=[
            *(sys.executable, "-m", "pipeline.cli", "--home", str(home)),
            *("--set", f"serve.host={json.dumps(config.host)}", "serve", "--port", str(port)),
        ],
        environment=environment,
        address=address,
        health=f"{address}/healthz",
        given=_digest(environment, but=NOT_SERVED),
    )


def _digest(environment: Mapping[str, str], but: tuple[str, ...]) -> str:
    """Changes with any variable of ours but some, and says none: a password may be among them."""
    ours = {
        name: value
        for name, value in environment.items()
        if name.startswith("DUPN_") and not name.startswith(("DUPN_HOME", *but))
    }
    return hashlib.sha256(json.dumps(ours, sort_keys=True).encode()).hexdigest()[:12]


def _port(folder: Path, name: str, first: int, host: str) -> int:
    """The port it runs on already, else a free one."""
    record = running(folder, name)
    return int(record.address.rsplit(":", 1)[1]) if record else free_port(first, host)


def _inherited() -> dict[str, str]:
    """Our environment without another Airflow's or MLflow's settings in it."""
    foreign = ("AIRFLOW", "_AIRFLOW", "MLFLOW_")
    return {
        name: value
        for name, value in os.environ.items()
        if name in MLFLOW_LOGIN or not name.startswith(foreign)
    }


def _secret(path: Path) -> str:
    """Drawn once, kept readable for the owner alone (shorter than 64 bytes draws a warning)."""
    with writing(str(path)):
        known = path.read_text() if path.exists() else ""
        if known:
            return known
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            scratch.touch(mode=0o600)
            scratch.write_text(secrets.token_urlsafe(64))
            scratch.replace(path)  # whole or absent: an empty one would sign for everybody
        finally:
            scratch.unlink(missing_ok=True)
        return path.read_text()
