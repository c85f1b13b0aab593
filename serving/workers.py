"""The processes of a service: replaced when they die or hang, and ended within a promised time.

uvicorn starts them and hears the signals. Its own look at a worker waits for the answer, up to a
minute, so that one which imports on a busy machine is not taken for dead; meanwhile it sees neither
that another has died nor that it shall end, and one that has died while it was asked is waited for
to the last second. At the end it waits for every worker, one that hangs among them, for ever. And
it starts another in the place of one that cannot start at once, and for ever.
"""

import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from infra.errors import DupnError, ServingUnavailable

logger = logging.getLogger(__name__)

HUNG_S = 60.0
"""Seconds after which a worker that does not say that it lives is replaced."""
END_S = 20.0
"""Seconds after which a worker that was asked to end is ended: Kubernetes waits for 30."""
LONGEST_PAUSE_S = 60.0
"""Seconds between two tries at most, where workers end before they serve; it begins with one."""
LONGEST_WORD = 2000
"""Characters of what a worker says: such a piece goes through its pipe whole."""
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
        lacked = several.lacked
    else:
        lacked = None if _alone(uvicorn.Server(config), listening) else ""
    if lacked is not None:  # a supervisor must see that nothing is served
        why = f": {lacked}" if lacked else "; what it lacked stands above."
        raise ServingUnavailable(f"the service could not start{why}")


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


class Worker(Process):
    """One whose last word, where it cannot start, is a sentence of ours and no trace."""

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """What runs in the new process."""
        try:
            super().target(sockets)
        except DupnError as error:
            self.child_conn.send(str(error)[:LONGEST_WORD])
            sys.exit(STARTUP_FAILURE)


@dataclass
class _Known:
    """What is known of a worker."""

    tries: int = 0
    """Of its place before it, since one served there."""
    asked: float | None = None
    """When it was asked, if it has not answered."""
    served: bool = False
    lacked: str = ""
    """Its last word."""
    again: float | None = None
    """When another is due, once it has ended."""
    without_room: int = 0
    """How often none could be started in its place."""


