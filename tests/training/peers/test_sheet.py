"""Hashed features: none is where nothing is, pairs have an order, places are spread evenly."""

import numpy as np

from training.peers.ftrl import ABSENT
from training.peers.sheet import Sheet

MANY = 1 << 15


def column(count):
    return np.arange(1, count + 1)[:, None]


def test_a_feature_that_is_there_is_never_where_nothing_is():
    sheet = Sheet(bits=8)
    sheet.add(column(MANY))
    assert sheet.rows().min() > ABSENT
    assert sheet.rows_by_class(3).min() > ABSENT


def test_a_pair_the_other_way_round_is_another():
    one, other = Sheet(bits=28), Sheet(bits=28)
    one.cross(column(9), column(9)[::-1])
    other.cross(column(9)[::-1], column(9))
    middle = np.arange(9) == 4
    assert np.array_equal(one.rows() == other.rows(), middle[:, None])


def test_the_same_values_of_another_kind_are_another_feature_unless_they_share_a_slot():
    sheet = Sheet(bits=28)
    for slot in (None, None, -1, -1, -2):
        sheet.cross(column(9), column(9), slot)
    for row in sheet.rows():
        assert len(set(row)) == 4
        assert row[2] == row[3]


def test_neighbouring_values_are_spread_over_the_whole_table():
    """By chance a share is off by a sixteenth, and next to never by five of them."""
    sheet = Sheet(bits=10)
    sheet.add(column(MANY))
    for places in (sheet.rows(), *sheet.rows_by_class(3).transpose(1, 0, 2)):
        share = np.bincount(places.ravel() // 8, minlength=128) * 128 / MANY
        assert abs(share - 1).max() < 0.3


def test_features_that_share_a_place_in_one_class_have_places_of_their_own_in_another():
    sheet = Sheet(bits=10)
    sheet.add(column(MANY))
    one, other = sheet.rows_by_class(2)[..., 0].T
    order = np.argsort(one)
    together = np.diff(one[order]) == 0
    assert together.mean() > 0.9
    assert (np.diff(other[order]) == 0)[together].mean() < 0.01
