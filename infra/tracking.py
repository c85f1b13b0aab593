"""Where runs are recorded: MLflow behind a protocol, and a tracker that keeps quiet.

Without a server, runs lie in SQLite under the home, by absolute address: MLflow's own default
depends on the working directory, and its file store is gone. MLflow takes seconds to import, so
that happens at the first run, never when this module is imported.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field

from infra.config import UNTOLD, Config, flatten
from infra.errors import ConfigError, RegistryError
from infra.files import writing
from infra.home import require_addressable
from infra.identity import HOME, identity
from infra.installed import CODE, code
from infra.mlflow_client import Client, Refused, briefly, parsed, prepare
from infra.moved import follow
from infra.store import Store

logger = logging.getLogger(__name__)

MUTE_S = 600.0
"""Seconds without figures after MLflow did not take some."""
PARAM_LENGTH = 6000
"""MLflow's limit on the value of a param."""


class TrackingConfig(Config):
    """Where MLflow is."""

    uri: Annotated[str | None, UNTOLD] = None
    """Address of a tracking server or database; absent: SQLite under `<home>/mlflow`, so a home
    in an object store needs one."""

    artifacts: str | None = None
    """Where a new experiment puts files; absent: `<home>/mlflow/artifacts`, or the server's own."""

    experiment: str = Field("dupn", min_length=1)
    """Name of the MLflow experiment; made if it is absent."""


class Tracker(Protocol):
    """One run at a time: params once, metrics by step, files."""

    run_id: str
    """Of the run; empty before `start`, and where nothing is recorded."""

    def start(self, name: str, run_id: str | None = None, parent: str | None = None) -> str:
        """Begin a run (inside `parent`), or go on with `run_id` if it is still known; its id."""
        ...

    def ended(self, run_id: str) -> bool:
        """Whether a run was closed; False if whoever recorded it was cut off."""
        ...

    def params(self, values: Mapping[str, Any]) -> None:
        """Settings and lineage of the run, nested names joined by dots."""
        ...

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Figures at a step."""
        ...

    def text(self, content: str, name: str) -> None:
        """A small file of the run."""
        ...

    def file(self, path: Path, folder: str | None = None) -> None:
        """A local file or a folder's content."""
        ...

    def end(self, *, failed: bool = False) -> None:
        """Close the run."""
        ...


