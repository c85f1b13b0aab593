"""Long-running local programs (Airflow, the MLflow UI) as pid files: start, look, stop.

A record is written beside the program's log when it starts. It holds the pid *and* when the
process was started, so that a pid that the kernel gave to somebody else is never taken for ours,
and never killed. Starting what runs and stopping what does not are both fine, and so are two who do
either at once: they take turns, since a program without its record is found by nobody.
"""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import requests

from infra import processes, proxies
from infra.errors import OrchestrationError, StoreError
from infra.files import alone, takes_no_writes, writing

logger = logging.getLogger(__name__)

TAIL = 15
"""Lines of a program's log in an error."""
_COLORS = re.compile(r"\x1b\[[0-9;]*m")
_CLAIMED: dict[tuple[str, int], tuple[str, socket.socket]] = {}
"""Ports that this process has chosen, and for what."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """A program to run in the background."""

    name: str
    """One word; `<folder>/<name>.json` is its record and `<folder>/<name>.log` what it said."""
    folder: Path
    """Where record and log lie; closed to other accounts of the machine."""
    command: Sequence[str]
    environment: Mapping[str, str]
    address: str
    """Where a browser finds it."""
    health: str
    """A URL that answers 200 once the program is ready."""
    given: str = ""
    """A digest of the settings that it is started with."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A program that was started."""

    pid: int
    started: str
    """`infra.processes.started` of it."""
    address: str
    given: str = ""
    """As of `Service`."""


def running(folder: Path, name: str) -> Record | None:
    """The record of a program that is alive, else None."""
    record = _recorded(folder, name)
    if record is None:
        return None
    try:
        process = psutil.Process(record.pid)
        alive = process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        same = processes.started(process) == record.started
    except psutil.NoSuchProcess:
        return None
    return record if alive and same else None


def start(service: Service) -> Record:
    """Start it in the background unless it runs; `wait_until_healthy` says when it is ready.

    One that runs keeps the settings of its start, and says so where others are given. What is left
    of one that was killed is ended first.
    """
    with _turn(service.folder, service.name):
        return _start(service)


def _start(service: Service) -> Record:
    _keep_to_ourselves(service.folder)
    record = running(service.folder, service.name)
    if record:
        if record.given != service.given:
            logger.warning(
                "%s runs already, with other settings than these. To give it these, stop it with "
                "`dupn down` and start it again.",
                service.name,
            )
        return record
    _stop(service.folder, service.name)
    path = service.folder / f"{service.name}.log"
    with writing(str(path)):
        said = path.open("ab")
    with said as log:
        process = subprocess.Popen(
            list(service.command),
            env=dict(service.environment),
            cwd=service.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C on the terminal is not for it
        )
    try:
        return _note(service, process.pid)
    except BaseException:  # Ctrl-C among them: without its record nobody would find it
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _note(service: Service, pid: int) -> Record:
    """Write its record down."""
    started = processes.started(psutil.Process(pid))
    record = Record(pid=pid, started=started, address=service.address, given=service.given)
    path = service.folder / f"{service.name}.json"
    with writing(str(path)):
        scratch = path.with_name(f".{path.name}")
        scratch.write_text(json.dumps(asdict(record)))
        scratch.replace(path)  # whoever looks meanwhile finds all of it or nothing
    return record


def _keep_to_ourselves(folder: Path) -> None:
    """Let no other account of the machine in: passwords, databases and logs lie there."""
    try:
        folder.chmod(0o700)
    except OSError as error:  # somebody else's folder, or a disk that knows no permissions
        logger.warning(
            "%s may be read by other accounts of this machine: %s. Passwords and logs lie there; "
            "give a --home on a disk of your own, or close the folder yourself.",
            *(folder, error.strerror),
        )


