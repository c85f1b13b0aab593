"""A real MLflow server in a process of its own, as a shop has one."""

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.ports import free_port

PATIENCE_S = 600
"""It imports much and makes a database, on a machine that may be busy."""


@contextlib.contextmanager
def serving(folder: Path, port: int | None = None) -> Iterator[str]:
    """The address of a server whose database and files lie in a folder."""
    wanted, tries = port, 3
    while True:
        tries -= 1
        port = wanted or free_port()
        process = _started(folder, port)
        try:
            if _answers(process, f"http://127.0.0.1:{port}/health"):
                yield f"http://127.0.0.1:{port}"
                return
            assert tries, "the server has ended"  # else its port was somebody's: another one
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()


def _started(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--host", "127.0.0.1", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
    command += ["--artifacts-destination", str(folder / "files")]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _answers(process: subprocess.Popen[bytes], address: str) -> bool:
    """Waits until it does; False: it has ended."""
    until = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=30).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)
        else:
            return process.poll() is None
    return False
