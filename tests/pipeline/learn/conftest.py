"""A home of six days for each test."""

import pytest

from infra.registry import MODEL
from tests import six_days


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return six_days.template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def settings(template, tmp_path):
    own = six_days.copied(template, tmp_path)
    yield own
    six_days.registry(own).client.delete_registered_model(MODEL)
