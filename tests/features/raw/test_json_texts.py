"""Texts within lists and objects of JSON lines are what `json.loads` makes of them, and numbers
what Polars does."""

import io
import json

import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from features.raw import columns
from features.raw.parse import text_blocks
from features.raw.raw_table import Table

SIGNS = '\\\\\\"\n\r\t\b\f\x1f\x01\x7f/[]{}:, abtfnru0041 5cC\u00e9\u4e2d\u2028\U0001f600'
TEXT = st.text(st.sampled_from(SIGNS), min_size=1, max_size=8)
SPELT = {"\\\\": "\\u005C", "\\t": "\\u0009", "\\n": "\\u000A", "\\b": "\\u0008", "/": "\\/"}
"""As other writers of JSON escape what Python's writes otherwise."""


def read(data):
    blocks = text_blocks(io.BytesIO(data), "log.jsonl", Table(format="jsonl"), 1_000)
    return pa.concat_tables(blocks, promote_options="default")


def lists(table):
    found = columns.lists(table["item_ids"].combine_chunks(), " ", [])
    assert not found.bad.any()
    return found.values.to_pylist()


def written(value, ascii_only, spelt):
    text = json.dumps(value, ensure_ascii=ascii_only)
    if spelt:
        for usual, other in SPELT.items():
            parts = text.split("\\\\") if usual != "\\\\" else [text]
            text = "\\\\".join(part.replace(usual, other) for part in parts)
    return text.encode()


PAGE = st.tuples(TEXT, st.lists(TEXT, min_size=1, max_size=3), st.booleans(), st.booleans())


@settings(deadline=None, max_examples=500)
@given(st.lists(PAGE, min_size=1, max_size=4), st.sampled_from([b"", b'{"user_id": \n']))
@example([("u", ["brand\\new", "a\\u0041", "C:\\x", "tab\there"], True, False)], b"")
def test_ids_in_a_list_are_read_as_they_were_sent(pages, beside):
    rows = [{"user_id": user, "item_ids": ids} for user, ids, _, _ in pages]
    lines = [written(row, *how) for row, (_, _, *how) in zip(rows, pages, strict=True)]
    assert [json.loads(line) for line in lines] == rows
    found = read(b"\n".join([*lines, b""]) + beside).slice(0, len(rows))
    assert found["user_id"].to_pylist() == [row["user_id"] for row in rows]
    assert lists(found) == [row["item_ids"] for row in rows]


NAME = st.text(st.sampled_from("\\\\\t\b\x1f/[]{}:, abu0041\u4e2d"), max_size=4)
"""A quote or the end of a line in an inner name is beyond Polars; no column of ours has any."""
INNER = st.recursive(TEXT, lambda v: st.lists(v, max_size=2) | st.dictionaries(NAME, v, max_size=2))


@settings(deadline=None, max_examples=300)
@given(TEXT, INNER, st.booleans(), st.booleans())
def test_whatever_is_nested_is_written_out_as_the_same_json(name, inner, ascii_only, spelt):
    value = [inner, {"a": inner}]
    found = read(written({name: value, "beside": "x"}, ascii_only, spelt) + b"\n")
    assert json.loads(found[name][0].as_py()) == value


@settings(deadline=None)
@given(TEXT, st.sampled_from(["\\ud800", "\\udc00x", "\\ud83d\\ude00\\ude00"]))
def test_a_list_with_half_a_surrogate_pair_is_kept_as_its_line(text, half):
    ids = json.dumps([text])[:-2]
    line = f'{{"item_ids": {ids}{half}"]}}'
    beside = json.dumps({"item_ids": ["back\\slash"]})
    found = read(f"{line}\n{beside}\n".encode())
    assert found["_text"].to_pylist() == [line, None]
    assert lists(found.slice(1)) == [["back\\slash"]]


def test_one_list_is_the_same_text_however_its_signs_were_escaped():
    spellings = [r'["a\tb\\c"]', r'["a\u0009b\u005cc"]', r'["\u0061\u0009b\\\u0063"]']
    data = "".join(f'{{"item_ids": {one}}}\n' for one in spellings).encode()
    assert set(read(data)["item_ids"].to_pylist()) == {r'["a\tb\\c"]'}


def test_a_long_line_without_its_last_quote_takes_no_square_of_time():
    line = b'{"item_ids": ["\\\\' + b'\\"' * 1_000_000
    assert read(line + b"\n")["_text"].to_pylist() == [line.decode()]


FRACTION = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.from_regex(
    r"-?(0|[1-9]\d{0,24})\.\d{1,20}([eE][-+]?\d\d?)?", fullmatch=True, alphabet="0123456789-+.eE"
)
QUARTER = st.integers(2**49, 2**51).map(lambda n: f"{n}.25")
"""Halfway between two numbers of as few digits as say it."""
PLAIN = st.integers(-(2**127), 2**128 - 1).map(str) | st.sampled_from(["true", "null", '"12.0"'])
SENT = st.recursive(
    FRACTION | QUARTER | PLAIN | TEXT.map(json.dumps),
    lambda v: (
        st.lists(v, max_size=3).map(lambda of: f"[{', '.join(of)}]") | v.map('{{"1.0": {}}}'.format)
    ),
)
KNOWN = {
    "12.0": "12",
    "1.5": "1.5",
    "-0.0": "-0",
    "1e16": "10000000000000000",
    "1E2": "100",
    "1e-7": "0.0000001",
    "[1, 2.0, 1e-5]": "[1, 2, 0.00001]",
    "5e-324": f"0.{'0' * 323}5",
    '{"a": ["1.0", 1.0]}': '{"a": ["1.0", 1]}',
    "1560982855417788.25": "1560982855417788.3",
}
"""What is sent, and the text that Polars writes of it."""
BEYOND = ["NaN", "-Infinity", "1e400", "9" * 40, r'"\u0000"']


@settings(deadline=None, max_examples=200)
@given(st.lists(SENT, min_size=1, max_size=5), st.sampled_from(BEYOND))
@example([*KNOWN], "NaN")
def test_a_value_is_the_same_text_beside_a_number_that_polars_does_not_know(sent, beyond):
    lines = [f'{{"a": {value}, "b": ' for value in sent]
    by_polars, by_python = (
        read("".join(f"{line}{beside}}}\n" for line in lines).encode())["a"].to_pylist()
        for beside in ("1", beyond)
    )
    assert by_python == by_polars
    assert by_python == [
        KNOWN.get(value, text) for value, text in zip(sent, by_python, strict=True)
    ]


def test_of_a_name_that_stands_twice_the_first_value_is_taken_in_every_line():
    data = b'{"a": 1, "a": 2, "b": 3}\n{"a": 1, "a": 2, "b": NaN}\n'
    assert read(data)["a"].to_pylist() == ["1", "1"]
