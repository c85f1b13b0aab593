"""What every test with a real Airflow needs."""

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from infra import runtime


@pytest.fixture(scope="module")
def home():
    """Whatever is up in it goes down. Not pytest's scratch folder: an Airflow home is large."""
    folder = Path(tempfile.mkdtemp(prefix="dupn-e2e-"))
    try:
        yield folder
    finally:
        runtime.down(folder)
        _remove(folder)


def _remove(folder):
    """A process that Airflow had just begun may still write its log there."""
    for _ in range(30):
        with suppress(OSError):
            shutil.rmtree(folder)
            return
        time.sleep(1)
    shutil.rmtree(folder)
