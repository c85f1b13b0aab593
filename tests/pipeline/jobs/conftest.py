"""The small log of `tests.samples_log` through every job, once a session."""

import pytest

from tests import samples_log


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    home = tmp_path_factory.mktemp("pages")
    samples_log.write(samples_log.make(), home)
    return samples_log.run(home)


@pytest.fixture(scope="session")
def clicks(tmp_path_factory):
    home = tmp_path_factory.mktemp("clicks")
    samples_log.write(samples_log.make(pages=False), home, pages=False)
    return samples_log.run(home)