class SilentTracker:
    """Records nothing, for runs without MLflow."""

    run_id = ""

    def start(self, name: str, run_id: str | None = None, parent: str | None = None) -> str:
        """An empty id: there is nothing to go on with."""
        del name, parent
        self.run_id = run_id or ""
        return self.run_id

    def ended(self, run_id: str) -> bool:
        """Nothing is left open."""
        del run_id
        return True

    def params(self, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Nothing."""

    def text(self, content: str, name: str) -> None:
        """Nothing."""

    def file(self, path: Path, folder: str | None = None) -> None:
        """Nothing."""

    def end(self, *, failed: bool = False) -> None:
        """Nothing."""


class MlflowTracker:
    """Runs in an MLflow experiment, through a client of its own (no global state is touched)."""

    def __init__(self, config: TrackingConfig, store: Store) -> None:
        self.config = config
        self.store = store
        self.uri = tracking_uri(config, store)
        self.run_id = ""
        self._client: Any = None
        self._picked_up = False
        self._tags: dict[str, str] = {}
        self._mute_until = 0.0

    @property
    def client(self) -> Any:
        """The `MlflowClient`; made (and MLflow imported) when first asked for."""
        if self._client is None:
            self._client = connect(self.uri)
        return self._client

    def start(self, name: str, run_id: str | None = None, parent: str | None = None) -> str:
        """Begin a run, nested in `parent` if there is one, or reopen `run_id`.

        One of this name and home that still counts as running was begun by a process that was
        killed before it kept the id: it is picked up, and left as killed if it turns out to be of
        other settings. Runs of before they carried their home's id count as ours.
        """
        if run_id and self._reopen(run_id):
            return run_id
        experiment = experiment_id(self.config, self.store, self.client)
        who = identity(self.store)
        running = self.client.search_runs(
            [experiment], f"attributes.run_name = '{name}' AND attributes.status = 'RUNNING'"
        )
        left = [run for run in running if run.data.tags.get(HOME, who) == who]
        self._picked_up = bool(left)
        self._tags = {HOME: who, CODE: code(), **({"mlflow.parentRunId": parent} if parent else {})}
        self.run_id = (left[0] if left else self._made(experiment, name)).info.run_id
        return self.run_id

    def _made(self, experiment: str, name: str) -> Any:
        return self.client.create_run(experiment, run_name=name, tags=self._tags)

    def ended(self, run_id: str) -> bool:
        """Whether a run was closed, or is gone."""
        try:
            return bool(self.client.get_run(run_id).info.status != "RUNNING")
        except Refused:
            return True

    def _reopen(self, run_id: str) -> bool:
        with suppress(Refused):
            self.client.update_run(run_id, status="RUNNING")
            self.run_id = run_id
            return True
        return False

    def params(self, values: Mapping[str, Any]) -> None:
        """Log params; those of a resumed run that are already there stay as they are.

        A run that was picked up and turns out to be of other settings is left (`run_id` changes).
        """
        from mlflow.entities import Param

        run = self.client.get_run(self.run_id)
        known = run.data.params
        flat = {key: str(value)[:PARAM_LENGTH] for key, value in flatten(values).items()}
        if self._picked_up and any(flat.get(key) != known[key] for key in known):
            self.end_as("KILLED")
            made = self._made(run.info.experiment_id, run.info.run_name)
            self.run_id, known = made.info.run_id, {}
        new = [Param(key, value) for key, value in flat.items() if key not in known]
        for start in range(0, len(new), 100):  # MLflow's limit of params a call
            self.client.log_batch(self.run_id, params=new[start : start + 100])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log all figures of a step in one call; a server that is away does not end the work.

        Nor does it hold it up: after a failure no figures are sent for some minutes.
        """
        if time.monotonic() < self._mute_until:
            return
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        batch = [Metric(name, float(value), now, step) for name, value in values.items()]
        try:
            with briefly():
                self.client.log_batch(self.run_id, metrics=batch)
        except RegistryError as error:
            self._mute_until = time.monotonic() + MUTE_S
            logger.warning(
                "the figures of step %d are not in MLflow: %s Those of the next %.0f minutes are "
                "not sent; the work goes on.",
                *(step, error, MUTE_S / 60),
            )

    def history(self, run_id: str, prefixes: tuple[str, ...]) -> dict[str, dict[int, float]]:
        """Value by step of a run's metrics whose names start so; none if the run is not known."""
        found: dict[str, dict[int, float]] = {}
        try:
            known = self.client.get_run(run_id).data.metrics
            for name in sorted(known):
                if name.startswith(prefixes):
                    points = self.client.get_metric_history(run_id, name)
                    found[name] = {point.step: point.value for point in points}
        except RegistryError as error:
            logger.warning("the curves of run %s are not in MLflow: %s", run_id, error)
        return found

    def text(self, content: str, name: str) -> None:
        """Log a small file."""
        self.client.log_text(self.run_id, content, name)

    def file(self, path: Path, folder: str | None = None) -> None:
        """Log a local file, or all files of a folder."""
        log = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
        log(self.run_id, str(path), folder)

    def end(self, *, failed: bool = False) -> None:
        """Mark the run finished or failed."""
        self.end_as("FAILED" if failed else "FINISHED")

    def end_as(self, status: str) -> None:
        """Mark the run as MLflow says it."""
        self.client.set_terminated(self.run_id, status)


def tracking_uri(config: TrackingConfig, store: Store) -> str:
    """The absolute address of the tracking store, for whoever may write there.

    The folder of an embedded database is made; if it was elsewhere, it is told (`infra.moved`).

    Raises:
        ConfigError: as of `address`.
    """
    uri = address(config, store)
    if config.uri is None:
        folder = Path(store.address("mlflow"))
        with writing(str(folder)):
            own = folder if config.artifacts else folder / "artifacts"
            own.mkdir(parents=True, exist_ok=True)
        follow(uri, store)
    return uri


def address(config: TrackingConfig, store: Store) -> str:
    """The same for whoever only asks: nothing is made.

    Raises:
        ConfigError: the home is an object store, or the address is a folder, so SQLite cannot be;
            or it is of a database in whatever folder a command happens to run, or no address.
    """
    if config.uri is None:
        if not store.is_local:
            raise ConfigError(
                f"tracking.uri is not set, and SQLite cannot lie under {store.root}. "
                "Set it to your MLflow server, for example --set tracking.uri=http://host:5000."
            )
        require_addressable(store.root)
        return f"sqlite:///{store.address('mlflow')}/mlflow.db"
    given = parsed(config.uri)
    if given.scheme.partition("+")[0] == "sqlite" and not given.path.startswith(("//", "/file:/")):
        raise ConfigError(
            "tracking.uri is another database in every working folder. Give its "
            "absolute path: sqlite:////absolute/path.db, with four slashes."
        )
    if given.scheme in ("", "file"):
        raise ConfigError(
            "tracking.uri is a folder (it has no http:// or the like before it), and MLflow's "
            "file store is gone. "
            "Give a server (http://...) or a database (sqlite:////absolute/path.db)."
        )
    return config.uri


def require(config: TrackingConfig, store: Store) -> None:
    """Before hours of work that end in MLflow: it answers, and the experiment takes runs.

    The embedded database is made, if it is not there.

    Raises:
        ConfigError: as of `tracking_uri` and `experiment_id`.
        RegistryUnavailable: the server does not answer.
        Refused: it does not let us in.
    """
    uri = tracking_uri(config, store)
    if config.uri is None:
        prepare(uri)
        return
    with briefly():
        experiment_id(config, store, connect(uri))


def connect(uri: str) -> Any:
    """A client of tracking store and registry (`Any`: its calls are those of `MlflowClient`)."""
    return Client(uri)


def experiment_id(config: TrackingConfig, store: Store, client: Any) -> str:
    """The id of the configured experiment, which is made if it is absent.

    Raises:
        ConfigError: it was deleted in MLflow, which keeps the name and takes no run of it.
    """
    known = client.get_experiment_by_name(config.experiment)
    if known is None:
        return _made(config, store, client)
    if known.lifecycle_stage == "deleted":
        raise ConfigError(
            f"the MLflow experiment {config.experiment!r} was deleted. Restore it "
            f"(`MLFLOW_TRACKING_URI={tracking_uri(config, store)} mlflow experiments restore "
            f"--experiment-id {known.experiment_id}`), or give another name: "
            "--set tracking.experiment=NAME."
        )
    return str(known.experiment_id)


def _made(config: TrackingConfig, store: Store, client: Any) -> str:
    try:
        return str(client.create_experiment(config.experiment, _artifacts(config, store)))
    except Refused:
        known = client.get_experiment_by_name(config.experiment)
        if known is None:
            raise
        return str(known.experiment_id)  # another process was faster


def _artifacts(config: TrackingConfig, store: Store) -> str | None:
    """Where files go; a server that is asked over HTTP decides for itself."""
    if config.artifacts is not None or (config.uri or "").startswith("http"):
        return config.artifacts
    folder = store.address("mlflow", "artifacts")
    return Path(folder).as_uri() if store.is_local else folder
