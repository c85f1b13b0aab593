"""What all tests may share."""

import logging
import sys

import pytest
from hypothesis import HealthCheck, settings

from infra.logs import OURS
from tests import once

# a busy machine is slow, and that is no defect of what is tested
settings.register_profile("dupn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dupn")


@pytest.fixture(autouse=True)
def _process_as_before():
    """A command sets levels of our loggers, and `--json`, for its process: here tests follow it."""
    for name in OURS:
        logging.getLogger(name).setLevel(logging.NOTSET)
    if (loaded := sys.modules.get("pipeline.cli.front")) is not None:
        loaded.front.as_json = loaded.front.debug = False


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    """The smoke chain, run whole, once a session. Read it; copy before you change anything."""
    from tests import chain as chains  # a narrow run does without it, and seconds sooner

    return chains.at(once.folder(tmp_path_factory, "chain", chains.run))
