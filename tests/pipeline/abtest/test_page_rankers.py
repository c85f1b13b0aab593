"""Profiles of the closed loop reach a model in the columns that it knows."""

from dataclasses import replace
from datetime import date
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.abtest.page_rankers import Audience, PageArm
from serving import snapshot

KNOWN = ("profile_age", "profile_gender")
PEOPLE = np.array([5, 9], np.uint64)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (None, [[3, 5], [1, 1]]),
        (("profile_gender",), [[5], [1]]),
        (("profile_gender", "profile_zip"), [[5, 1], [1, 1]]),
    ],
)
def test_a_column_is_known_by_its_name(columns, expected):
    told = replace(
        snapshot.empty(date(2026, 3, 2)),
        known=PEOPLE[:1],
        profiles=np.array([[3, 5]], np.int32),
        columns=KNOWN,
    )
    none = np.empty(0, np.uint64)
    catalog = SimpleNamespace(hashes=none, rows=none.astype(np.int32))
    audience = Audience(None, PEOPLE, none, told)
    arm = PageArm(audience, SimpleNamespace(catalog=catalog), None, columns)
    assert arm.profiles.tolist() == expected
