import bz2
import csv
import gzip
import io
import json
import lzma

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.raw import json_lines
from features.raw.json_lines import DEEP, is_deep
from features.raw.parse import text_blocks
from features.raw.raw_table import Table

CSV = Table(format="csv", header=False, columns=("a", "b", "c"))
JSONL = Table(format="jsonl")


def read(data, table, rows=1_000, name="log.csv"):
    blocks = list(text_blocks(io.BytesIO(data), name, table, rows))
    return pa.concat_tables(blocks, promote_options="default") if blocks else pa.table({})


field = st.text(st.sampled_from('ab"1 \u4e2d'), max_size=4)


@settings(deadline=None)
@given(st.lists(st.lists(field, min_size=1, max_size=4), max_size=30))
def test_every_line_is_a_row_or_is_kept_as_text(lines):
    sink = io.StringIO()
    csv.writer(sink, lineterminator="\n").writerows(lines)
    texts = sink.getvalue().split("\n")[:-1]
    rows = read(sink.getvalue().encode(), CSV).to_pylist()
    expected = [(n, row) for n, row in enumerate(lines, 1) if texts[n - 1].strip()]
    assert [row["_line"] for row in rows] == [n for n, _ in expected]
    for row, (number, values) in zip(rows, expected, strict=True):
        if len(values) == 3:
            assert [row["a"], row["b"], row["c"], row["_text"]] == [*values, None]
        else:
            assert [row["a"], row["_text"]] == [None, texts[number - 1]]


PIECES = ["a", "1", ",", '"', '""', '","', " ", "\r", "\ufeff", "\u4e2d", "\\"]
ODD_OBJECTS = [
    b'{"a": 1.0, "b": "x"}',
    b'{"a": 1e5}',
    b'{"a": -0.0, "a": 2}',
    b'{"b": [1, 2.0, {"c": 1E-7}]}',
    b'{"a": "\\ud800"}',
    b'{"a": "\\ud83d\\ude00", "c": 1.50}',
    b'{"a": NaN}',
    b'{"a": 1e999, "b": 1.0}',
    b'{"a": 340282366920938463463374607431768211456}',
    b'{"a": 340282366920938463463374607431768211455, "b": 1e308}',
    b'{"a": "x", "_text": "1", "_line": 2}',
    b'{"_source": "y"}',
    b'{"a": "x\ty"}',
    b'{"a": "\xff"}',
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": 1}{"b": 2}',
    b'{"a": 1} ',
    b'{"a": 1}\r',
    b"{}",
    b"[1]",
    b"7",
    b'{"a": ',
    b" ",
]


def alone(lines, table, name):
    """What each line becomes in a file whose other line is sound."""
    good = b"1,2,3\n" if table is CSV else b'{"a": "1"}\n'
    found = [read(good + line + b"\n", table, name=name).to_pylist()[1:] for line in lines]
    return [row | {"_line": number} for number, rows in enumerate(found, 1) for row in rows]


def without_nulls(rows):
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=9).map("".join), max_size=6))
def test_a_csv_line_is_the_same_whatever_stands_beside_it(lines):
    data = [line.encode() for line in lines]
    found = read(b"\n".join([b"0,0,0", *data, b""]), CSV).to_pylist()[1:]
    expected = alone(data, CSV, "log.csv")
    assert [row | {"_line": row["_line"] - 1} for row in found] == expected


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(ODD_OBJECTS), max_size=6))
def test_a_json_line_is_the_same_whatever_stands_beside_it(lines):
    found = read(b"\n".join([b'{"a": "0"}', *lines, b""]), JSONL, name="log.jsonl").to_pylist()[1:]
    expected = without_nulls(alone(lines, JSONL, "log.jsonl"))
    assert without_nulls([row | {"_line": row["_line"] - 1} for row in found]) == expected


def test_numbers_that_are_none_are_kept_as_python_writes_them():
    lines = b'{"a": NaN}\n{"a": 1e999}\n{"a": 1.0}\n'
    found = read(lines, JSONL, name="log.jsonl")
    assert found["a"].to_pylist() == ["NaN", "Infinity", "1"]


def test_an_end_of_the_file_closes_no_quote():
    for end in ("", "\n"):
        found = read(f'1,2,3\n4,5,"6{end}'.encode(), CSV).to_pylist()
        assert [row["_text"] for row in found] == [None, '4,5,"6']


def test_a_bare_cr_does_not_make_up_for_a_line_feed_in_quotes():
    found = read(b'1,2,"3\n4,5,6"\n7,8,9\r1,2,3\n9,9,9\n', CSV).to_pylist()
    assert [row["a"] for row in found] == [None, "4", None, "9"]


@pytest.mark.parametrize("broken", [b"", b"x\n"])
def test_a_mark_inside_a_file_belongs_to_its_line(broken):
    found = read(b"a,b\n\xef\xbb\xbf1,2\n3,4\n" + broken, Table(format="csv")).to_pylist()
    assert found[0]["a"] == "\ufeff1"


