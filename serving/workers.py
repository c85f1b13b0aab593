"""The processes of a service: replaced when they die or hang, and ended within a promised time.

uvicorn starts them and hears the signals. Its own look at a worker waits for the answer, up to a
minute, so that one which imports on a busy machine is not taken for dead; meanwhile it sees neither
that another has died nor that it shall end, and one that has died while it was asked is waited for
to the last second. At the end it waits for every worker, one that hangs among them, for ever.
"""

import logging
import os
import signal
import socket
import time
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from infra.errors import ServingUnavailable

logger = logging.getLogger(__name__)

HUNG_S = 60.0
"""Seconds after which a worker that does not say that it lives is replaced."""
END_S = 20.0
"""Seconds after which a worker that was asked to end is ended: Kubernetes waits for 30."""
REPLACES = "DUPN_SERVE_REPLACES"
"""Number of the process that ends once this one serves: it takes no connection before."""


def run(app: str, listening: socket.socket, **options: Any) -> None:
    """As `uvicorn.run`, whose options these are: until the service is stopped.

    Args:
        app: where the application is.
        listening: bound to its address; all workers listen on it.
        options: of uvicorn.

    Raises:
        ServingUnavailable: the application cannot start.
    """
    config = uvicorn.Config(app, **options)
    if config.workers > 1:
        several = Workers(config, [listening])
        several.run()
        began = several.began
    else:
        began = _alone(uvicorn.Server(config), listening)
    if not began:  # a supervisor must see that nothing is served
        raise ServingUnavailable("the service could not start; what it lacked stands above.")


def _alone(server: uvicorn.Server, listening: socket.socket) -> bool:
    """Serve in this process; whether it could start."""
    signal.signal(signal.SIGHUP, _pass_over)  # else it ends here, and pages that wait stay behind
    try:
        with suppress(KeyboardInterrupt):  # being stopped is no failure
            server.run([listening])
    except SystemExit as ended:
        if ended.code != STARTUP_FAILURE:
            raise
    return server.started


def _pass_over(*_: object) -> None:
    logger.warning(
        "SIGHUP is passed over: one process has nobody to take its place. Stop the service and "
        "start it again, or give it two (serve.workers)."
    )


class Workers(Multiprocess):
    """uvicorn's supervisor, which waits for no worker to answer."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._asked: dict[Process, float] = {}
        """When each worker was asked that has not answered."""
        self.began = True
        """Whether no worker has said that it cannot start."""

    def keep_subprocess_alive(self) -> None:
        """Look once at each worker; called twice a second."""
        for place, worker in enumerate(self.processes):
            if self._lives(worker):
                continue
            worker.kill()
            worker.join()
            self._asked.pop(worker, None)
            if worker.exitcode == STARTUP_FAILURE:
                logger.error("process %d could not start, and so would others", worker.pid)
                self.began = False
                self.should_exit.set()
                return
            logger.warning("process %d has ended or hangs; another is started", worker.pid)
            self.processes[place] = Process(self.config, self.sockets)
            self.processes[place].start()

    def _lives(self, worker: Process) -> bool:
        """Whether it runs, and has answered or still has time to."""
        if not worker.process.is_alive():
            return False
        now = time.monotonic()
        try:
            if worker.parent_conn.poll():
                worker.parent_conn.recv()
                self._asked.pop(worker, None)
            if worker not in self._asked:
                worker.parent_conn.send(b"ping")
                self._asked[worker] = now
        except (OSError, EOFError):
            return False
        return now - self._asked[worker] < HUNG_S

    def join_all(self) -> None:
        """Wait for the workers, which were asked to end, and end those that do not."""
        until = time.monotonic() + END_S
        for worker in self.processes:
            _see_off(worker, until)

    def restart_all(self) -> None:
        """Put a new worker that serves in the place of each, one after another (SIGHUP)."""
        for place, old in enumerate(self.processes):
            if self._shall_end():
                return
            new = Process(self.config, self.sockets)
            os.environ[REPLACES] = str(old.pid)
            try:
                new.start()
            finally:
                del os.environ[REPLACES]
            if not self._serves(new):
                logger.error("process %d does not serve; %d goes on", new.pid, old.pid)
                new.kill()
                new.join()
                return
            old.terminate()
            self._asked.pop(old, None)
            self.processes[place] = new
            until = time.monotonic() + END_S
            while old.process.is_alive() and time.monotonic() < until:
                if self._shall_end():
                    self.processes.append(old)  # it is waited for with the others
                    return
                old.process.join(0.1)
            _see_off(old, until)

    def _serves(self, new: Process) -> bool:
        """Wait until a worker serves; not for one that does not come to it, nor at the end."""
        until = time.monotonic() + HUNG_S
        while new.process.is_alive() and time.monotonic() < until and not self._shall_end():
            if new.is_ready(timeout=0.5):
                return True
            time.sleep(0.1)
        return False

    def _shall_end(self) -> bool:
        """Whether a signal says so that nobody has looked at yet: this is one look at the last."""
        return not {signal.SIGTERM, signal.SIGINT}.isdisjoint(self.signal_queue)


def _see_off(worker: Process, until: float) -> None:
    """Wait for one that was asked to end; it is killed when the clock says `until`."""
    worker.process.join(max(0.0, until - time.monotonic()))
    if worker.process.exitcode is None:
        logger.warning("process %d hangs, and is ended", worker.pid)
        worker.kill()
        worker.join()
