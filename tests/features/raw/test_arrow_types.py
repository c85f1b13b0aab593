"""Texts that are none: Parquet hands them on as it finds them, in whatever layout."""

import pyarrow as pa
import pytest

from features.raw import columns
from features.raw.arrow_types import readable

CAFE = [b"tea", "caf\N{LATIN SMALL LETTER E WITH ACUTE}".encode("latin-1"), None]


def unchecked(values=tuple(CAFE)):
    """A string column as Parquet gives it: its bytes are whatever they are."""
    told = pa.array(values, pa.binary())
    return pa.StringArray.from_buffers(len(told), *told.buffers()[1:], told.buffers()[0])


def coded(texts):
    return pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0], pa.int8()), texts.slice(0, 2))


def lists(texts):
    return pa.ListArray.from_arrays(pa.array([0, 1, 2, 3], pa.int32()), texts)


def read(array, name="a"):
    return readable(pa.table({name: array}))[name].combine_chunks()


LAYOUTS = {
    "string": unchecked(),
    "large_string": unchecked().cast(pa.large_string()),
    "string_view": unchecked().cast(pa.string_view()),
}


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_a_text_that_is_no_utf8_is_bad_in_its_row_alone(array):
    found = columns.texts(read(array), [], as_id=True)
    assert found.values.to_pylist() == ["tea", None, None]
    assert found.bad.tolist() == [False, True, False]


@pytest.mark.parametrize("array", LAYOUTS.values(), ids=LAYOUTS)
def test_of_a_dictionary_the_rows_of_that_code_are_bad(array):
    found = columns.texts(read(coded(array)), [], as_id=True)
    assert found.values.to_pylist() == ["tea", None, None, "tea"]
    assert found.bad.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "array",
    [
        lists(unchecked()),
        lists(unchecked()).cast(pa.large_list(pa.string())),
        lists(unchecked().cast(pa.large_string())),
        lists(pa.DictionaryArray.from_arrays(pa.array([0, 1, None], pa.int8()), unchecked())),
        pa.FixedSizeListArray.from_arrays(unchecked(), 1),
        pa.ListViewArray.from_arrays(
            pa.array([0, 1, 2], pa.int32()), pa.array([1, 1, 1], pa.int32()), unchecked()
        ),
    ],
    ids=lambda array: str(array.type),
)
def test_a_list_with_a_text_that_is_no_utf8_is_bad_alone(array):
    found = columns.lists(read(array), " ", [])
    assert found.values.to_pylist() == [["tea"], None, [None]]
    assert found.bad.tolist() == [False, True, False]


def test_a_list_in_a_text_that_is_no_utf8_is_bad_beside_one_in_json():
    found = columns.lists(read(unchecked([b"a b", b"caf\xe9", b'["c"]'])), " ", [])
    assert found.values.to_pylist() == [["a", "b"], None, ["c"]]
    assert found.bad.tolist() == [False, True, False]


def test_a_flag_a_number_and_a_time_that_are_no_utf8_are_bad():
    array = read(unchecked([b"1", b"1\xe9", None]))
    assert columns.flags(array, []).bad.tolist() == [False, True, False]
    assert columns.numbers(array, []).bad.tolist() == [False, True, False]
    assert columns.plain_times(array, []).to_pylist() == ["1", None, None]


def test_columns_that_are_sound_stay_as_they_are():
    clean = pa.table({"a": pa.array(["caf\u00e9", None, ""]), "b": pa.array([1.5, None, 2.0])})
    assert readable(clean) is clean
    whole = readable(clean.append_column("c", unchecked()))
    assert whole.drop_columns("c").equals(clean)
    assert whole["c"].to_pylist() == CAFE