def wait_until_healthy(service: Service, timeout_s: float) -> float:
    """Block until the health URL answers; the seconds it took.

    Raises:
        OrchestrationError: it ended, or did not answer in time; the message ends with its log.
    """
    begin = time.monotonic()
    there = running(service.folder, service.name)
    # Somebody else may have started it just before us, at another port than we would have.
    address = there.address if there else service.address
    health = address + service.health.removeprefix(service.address)
    while time.monotonic() - begin < timeout_s:
        answers = _answers(health)
        if running(service.folder, service.name) is None:  # then it was somebody else
            raise OrchestrationError(f"{service.name} ended while it started. {_log_tail(service)}")
        if answers and _listens(service, address):
            return time.monotonic() - begin
        if answers:
            raise OrchestrationError(
                f"another program answers at {address}, where {service.name} was to. Stop it with "
                f"`dupn down` and start it again, at a port of its own. {_log_tail(service)}"
            )
        time.sleep(0.25)
    raise OrchestrationError(
        f"{service.name} did not answer at {health} within {timeout_s:.0f} s. {_log_tail(service)}"
    )


def stop(folder: Path, name: str, grace_s: float = 15.0) -> bool:
    """End it and everything it started, which outlives it if it was killed; False if none runs."""
    if not folder.exists():
        return False
    with ExitStack() as turn:
        try:
            turn.enter_context(_turn(folder, name))
        except StoreError as error:  # nobody starts it there, either
            if not takes_no_writes(error.__cause__):
                raise
        return _stop(folder, name, grace_s)


def _turn(folder: Path, name: str) -> AbstractContextManager[None]:
    """A block in which nobody else of this machine starts or stops it."""
    return alone(folder / f"{name}.starting")


def _stop(folder: Path, name: str, grace_s: float = 15.0) -> bool:
    family = _family(folder, name)
    _signal(family, "terminate")
    _, stubborn = psutil.wait_procs(family, timeout=grace_s)
    _signal(stubborn, "kill")
    psutil.wait_procs(stubborn, timeout=5)
    try:
        (folder / f"{name}.json").unlink(missing_ok=True)  # last: without it nobody finds the rest
    except OSError as error:  # the record of a process that is gone starts and stops nothing
        if not takes_no_writes(error):
            raise
    return bool(family)


def free_port(first: int, host: str = "127.0.0.1", name: str = "") -> int:
    """`first` if nobody listens there, else the next free port above it.

    Nothing else is given it here for as long as this process lives: a program takes seconds from
    its start until it listens.

    Args:
        first: the port to begin with.
        host: whose port.
        name: of what shall listen there, which is given its port again.
    """
    for port in range(first, first + 200):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            if _claims(host, port, name):
                return port
    raise OrchestrationError(f"no free port from {first} to {first + 199}. Set another first port.")


def _claims(host: str, port: int, name: str) -> bool:
    """Take the port of UDP with the same number, which no program here uses; whether it was free.

    The kernel gives it to one process of the machine, whoever's, and takes it back at its end.
    """
    if (host, port) in _CLAIMED:
        return _CLAIMED[host, port][0] == name
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind((host, port))
    except OSError:
        claim.close()
        return False
    _CLAIMED[host, port] = name, claim
    return True


def _recorded(folder: Path, name: str) -> Record | None:
    path = folder / f"{name}.json"
    with writing(str(path)):  # whoever cannot read it here cannot write it either
        try:
            return Record(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def _family(folder: Path, name: str) -> list[psutil.Process]:
    if record := running(folder, name):
        parent = psutil.Process(record.pid)
        return [*parent.children(recursive=True), parent]
    record = _recorded(folder, name)
    return processes.left_behind(record.pid, record.started, folder) if record else []


def _answers(url: str) -> bool:
    try:
        with proxies.session() as asking:
            return bool(asking.get(url, timeout=5).ok)
    except requests.RequestException:
        return False


def _listens(service: Service, address: str) -> bool:
    """Whether it, or a program that it started, is who listens there."""
    port = urlsplit(address).port
    for process in _family(service.folder, service.name):
        try:
            lines = process.net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        except psutil.AccessDenied:  # the system does not say: believe the answer
            return True
        if any(line.status == psutil.CONN_LISTEN and line.laddr.port == port for line in lines):
            return True
    return False


def _signal(processes: Sequence[psutil.Process], method: str) -> None:
    for process in processes:
        try:
            getattr(process, method)()
        except psutil.NoSuchProcess:
            continue


def _log_tail(service: Service) -> str:
    path = service.folder / f"{service.name}.log"
    said = _COLORS.sub("", path.read_text(errors="replace"))
    text = said.splitlines()[-TAIL:]
    return f"The end of {path}:\n" + "\n".join(text)
