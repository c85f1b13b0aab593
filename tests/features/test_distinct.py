import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.distinct import distinct, within

INTEGERS = st.lists(st.integers(-5, 5), max_size=30)


@given(INTEGERS, INTEGERS)
def test_they_are_the_sets_of_python(left, right):
    one, other = np.array(left, np.int64), distinct(np.array(right, np.int64))
    assert other.tolist() == sorted(set(right))
    assert within(one, other).tolist() == [value in set(right) for value in left]
