"""What all tests may share."""

import pytest

from tests import chain as chains


@pytest.fixture(scope="session")
def chain(tmp_path_factory):
    """The smoke chain, run whole, once a session. Read it; copy before you change anything."""
    return chains.run(tmp_path_factory.mktemp("chain"))
