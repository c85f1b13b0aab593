"""What all tests may share."""

import pytest
from hypothesis import HealthCheck, settings

# a busy machine is slow, and that is no defect of what is tested
settings.register_profile("dupn", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("dupn")


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    """The smoke chain, run whole, once a session. Read it; copy before you change anything."""
    from tests import chain as chains  # a narrow run does without it, and seconds sooner

    return chains.run(tmp_path_factory.mktemp("chain"))
