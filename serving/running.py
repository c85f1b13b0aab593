"""A serving process: how it comes up from an environment, and what goes on beside the requests.

`dupn serve` prepares what all processes share (the snapshot of the newest `sequences`), writes
`Setup` into the environment and lets uvicorn start the workers; each calls `build`. Beside the
requests a process looks at the registry, takes over newer snapshots and flushes exposures, each at
its own pace in a thread of its own: none waits for another, and the end for none of them for long.
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import psutil
import torch
from fastapi import FastAPI
from pydantic import BaseModel

from features.carry import ONE_DAY
from infra import cores, logs
from infra.errors import DupnError
from infra.orphans import end_with_parent
from infra.registry import Registry
from infra.store import Store
from serving import accepting, chosen_histories, machine, meters
from serving import app as http
from serving.exposures import ExposureLog
from serving.histories import Histories
from serving.last_served import LastServed
from serving.published import OnePublished
from serving.reading import Reading
from serving.served import Name
from serving.service import Service
from serving.settings import ServeConfig
from serving.splitting import Splitting
from serving.user_part import Runtime
from serving.versions import LONGEST_PAUSE, FromRegistry, OneFolder, Source, Versions

logger = logging.getLogger(__name__)

GRACE_S = 10
"""Seconds that requests under way have when the service is stopped."""
LEAVE_S = 3
"""Seconds that work beside the requests has to end: a look may wait for MLflow for longer."""
VARIABLE = "DUPN_SERVE"
MLFLOW = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}
"""A service looks again in seconds; with MLflow's own patience one look may take four minutes."""


class Setup(BaseModel):
    """What a serving process must know."""

    config: ServeConfig
    home: str
    """The store: `sequences` are read there, exposures written."""
    work: str
    """A local folder for snapshots, live behaviours, spools and item tables."""
    zone: str
    """The data set's time zone."""
    tracking_uri: str = ""
    """Of MLflow; unused with a `bundle` or a `name`."""
    bundle: str = ""
    """A folder of this machine that holds a bundle, served without a registry."""
    run: str = ""
    """Names the `bundle`."""
    name: Name | None = None
    """Of a published bundle of the store, served without a registry."""

    @property
    def folder(self) -> Path:
        """`work` as a path."""
        return Path(self.work)


