import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.raw.identity import hash_column, hash_objects, hash_rows, mix, occurrences

WORD = 2**64
texts = st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=30)


def slow_mix(left, right):
    out = (left + 0x9E3779B97F4A7C15) * 0xFF51AFD7ED558CCD % WORD ^ right
    out ^= out >> 33
    out = out * 0xC4CEB9FE1A85EC53 % WORD
    return out ^ out >> 33


def slow_text(text):
    data = text.encode()
    out = slow_mix(0x9E3779B97F4A7C15, len(data))
    for at in range(0, len(data), 8):
        out = slow_mix(out, int.from_bytes(data[at : at + 8], "little"))
    return out


@given(texts)
def test_texts_hash_as_a_plain_loop_over_their_bytes_does(values):
    array = pa.array(values, pa.string())
    expected = [0x6E756C6C6E756C6C if v is None else slow_text(v) for v in values]
    assert hash_column(array).tolist() == expected
    assert hash_column(array.dictionary_encode()).tolist() == expected
    assert hash_column(array.slice(len(values) // 2)).tolist() == expected[len(values) // 2 :]
    assert hash_column(array.cast(pa.large_string())).tolist() == expected


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, None, 4]),
        pa.array([1.0, 2.5, None, 4.0], pa.float32()),
        pa.array([True, False, None, None]),
        pa.array([1, 2, 3, None], pa.timestamp("ms", "UTC")),
        pa.array([["a", "b"], ["b", "a"], [], None]),
        pa.array([{"a": 1}, {"a": 2}, None, {"a": 3}]),
    ],
)
def test_equal_values_hash_alike_wherever_they_stand(values):
    hashes = hash_column(values)
    plain = values.to_pylist()
    for left in range(len(plain)):
        for right in range(len(plain)):
            assert (hashes[left] == hashes[right]) == (plain[left] == plain[right])
    assert hash_column(values.slice(1)).tolist() == hashes[1:].tolist()


MOMENTS = pa.array([1_700_000_000_000, -1, None, 0], pa.timestamp("ms", "UTC"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([7, 0, -3, None, 2**53]), pa.array([7.0, -0.0, -3.0, None, 2.0**53])),
        (pa.array([9.5, None], pa.float32()), pa.array([9.5, None], pa.float64())),
        (pa.array([[1, 2], None]), pa.array([[1.0, 2.0], None])),
        (MOMENTS, MOMENTS.cast(pa.timestamp("us", "UTC"))),
        (MOMENTS, MOMENTS.cast(pa.timestamp("ns"))),
        (pa.array([5, None], pa.time32("s")), pa.array([5 * 10**9, None], pa.time64("ns"))),
    ],
)
def test_a_value_hashes_alike_in_whatever_type_it_comes(one, other):
    assert hash_column(one).tolist() == hash_column(other).tolist()


@pytest.mark.parametrize(
    "values",
    [
        pa.array([7.0, 7.5, -7.0, 2.0**63, -(2.0**63), float("inf"), float("nan"), 5e-324]),
        pa.array([1_000, 1_001, 1_999, 2_000, -1, -1_000], pa.timestamp("ns")),
        pa.array([0, 1, -1, 253_402_300_799], pa.timestamp("s")),
    ],
)
def test_what_is_nearly_alike_is_told_apart(values):
    assert len(set(hash_column(values).tolist())) == len(values)


def test_a_row_is_more_than_the_bag_of_its_values():
    rows = hash_rows(pa.table({"a": ["x", "y", "x"], "b": ["y", "x", "y"]}))
    assert rows[0] == rows[2] != rows[1]


def test_hashes_are_the_same_in_every_version():
    # `key` is stored, and a later day looks for it
    assert hash_column(pa.array(["100"])).tolist() == [slow_text("100")]
    assert mix(np.array([1], np.uint64), np.array([2], np.uint64)).tolist() == [slow_mix(1, 2)]


@given(st.lists(st.integers(0, 4), max_size=40))
def test_occurrences_count_what_stood_before(values):
    expected = [values[:at].count(value) for at, value in enumerate(values)]
    assert occurrences(np.array(values, np.uint64)).tolist() == expected


def test_an_object_is_its_names_and_values_whatever_others_have():
    few = hash_objects(pa.table({"a": ["x", "y", None]}))
    more = hash_objects(pa.table({"b": pa.nulls(3, pa.string()), "a": ["x", "y", None]}))
    other = hash_objects(pa.table({"b": ["x", "y", "z"], "a": pa.array(["x", None, "z"])}))
    assert few.tolist() == more.tolist()
    assert len({*few.tolist(), *other.tolist()}) == 6
