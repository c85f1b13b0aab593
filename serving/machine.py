"""What a service asks of its machine before its workers start: a folder, a port, a shared place.

It says where it listens once it does, and a worker spares the machine what it can, once it has
imported all that it needs.
"""

import gc
import hashlib
import logging
import os
import resource
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from infra.errors import ServingUnavailable, StoreError
from infra.files import writing

logger = logging.getLogger(__name__)

MEMORY = Path("/dev/shm")  # noqa: S108  # whose folder it is, is looked at
"""Files here lie in memory, on Linux."""
ROOM = 1 << 20
"""Bytes that a disk must take before a service starts on it."""


def require_writable(folder: Path) -> None:
    """Make the folder of live behaviours and spools, for this user alone.

    One that is there already keeps the permissions that somebody gave it.

    Raises:
        StoreError: it cannot be written, or has no room.
    """
    try:
        with writing(str(folder)):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(bytes(ROOM))  # a full disk still makes empty files
                probe.flush()
    except StoreError as error:
        raise StoreError(
            f"{error} A service keeps live behaviours there: set serve.work to a folder that can "
            "be written."
        ) from error


def open_files() -> None:
    """Let this process, and those that it starts, open as many files as the system allows.

    Each connection is one, and the usual soft limit of 1,024 is for programs of another age.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems refuse what they call their limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def warn_open(host: str, token: str) -> None:
    """Say that everybody may ask, and write, where an address of the network has no token."""
    if not token and not _is_own(host):
        logger.warning(
            "serve.host is %s and no token is set: whoever reaches the port may ask, and send "
            "behaviours. Set serve.token (or DUPN_SERVE_TOKEN), or listen on 127.0.0.1.",
            host,
        )


def _is_own(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hold_port(host: str, port: int) -> socket.socket:
    """A socket for the workers to listen on; from now on nobody else is given the port.

    Linux binds two services to a port where neither listens yet, and workers import for half a
    minute before they do. Only one can listen, so it does, for a moment; then it allows no reuse
    any more, which keeps others away from a socket that is only bound. Who listens on it allows
    reuse again: connections of a service that was stopped a minute ago would forbid it.

    Raises:
        ServingUnavailable: the port cannot be had.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, port))
        held.listen()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.shutdown(socket.SHUT_RDWR)  # whoever connects is refused until a worker listens
    except OSError as error:
        held.close()
        raise ServingUnavailable(
            f"port {port} of {host} cannot be had ({error.strerror}). Give another one, "
            f"`dupn serve --port N`, or set serve.port (and serve.host)."
        ) from None
    return held


@contextmanager
def telling(host: str, port: int, processes: int) -> Iterator[None]:
    """A block in which a service runs; a line of the log says where, as soon as one gets through.

    Its processes take seconds to import, and do not listen before.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            try:
                socket.create_connection((host, port), timeout=1).close()
            except OSError:
                over.wait(0.2)
            else:
                name = f"[{host}]" if ":" in host else host
                plural = "es" if processes > 1 else ""
                logger.info(
                    "listening on http://%s:%d (%d process%s)", name, port, processes, plural
                )
                return

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def shared(work: Path, host: str, port: int) -> Path:
    """A folder for what the processes of one service map and write: their counts, their meters.

    In memory where that can be had: on a disk that is full, writing to a mapped file kills the
    process (SIGBUS). Named by folder and address, for services may share a `work`. It stays when
    the service ends, for the next one there.
    """
    text = f"{work.resolve()} {host} {port}"
    name = f"dupn-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    with suppress(OSError):
        place = MEMORY / name
        place.mkdir(mode=0o700, exist_ok=True)
        if place.lstat().st_uid == os.getuid():  # anybody may make one there, or a link
            return place
    place = work / name
    with writing(str(place)):
        place.mkdir(parents=True, exist_ok=True)
    return place


def keep_imported() -> None:
    """What was imported stays for as long as the process, and is not walked to see what can go.

    That is a quarter of a million objects, an eighth of a second in which a worker answers nobody,
    again with each full collection. What comes later, versions among it, is collected as ever.
    """
    gc.collect()
    gc.freeze()
