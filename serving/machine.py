"""What a service asks of its machine before its workers start: a folder, a port, a shared place."""

import socket
import tempfile
from pathlib import Path

from infra.errors import ServingUnavailable, StoreError
from infra.files import writing


def require_writable(folder: Path) -> None:
    """Make the folder of live behaviours and spools.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        with writing(str(folder)):
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
    except StoreError as error:
        raise StoreError(
            f"{error} A service keeps live behaviours there: set serve.work to a folder that can "
            "be written."
        ) from error


def require_port(host: str, port: int) -> None:
    """Asked before uvicorn does, which would leave with the exit code of a gate that refused.

    Raises:
        ServingUnavailable: the port cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServingUnavailable(
                f"port {port} of {host} cannot be had ({error.strerror}). Give another one, "
                f"`dupn serve --port N`, or set serve.port (and serve.host)."
            ) from None


def shared(work: Path, port: int) -> Path:
    """A folder for what the processes of one service map and write: their counts, their meters.

    Named by the port, for another service may have the same `work`.
    """
    place = work / f"port-{port}"
    with writing(str(place)):
        place.mkdir(parents=True, exist_ok=True)
    return place
