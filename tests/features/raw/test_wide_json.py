"""A block of JSON lines with many names is read in parts: no line widens all those beside it."""

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.raw import json_lines
from features.raw.json_lines import MOST_CELLS, MOST_KEYS
from features.raw.parse import text_blocks
from features.raw.raw_table import PLACE, Table

JSONL = Table(format="jsonl")


def blocks(lines, rows=1_000_000):
    stream = io.BytesIO("".join(f"{line}\n" for line in lines).encode())
    return list(text_blocks(stream, "log.jsonl", JSONL, rows, quoted=True))


def cells(block):
    return block.num_rows * block.num_columns


def told(found):
    """Of every line its number, its bytes and what it says."""
    return [
        (row["_line"], row["_raw"], {k: v for k, v in row.items() if v is not None} | {"_raw": 0})
        for block in found
        for row in block.to_pylist()
    ]


PLAIN = [json.dumps({"user_id": f"u{i % 9}", "ts": i}) for i in range(20_000)]


def test_a_line_of_many_keys_makes_no_columns_of_all_the_lines_beside_it():
    wide = json.dumps(dict.fromkeys(map(str, range(MOST_KEYS)), 1))
    found = blocks([*PLAIN, wide, *PLAIN])
    assert max(map(cells, found)) < 2_000_000
    assert sum(block.num_rows for block in found) == 40_001
    [row] = [row for block in found if "999" in block.column_names for row in block.to_pylist()
             if row["999"]]  # fmt: skip
    assert (row["_line"], row["_raw"].decode()) == (20_001, wide + "\n")


def test_a_line_of_more_keys_than_a_profile_may_have_is_kept_as_its_text():
    wide = json.dumps(dict.fromkeys(map(str, range(MOST_KEYS + 1)), 1))
    found = blocks([*PLAIN[:9], wide, *PLAIN[9:20]])
    assert [row["_line"] for b in found for row in b.to_pylist() if row["_text"] == wide] == [10]
    assert {*found[0].column_names} == {"user_id", "ts", *PLACE}


@pytest.mark.parametrize("beside", [[], ["{broken"]])
def test_lines_of_ever_new_keys_are_read_few_at_a_time(beside):
    lines = [json.dumps({"ts": i, **{f"{i}-{n}": n for n in range(3)}}) for i in range(3_000)]
    found = blocks(lines + beside)
    assert max(map(cells, found)) <= MOST_CELLS
    assert [row["2999-2"] for row in found[-1].to_pylist()][2_999 - 3_000 - len(beside)] == "2"
    assert sum(block.num_rows for block in found) == 3_000 + len(beside)


ODD = ["[1]", "{", "", '{"a": "\\ud83d"}', '{"a": [1]}', '{"a": {"b": 1}}', '{"a": 1e999}']
LINE = st.one_of(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 9), min_size=1).map(json.dumps),
    st.sampled_from(ODD),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(LINE, min_size=1, max_size=12), st.integers(1, 3), st.integers(1, 20))
def test_a_line_is_the_same_however_its_block_is_cut(lines, chunk, most):
    whole = told(blocks(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_lines, "CHUNK_LINES", chunk)
        patch.setattr(json_lines, "MOST_CELLS", most)
        assert told(blocks(lines)) == whole
