"""The three programs of the local runtime, and what each is started with.

`airflow standalone` on SQLite with a LocalExecutor (`infra.warm`), `mlflow server` on the tracking
database, and `dupn serve`. Every Airflow setting that a small machine needs stands in
`airflow_environment`; a production Airflow has its own.
"""

import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from pydantic import Field

from infra import cores, proxies
from infra.config import Config
from infra.files import writing
from infra.services import Service, free_port, running

NONE: Mapping[str, str] = MappingProxyType({})
EXECUTOR = "infra.warm.WarmExecutor"
MLFLOW_LOGIN = (
    *("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"),
    *("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_INSECURE_TLS"),
    *("MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"),
    *("MLFLOW_S3_ENDPOINT_URL", "MLFLOW_S3_IGNORE_TLS", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"),
    *("MLFLOW_S3_UPLOAD_EXTRA_ARGS", "MLFLOW_S3_EXPECTED_BUCKET_OWNER"),
)
"""How a server and its object store let us in, not which server: that is `tracking.uri`."""
MLFLOW_KEPT = (*MLFLOW_LOGIN, "MLFLOW_DISABLE_TELEMETRY")
"""All of MLflow's variables that the programs inherit."""
SERVED = ("DUPN_SERVE_",)
"""How variables begin that only the service reads."""
NOT_SERVED = ("DUPN_NIGHTLY_", "DUPN_ALERT_", "DUPN_SMTP_", "DUPN_IMPORT_")
"""How variables begin that only Airflow reads."""


class RuntimeConfig(Config):
    """The local Airflow, MLflow UI and service."""

    host: str = "127.0.0.1"
    """Address on which all three listen. They are for one person: do not put them on a network."""
    airflow_port: int = Field(8080, ge=1024, le=64500)
    """First port to try for Airflow; its logs have one that is a thousand higher, or near that."""
    mlflow_port: int = Field(5000, ge=1024, le=65000)
    """First port to try for MLflow."""
    serve_port: int = Field(8000, ge=1024, le=65000)
    """First port to try for the service."""
    parallelism: int = Field(0, ge=0)
    """Tasks at once; 0 for the number of cores that may be used."""
    start_timeout_s: float = Field(240.0, gt=0)
    """For each of the programs to answer after its start."""
    run_timeout_s: float = Field(3600.0, gt=0)
    """How long `dupn run demo` waits for each of its DAG runs."""

    @property
    def slots(self) -> int:
        """Tasks at once."""
        return self.parallelism or cores.usable()


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
    log_port = free_port(port + 1000, config.host, f"logs of {folder}")
    trigger_port = free_port(log_port + 1, config.host, f"triggers' logs of {folder}")
    tools = str(Path(sys.executable).parent)
    return {
        **_inherited(config.host),
        **variables,
        "PATH": os.pathsep.join([tools, os.environ.get("PATH", "")]),
        "DUPN_HOME": str(home),
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
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_port),
        # With the defaults a chain of tasks waits a second between two, and up to five for a slot.
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        # While every core computes the API server answers late; five seconds would fail the task.
        "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        # Now and then a worker sees that its task has ended only when a heartbeat is due, by five
        # seconds late. A heartbeat costs 10 ms; fifty that fail are as long as ten were.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "50",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    }


def airflow(home: Path, dags: Path, config: RuntimeConfig, variables: Mapping[str, str]) -> Service:
    """Airflow over a home; `variables` are those that its tasks find besides."""
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


def mlflow(home: Path, config: RuntimeConfig, tracking: str | None = None) -> Service:
    """MLflow's UI and API over the home's own database, or that of `tracking.uri`."""
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
            **_inherited(config.host),
            "MLFLOW_BACKEND_STORE_URI": database,  # no option: there may be a password in it
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        address=address,
        health=f"{address}/health",
        given=_digest({"DUPN_DATABASE": database}, but=()),
    )


def serve(home: Path, config: RuntimeConfig, variables: Mapping[str, str]) -> Service:
    """The service over a home."""
    folder = home / "serve"
    port = _port(folder, "serve", config.serve_port, config.host)
    address = f"http://{config.host}:{port}"
    environment = {**_inherited(config.host), **variables}
    return Service(
        name="serve",
        folder=folder,
        command=[
            *(sys.executable, "-m", "pipeline.cli.app", "--home", str(home)),
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
    if record:
        return int(record.address.rsplit(":", 1)[1])
    return free_port(first, host, f"{name} of {folder}")


def _inherited(host: str) -> dict[str, str]:
    """Our environment without another Airflow's or MLflow's settings in it.

    A proxy in it is not for what listens on `host`.
    """
    foreign = ("AIRFLOW", "_AIRFLOW", "MLFLOW_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in MLFLOW_KEPT or not name.startswith(foreign)
    }
    return {**kept, **proxies.spared(kept, host)}


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
