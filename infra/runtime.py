"""A real Airflow, the MLflow UI and the service on one machine: demo, tests, a first look.

All three (`infra.programs`) are kept under `DUPN_HOME`, with free ports near the usual ones.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from infra import programs
from infra.addresses import bare
from infra.airflow_api import Airflow, Pool
from infra.errors import ConfigError, OrchestrationError
from infra.home import require_addressable
from infra.programs import NONE, RuntimeConfig
from infra.services import running, start, stop, wait_until_healthy

logger = logging.getLogger(__name__)

POOLS = Path(__file__).parent / "deploy" / "airflow" / "pools.json"
DAGS = Path(__file__).parents[1] / "dags"
NAMES = ("airflow", "mlflow", "serve")
PASSWORDS = "simple_auth_manager_passwords.json.generated"


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
    services = [programs.airflow(place, dags, config, variables)]
    if not is_server(tracking):
        services.append(programs.mlflow(place, config, tracking))
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
    service = programs.serve(place, config, variables)
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
        ConfigError: it is an object store, or another folder where SQLite cannot lie.
    """
    if "://" in str(home):
        raise ConfigError(
            f"the local Airflow cannot live under {home}. Give a folder with --home, or use an "
            "Airflow of your own with DUPN_HOME set to that address."
        )
    require_addressable(home)
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