class Workers(Multiprocess):
    """uvicorn's supervisor, which waits for no worker to answer."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._all: dict[Process, _Known] = {}
        self._served = False
        """Whether any has."""
        self.lacked: str | None = None
        """Why none could start, or nothing if the log has it; None unless the service ended so."""

    def init_processes(self) -> None:
        """Start the first."""
        for _ in range(self.processes_num):
            try:
                new = self._start()
            except OSError as error:
                self.terminate_all()
                self.join_all()
                raise ServingUnavailable(
                    f"only {len(self.processes)} of {self.processes_num} processes could be "
                    f"started ({error}). Let this user have more, or set serve.workers lower."
                ) from error
            self.processes.append(new)

    def handle_signals(self) -> None:
        """Do what was asked for; what this machine has no room for is not done."""
        try:
            super().handle_signals()
        except OSError as error:
            logger.warning("no process could be started (%s); all others go on", error)

    def keep_subprocess_alive(self) -> None:
        """Look once at each worker; called twice a second.

        Before one has served, those that could not start are left: one that is still on its way
        may come up. Where none is, the service ends.
        """
        unable = 0
        for place, worker in enumerate(self.processes):
            if self.should_exit.is_set() or self._shall_end():
                return  # workers may have been told so themselves, as all of a process group
            if self._lives(worker):
                continue
            if not self._served and (worker.exitcode or 0) > 0:
                unable += 1
            elif self._is_due(worker):
                self._replace(place)
        if unable == len(self.processes):
            said = [self._known(worker).lacked for worker in self.processes]
            self.lacked = next(filter(None, said), "")
            self.should_exit.set()

    def _known(self, worker: Process) -> _Known:
        return self._all.setdefault(worker, _Known())

    def _lives(self, worker: Process) -> bool:
        """Whether it runs, and has answered or still has time to."""
        known, now, runs = self._known(worker), time.monotonic(), worker.process.is_alive()
        try:
            self._hear(worker, known)  # the last word of one that has ended, too
            if runs and known.asked is None:
                worker.parent_conn.send(b"ping")
                known.asked = now
        except (OSError, EOFError):
            return False
        return runs and known.asked is not None and now - known.asked < HUNG_S

    def _hear(self, worker: Process, known: _Known) -> None:
        """What it has said since: whether it serves, or why it cannot."""
        while worker.parent_conn.poll():
            word = worker.parent_conn.recv()
            known.asked = None
            if isinstance(word, str):
                known.lacked = word
            elif word:
                known.served = self._served = True

    def _is_due(self, worker: Process) -> bool:
        """Whether another shall take the place of one that has ended or hangs.

        At once if it has served: else after 1, 2, 4, ... seconds, since what it lacked may be
        lacking for hours.
        """
        known = self._known(worker)
        if known.again is None:
            worker.kill()
            worker.join()
            pause = 0.0 if known.served else min(2.0 ** min(known.tries, 10), LONGEST_PAUSE_S)
            known.again = time.monotonic() + pause
            if known.served:
                logger.warning("process %d has ended or hangs; another is started", worker.pid)
            else:
                _forget(worker)
                logger.error(
                    "process %d ended before it served; another is started in %d s: %s",
                    worker.pid,
                    pause,
                    known.lacked or "it was killed, or its trace stands above.",
                )
        return time.monotonic() >= known.again

    def _start(self) -> Worker:
        """A new one, or OSError where this machine has no room for it; nothing is left then."""
        new = Worker(self.config, self.sockets)
        try:
            new.start()
        except OSError:
            for end in (new.parent_conn, new.child_conn):
                end.close()
            raise
        return new

    def _replace(self, place: int) -> None:
        """Start another in the place of one that has ended.

        If that fails, at the next look, and then after 1, 3, 7, ... seconds.
        """
        known = self._known(self.processes[place])
        try:
            new = self._start()
        except OSError as error:
            logger.warning("no process could be started (%s); it is tried again", error)
            known.again = time.monotonic() + min(2.0**known.without_room - 1, LONGEST_PAUSE_S)
            known.without_room = min(known.without_room + 1, 10)
            return
        del self._all[self.processes[place]]
        self._all[new] = _Known(tries=0 if known.served else known.tries + 1)
        self.processes[place] = new

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
            os.environ[REPLACES] = str(old.pid)
            try:
                new = self._start()
            finally:
                del os.environ[REPLACES]
            if not self._serves(new):
                lacked, ended = self._all.pop(new, _Known()).lacked, old.exitcode is not None
                left = "its place stays empty" if ended else f"{old.pid} goes on"
                logger.error("process %d does not serve; %s. %s", new.pid, left, lacked)
                new.kill()
                new.join()
                _forget(new)
                if ended:  # those that serve are to be replaced all the same
                    continue
                return
            old.terminate()
            self._all.pop(old, None)
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
        while time.monotonic() < until and not self._shall_end() and self._lives(new):
            if self._known(new).served:
                return True
            time.sleep(0.1)
        return False

    def _shall_end(self) -> bool:
        """Whether a signal says so that nobody has looked at yet: this is one look at the last."""
        return not {signal.SIGTERM, signal.SIGINT}.isdisjoint(self.signal_queue)


def _forget(worker: Process) -> None:
    """Remove the metrics of one that never served: a new one each minute fills a disk in time.

    Of those that served they stay, since sums do not fall.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # `meters` would begin files of our own
    for file in Path(folder).glob(f"*_{worker.pid}.db") if folder else ():
        file.unlink(missing_ok=True)


def _see_off(worker: Process, until: float) -> None:
    """Wait for one that was asked to end; it is killed when the clock says `until`."""
    worker.process.join(max(0.0, until - time.monotonic()))
    if worker.process.exitcode is None:
        logger.warning("process %d hangs, and is ended", worker.pid)
        worker.kill()
        worker.join()
