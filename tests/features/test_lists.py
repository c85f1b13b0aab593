"""Lists of Arrow from arrays of NumPy."""

import numpy as np
import pytest

from features import lists
from infra.errors import ConfigError


def test_a_row_of_a_matrix_is_a_list():
    table = lists.matrix(np.arange(6).reshape(3, 2))
    assert table.to_pylist() == [[0, 1], [2, 3], [4, 5]]
    assert lists.matrix(np.empty((0, 2))).to_pylist() == []


def test_more_values_than_a_column_has_room_for_ask_for_more_buckets():
    candidates = np.broadcast_to(np.int8(0), (2**26, 32))
    with pytest.raises(ConfigError, match=r"2,147,483,648 values.* Set beam\.buckets higher"):
        lists.matrix(candidates)
    with pytest.raises(ConfigError, match=r"2 lists .* Set beam\.buckets higher"):
        lists.offsets(np.full(2, 2**30))
