"""What every test with a real Airflow needs."""

import shutil
import tempfile
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
        shutil.rmtree(folder)