def test_a_blank_head_leaves_the_columns_as_they_are_described():
    table = Table(format="csv", columns=("a", "b", "c"))
    assert read(b"\n1,2,3\n", table)["b"].to_pylist() == ["2"]


def test_delimiters_alone_are_a_row_of_nothing():
    tabs = Table(format="csv", header=False, columns=("a", "b", "c"), delimiter="\t")
    found = read(b"\t\t\n \n1\t2\t3\n", tabs)
    assert found["a"].to_pylist() == ["", "1"]
    assert found["_line"].to_pylist() == [1, 3]


def test_a_quote_that_never_closes_takes_nothing_with_it():
    found = read(b'1,2,3\n4,5,"6\n7,8,9\n1,2,"3\n', CSV).to_pylist()
    assert [row["a"] for row in found] == ["1", None, "7", None]
    assert [row["_text"] for row in found] == [None, '4,5,"6', None, '1,2,"3']


@pytest.mark.parametrize("rows", [1, 3, 7, 1_000])
def test_the_size_of_a_block_does_not_show(rows):
    data = "".join(f"{i},x{i},{'z' * (i % 60)}\n" for i in range(500)).encode() + b"500,cut"
    found = read(data, CSV, rows)
    assert found.equals(read(data, CSV, 10_000))
    assert found["_line"].to_pylist() == list(range(1, 502))
    assert found["_text"].drop_null().to_pylist() == ["500,cut"]


def test_a_header_names_the_columns_and_counts_as_a_line():
    found = read(b"\xef\xbb\xbfid,name\n1,a\n2,b\n", Table(format="csv"))
    assert found.column_names == ["id", "name", "_line", "_text", "_source"]
    assert found["_line"].to_pylist() == [2, 3]


def test_tokens_are_left_as_they_are():
    found = read(b"NULL,,007\n", CSV).to_pylist()[0]
    assert (found["a"], found["b"], found["c"]) == ("NULL", "", "007")


PACKED = [
    (".gz", gzip.compress),
    (".bz2", bz2.compress),
    (".xz", lzma.compress),
    (".zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
]


@pytest.mark.parametrize(("suffix", "pack"), [("", bytes), *PACKED])
def test_compression_goes_by_the_suffix(suffix, pack):
    data = b"1,2,3\n4,5,6\n"
    found = read(pack(data), CSV, name=f"log.csv{suffix}")
    assert found.drop_columns("_source").equals(read(data, CSV).drop_columns("_source"))


def test_another_encoding_is_read_and_a_broken_line_is_kept():
    table = Table(format="csv", header=False, columns=("a", "b"), encoding="gb18030")
    good = "\u4e2d\u6587,x\n".encode("gb18030")
    assert read(good, table)["a"].to_pylist() == ["\u4e2d\u6587"]
    broken = read(good + b"\xff\xff,y\n" + good, table)
    assert broken["a"].to_pylist() == ["\u4e2d\u6587", None, "\u4e2d\u6587"]
    assert "\ufffd" in broken["_text"][1].as_py()


def test_a_half_written_json_line_is_kept_as_text():
    rows = [{"user": i, "tags": ["a", 1], "on": True, "none": None} for i in range(5)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    whole = read(data, JSONL, name="log.jsonl")
    assert whole["user"].to_pylist() == ["0", "1", "2", "3", "4"]
    assert json.loads(whole["tags"][0].as_py()) == ["a", 1]
    assert whole["none"].null_count == 5
    cut = read(data[:-9], JSONL, name="log.jsonl")
    assert cut["user"].to_pylist() == ["0", "1", "2", "3", None]
    assert cut["_text"][4].as_py() == data[:-9].decode().split("\n")[-1]


def test_json_reads_the_same_fast_and_line_by_line():
    rows = [{"a": str(i), "b": i, "c": {"x": [1]}, "late": 1.5} for i in range(200)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    fast = read(data, JSONL, name="x.jsonl")
    slow = read(data + b"[1]\n", JSONL, name="x.jsonl").slice(0, 200)
    for name in ("a", "b", "late", "_line"):
        assert fast[name].to_pylist() == slow[name].to_pylist()
    assert [json.loads(v) for v in fast["c"].to_pylist()] == [{"x": [1]}] * 200


def test_a_key_that_comes_late_is_found():
    data = b'{"a": 1}\n' * 300 + b'{"a": 2, "b": "x"}\n'
    assert read(data, JSONL, name="x.jsonl").to_pylist()[-1]["b"] == "x"


def test_a_file_without_lines_is_refused():
    stream = io.BytesIO(b"x" * (80 << 20))
    with pytest.raises(OSError, match="not a text file"):
        list(text_blocks(stream, "log.csv", CSV, 1_000))


HALVES = [rb"\ud800x", rb"\udc00", rb"\ud83d\ude00\ude00", rb"\\ud83d\ude00"]
"""Text of JSON with half a surrogate pair."""


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("line", [b'{"a": "%s"}', b'{"a": {"b": ["%s"]}}', b'{"%s": "a"}'])
@pytest.mark.parametrize("after", [b"", b'{"a": \n'])
def test_half_a_surrogate_pair_is_no_text(half, line, after):
    data = b'{"a": "1"}\n' + line % half + b'\n{"a": "\\ud83d\\ude00"}\n' + after
    found = read(data, JSONL, name="x.jsonl").slice(0, 3)
    assert found["a"].to_pylist() == ["1", None, "\U0001f600"]
    assert found["_text"].to_pylist() == [None, (line % half).decode(), None]


def test_a_zero_byte_in_a_name_is_refused_and_one_in_a_value_is_kept():
    found = read(b'{"a": "x\\u0000y"}\n{"a\\u0000": "1"}\n', JSONL, name="x.jsonl")
    assert found["a"].to_pylist() == ["x\0y", None]
    assert found["_text"].to_pylist() == [None, '{"a\\u0000": "1"}']


def test_an_object_of_endless_depth_is_kept_as_text():
    deep = b'{"a": ' + b"[" * 100_000 + b"}"
    assert read(deep + b"\n", JSONL, name="x.jsonl")["_text"].to_pylist() == [deep.decode()]


def test_no_types_are_looked_for_in_a_line_of_great_depth(monkeypatch):
    """To find them takes a time that grows with the fourth power of the depth."""
    asked, plain = [], json_lines.pl.scan_ndjson

    def looked(data, **how):
        asked.append(data)
        return plain(data, **how)

    monkeypatch.setattr(json_lines.pl, "scan_ndjson", looked)
    read(b'{"a": 1}\n', JSONL, name="x.jsonl")
    assert asked.pop() == b'{"a": 1}\n'
    rows = [{"a": "1"}, {"a": "2", "b": None}]
    for _ in range(250):
        rows[1]["b"] = [{"b": rows[1]["b"]}]
    found = read("".join(json.dumps(row) + "\n" for row in rows).encode(), JSONL, name="x.jsonl")
    assert not asked
    assert found["a"].to_pylist() == ["1", "2"]
    assert json.loads(found["b"].to_pylist()[1]) == rows[1]["b"]


TEXTS = st.text(st.sampled_from('[]{}"\\\n:,a\u4e2d'), max_size=6)
DEEPER = st.sampled_from(["list", "object", "beside"])


def depth(value):
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0) if isinstance(inner, list) else 0


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, st.lists(DEEPER, max_size=DEEP + 4)), min_size=1, max_size=3))
def test_depth_is_told_from_brackets_in_texts_and_beside_one_another(lines):
    rows = []
    for text, ways in lines:
        value = text
        for way in ways:
            inner = {"list": [value], "object": {text: value}, "beside": [text, [], {}, value]}
            value = inner[way]
        rows.append({text: value})
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    assert is_deep(data) == (max(map(depth, rows)) >= DEEP)