@dataclass
class Background:
    """What goes on beside the requests of one process."""

    setup: Setup
    service: Service
    histories: Histories
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _pause: int = 0
    """Looks from the last failed try of newer histories to the next."""
    _rest: int = 0
    """Looks that are left of it."""

    def start(self) -> None:
        """Begin: each kind of work at its own pace."""
        poll, flush = self.setup.config.poll_s, self.setup.config.flush_s
        for seconds, work in ((poll, self.look), (poll, self.catch_up), (flush, self.flush)):
            thread = threading.Thread(target=self._every, args=(seconds, work), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Begin nothing more, give what runs a moment to end, and move what was shown."""
        self._stopped.set()
        until = time.monotonic() + LEAVE_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.flush()

    def _every(self, seconds: float, work: Callable[[], None]) -> None:
        while not self._stopped.wait(seconds):
            work()

    def flush(self) -> None:
        """What was shown, under `raw/`."""
        try:
            if self.service.exposures is not None:
                self.service.exposures.flush()
        except Exception:  # as in `look`
            logger.exception("moving exposures under raw/ failed")

    def look(self) -> None:
        """Once: the registry."""
        try:
            splitting, versions = self.service.splitting, self.service.versions
            splitting.look()
            if versions.refresh(keep=splitting.now.shares):
                meters.SWAPS.inc()
            splitting.settle(versions.served)
            meters.tell(versions)
        except Exception:  # requests go on whatever happens here; the next look tries again
            logger.exception("looking for newer versions failed")

    def catch_up(self) -> None:
        """Go on from a newer day's end, or from the same one if it was published anew.

        After a failure that is tried again at once, then after 2, 4, ... looks, as versions are.
        """
        meters.AWAY.set(self.service.outages.seconds)  # here, as no registry holds it up
        self._rest -= 1
        if self._rest > 0:
            return
        try:
            self.histories.follow(Store(self.setup.home))
            self._pause = 0
        except Exception as error:  # as in `look`
            self._rest = self._pause = min(2 * self._pause or 1, LONGEST_PAUSE)
            said = f"newer histories wait; the next try is look {self._pause} from now"
            if isinstance(error, DupnError):
                logger.warning("%s: %s", said, error)
            else:
                logger.exception(said)


def build() -> FastAPI:
    """The application of one worker process (uvicorn's factory)."""
    from serving import workers

    end_with_parent()
    machine.keep_imported()
    logs.configure(quiet=False)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # a line a look while MLflow is away
    setup = Setup.model_validate_json(os.environ[VARIABLE])
    torch.set_num_threads(setup.config.threads)
    histories = _histories(setup)
    splitting = _splitting(setup, histories)
    config = setup.config
    versions = _versions(setup, splitting)
    splitting.look()
    versions.refresh()
    splitting.settle(versions.served)
    meters.tell(versions)
    exposures = None
    if config.exposures:
        exposures = ExposureLog(Store(setup.home), setup.folder / "spool", setup.zone)
    service = Service(versions, histories, config, exposures, splitting)
    background = Background(setup, service, histories)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        background.start()
        while workers.REPLACES in os.environ and not service.ready:  # a look may find a version
            await asyncio.sleep(0.1)
        yield
        background.stop()

    return http.create(service, lifespan)


def serve(setup: Setup) -> None:
    """Run until stopped: one process a core, answering on one port.

    Raises:
        StoreError: the folder of live behaviours and spools cannot be written.
        ServingUnavailable: the port cannot be had, or the live behaviours not be read.
        ConfigError: `serve.histories` names what cannot be imported or called.
    """
    machine.require_writable(setup.folder)
    config = setup.config
    with machine.hold_port(config.host, config.port) as listening:  # before another's counts go
        machine.warn_open(config.host, config.token)
        machine.open_files()
        _histories(setup)  # once for all workers; a file that is spoilt would end each of them
        os.environ.update(environment(setup))
        _run(config, listening)


def _run(config: ServeConfig, listening: socket.socket) -> None:
    from serving import workers

    # uvicorn ends what runs and raises the signal again: being stopped is no failure
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    processes = _workers(config)
    with machine.telling(config.host, config.port, processes):
        workers.run(
            "serving.running:build",
            listening,
            factory=True,
            host=config.host,
            port=config.port,
            workers=processes,
            log_config=None,  # its lines are written as ours are
            log_level="warning",
            access_log=False,
            loop="serving.accepting:loop",
            http="serving.shedding:Protocol",
            ws="none",  # nothing here speaks it; a connection that changes over counts for ever
            timeout_graceful_shutdown=GRACE_S,
            timeout_worker_healthcheck=60,  # 5 s are few for one that imports on a busy machine
        )


def environment(setup: Setup) -> Mapping[str, str]:
    """What a worker process finds in its environment."""
    place = machine.shared(setup.folder, setup.config.host, setup.config.port)
    metrics = place / "metrics"
    metrics.mkdir(exist_ok=True)
    for old in metrics.glob("*.db"):
        old.unlink()
    board, workers = place / "connections", _workers(setup.config)
    accepting.prepare(board, workers)
    # A single process serves where it has imported Prometheus already, and counts for itself.
    counts = {meters.FOLDER_VARIABLE: str(metrics)} if workers > 1 else {}
    threads = str(setup.config.threads)
    return {
        **{name: os.environ.get(name, usual) for name, usual in MLFLOW.items()},
        VARIABLE: setup.model_dump_json(),
        accepting.VARIABLE: str(board),
        **counts,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
    }


def _histories(setup: Setup) -> Histories:
    patience_s = setup.config.timeout_s / 4  # whoever only asks waits with who writes
    return chosen_histories.histories(
        Store(setup.home), setup.folder, setup.zone, patience_s, setup.config.histories
    )


def _splitting(setup: Setup, histories: Histories) -> Splitting:
    """Days are those of the clock on the wall, or of a shop whose days lie ahead of it."""

    def today() -> date:
        return max(datetime.now(ZoneInfo(setup.zone)).date(), histories.day + ONE_DAY)

    return Splitting(setup.config, None if setup.bundle or setup.name else Store(setup.home), today)


def _versions(setup: Setup, splitting: Splitting) -> Versions:
    own, config, reading = _own_folder(setup), setup.config, Reading()
    source = _source(setup, own, splitting, reading)
    runtime = Runtime(config.user_part, config.threads)
    versions = Versions(source, own, config.tolerance, runtime, setup.zone, reading=reading)
    if isinstance(source, LastServed):
        versions.remember = source.remember
    return versions


def _workers(config: ServeConfig) -> int:
    return config.workers or cores.usable()


def _own_folder(setup: Setup) -> Path:
    """This process's; those of processes that are gone are removed."""
    folder = setup.folder / "versions"
    there = list(folder.glob("*"))  # before the processes: one that starts now is not among them
    others = {str(process) for process in psutil.pids() if process != os.getpid()}
    for old in there:
        if old.name.isdecimal() and old.name not in others:  # `lost+found` is none of ours
            shutil.rmtree(old, ignore_errors=True)
    return folder / str(os.getpid())


def _source(setup: Setup, own: Path, splitting: Splitting, reading: Reading) -> Source:
    arms = tuple(setup.config.shares)
    if setup.bundle:
        name = Name(version=setup.run or "bundle", run=setup.run)
        return OneFolder(Path(setup.bundle), name, arms)
    store, bundles = Store(setup.home), copies(setup.folder)
    if setup.name is not None:
        return OnePublished(store, setup.name, bundles, arms)
    registry = Registry(setup.tracking_uri, store)
    source = FromRegistry(registry, splitting, bundles, own, reading)
    return LastServed(source, splitting, store, setup.folder, bundles)


def copies(work: Path) -> Path:
    """Where bundles of an object store are copied to, once a machine."""
    return work / "bundles"


if __name__ == "__main__":  # a service in a process of its own: the bench, `make up`
    serve(Setup.model_validate_json(os.environ[VARIABLE]))
