"""Ten days of a dirty log, built once a session; whoever changes anything works on a copy."""

import pytest

from pipeline import steps
from tests import nights


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """All raw days from the start, one bucket."""
    mine = nights.settings(tmp_path_factory.mktemp("whole"))
    steps.simulate(mine, nights.DAYS[0], len(nights.DAYS))
    nights.at_once(mine)
    return mine
