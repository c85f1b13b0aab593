"""A fresh process asks a model what was recorded for it, with the code that was logged with it."""

import errno
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from infra.errors import DupnError, RegistryError, RegistryUnavailable, StoreError
from infra.scratch import scratch_folder
from infra.tracking import tracking_uri
from pipeline.settings import Settings
from serving import canary as canary_script

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}
"""Of a fresh process with MLflow, which without it asks for longer than `canary.timeout_s`: a
server that is away would be told as a model that does not answer."""


def heard(settings: Settings, uri: str, recorded: bytes, consequence: str) -> Mapping[str, Any]:
    """What a fresh process heard; the consequence is what an error says of wrong scores.

    Raises:
        RegistryError: it did not load, took too long, or answered otherwise than evaluation.
    """
    found = ask(settings, uri, recorded)
    if not found["worst"] <= settings.canary.tolerance:
        raise RegistryError(
            f"the canary heard other scores than evaluation computed: {found['where']} differs by "
            f"{found['worst']:.3g} (allowed {settings.canary.tolerance:g}). {consequence}"
        )
    return found


def ask(settings: Settings, uri: str, recorded: bytes) -> Mapping[str, Any]:
    """What a fresh process heard, whatever it is.

    Raises:
        RegistryError: it took longer than `canary.timeout_s`.
        RegistryUnavailable: it did not answer, or was killed; the sentence has its last word.
        StoreError: there was no room for what it fetched.
    """
    with scratch_folder() as scratch:
        file = scratch / "asked.json"
        file.write_bytes(recorded)
        # As a script (-P: its folder is not searched), so that the model brings its own code.
        command = [sys.executable, "-P", str(canary_script.__file__), uri, str(file)]
        mlflow = {"MLFLOW_TRACKING_URI": tracking_uri(settings.tracking, settings.store)}
        limit = settings.canary.timeout_s
        try:
            done = subprocess.run(  # our own interpreter and module
                command,
                capture_output=True,
                text=True,
                timeout=limit,
                check=True,
                cwd=scratch,
                # MLflow leaves what it fetches in the temporary folder: this one is removed.
                env=PATIENCE | os.environ | mlflow | {"TMPDIR": str(scratch)},
            )
        except subprocess.TimeoutExpired:
            raise RegistryError(
                f"{uri} did not load and answer within {limit:g} s (canary.timeout_s)."
            ) from None
        except subprocess.CalledProcessError as error:
            raise _told(uri, error) from None
    found: Mapping[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _told(uri: str, error: subprocess.CalledProcessError) -> DupnError:
    """Why the process gave no answer."""
    if error.returncode < 0:
        return RegistryUnavailable(
            f"{uri} did not answer in a fresh process, which was killed by signal "
            f"{-error.returncode} (9: mostly for want of memory). Give it more, or let less run "
            "beside it, and run again."
        )
    last = error.stderr.strip().splitlines()[-1:] or ["no message"]
    if os.strerror(errno.ENOSPC) in last[0]:
        return StoreError(
            f"{uri} could not be loaded in a fresh process: the disk is full "
            f"({tempfile.gettempdir()}, or that of MLflow). Make room and run again."
        )
    return RegistryUnavailable(f"{uri} did not answer in a fresh process: {last[0]}")