@pytest.mark.parametrize("before", [b"}" * 50, b'{"a": "}', b'{"a": "]]]]]]"}', b"]\n{"])
def test_no_line_hides_the_depth_of_the_next(before):
    assert is_deep(before + b'\n{"a": ' + b"[" * DEEP + b"]" * DEEP + b"}\n")


@pytest.mark.parametrize(
    ("suffix", "pack", "spoil"),
    [
        (".gz", gzip.compress, b""),
        (".gz", gzip.compress, b"\xff" * 99),
        (".bz2", lambda data: bz2.compress(data, 1), b""),
        (".bz2", lambda data: bz2.compress(data, 1), b"\xff" * 99),
        (".xz", lzma.compress, b""),
        (".xz", lzma.compress, b"\xff" * 99),
        (".zst", lambda data: pa.compress(data, "zstd", asbytes=True), b""),
    ],
)
def test_what_was_unpacked_before_a_break_is_given_before_it_is_told(suffix, pack, spoil):
    data = "".join(f"{i},{i * 7919 % 100_003},z\n" for i in range(60_000)).encode()
    packed = pack(data)
    half = len(packed) // 2
    broken = packed[:half] + (spoil and spoil + packed[half + len(spoil) :])
    blocks = text_blocks(io.BytesIO(broken), f"log.csv{suffix}", CSV, 5_000)
    found = []
    with pytest.raises(OSError, match=r"ended|Corrupt|Truncated|[Ii]nvalid|CRC"):
        found.extend(blocks)
    assert sum(block.num_rows for block in found) > 15_000
    assert found[0]["a"].to_pylist()[:3] == ["0", "1", "2"]


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".xz", ".zst"])
def test_a_compressed_file_that_ends_before_its_first_byte_is_broken(suffix):
    with pytest.raises(OSError, match=r"of no bytes|ended before"):
        read(b"", CSV, name=f"log.csv{suffix}")


@pytest.mark.parametrize("name", ["log.csv", "log.jsonl"])
def test_a_plain_file_of_no_bytes_has_no_rows(name):
    assert read(b"", CSV, name=name).num_rows == 0


@pytest.mark.parametrize(("suffix", "pack"), PACKED)
def test_nothing_that_was_compressed_is_no_break(suffix, pack):
    assert read(pack(b""), CSV, name=f"log.csv{suffix}").num_rows == 0
