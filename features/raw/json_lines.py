"""JSON lines to columns of texts: Polars reads a sound block, and what Python can read of others.

A line becomes the same both ways: the same values, or no row and its text in `_text`. What Polars
makes something else of, or refuses though it is JSON, Python reads by itself wherever it stands,
and writes its numbers as Polars does.
Where values are nested deeply Polars is not asked for the names: with them it finds types, in a
time that grows with the fourth power of the depth (half a minute for a line of two kilobytes).

Every name in a block is a column of all its rows, so a block of many names is cut: one line of
four thousand keys among sixty thousand of four would take eight gigabytes.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import NoReturn

import numpy as np
import polars as pl
import pyarrow as pa

from features.raw.raw_table import PLACE, Table
from features.raw.textfile import Lines, count_lines, decoded, numbered, readable, utf8

_ODD_ESCAPE = re.compile(
    rb"\\(?:\\u[dD]|u(?:0000|[dD](?:"
    rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])))"
)
"""What may be half a surrogate pair in JSON, or a zero byte: Polars makes another text of the
first, and panics at a name with the second."""
_BARE = re.compile(rb"\\(?:[\\bft]|u00(?:[01][0-9a-fA-F]|5[cC]))")
"""What Polars, that writes a list or an object out as JSON, writes into its texts as it is: of
all that JSON escapes it knows the quote and the ends of lines alone."""
_TEXT_OR_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]')
"""A text may lack its end: another try behind each quote in it would cost the square."""
_TEXT_OR_FRACTION = re.compile(r'"(?:[^"\\]++|\\.)*+"|-?\d++(?:\.\d++(?:e[-+]\d++)?|e[-+]\d++)')
"""As Python writes them."""
_LONG = 16
"""Letters of a fraction of which another may say the same number: fifteen digits never do."""
_MAYBE_BEYOND = re.compile(r"NaN|Infinity|[eE]\+?[0-9]{3}|[0-9]{39}")
"""Stands in every line of JSON that has a number of which Python knows and Polars does not."""

MOST_KEYS = 1_000
"""Keys of a line that is read, as of a profile that is served; more are no row of a log."""
MOST_CELLS = 1 << 22
"""Rows times names of what is read together; each takes some thirty bytes on the way."""
CHUNK_LINES, CHUNK_BYTES = 512, 1 << 16
"""Of a block, looked at together for their names: the time grows with the square of those that
differ from line to line."""

DEEP = 16
"""Brackets inside one another, from which on no types are looked for."""
_BUT_OPENING = bytes(set(range(256)) - set(b"{[\n"))
_BUT_SIGNS = bytes(set(range(256)) - set(b'{[]}"\n'))
_STEPS = bytes(
    {**dict.fromkeys(b"{[", 1), **dict.fromkeys(b"]}", 255)}.get(i, 0) for i in range(256)
)
"""What a sign adds to the brackets that are open, as a signed byte."""


def json_blocks(block: Lines, table: Table) -> Iterator[tuple[Lines, pa.Table]]:
    """Objects as columns of strings; inner lists and objects are written out as JSON.

    The whole block at once, with its lines, unless it has too many names for that.
    """
    for piece, names in _pieces(block, table):
        yield piece, _read(piece, table, names)


def _read(block: Lines, table: Table, names: Sequence[str]) -> pa.Table:
    lines = count_lines(block.data)
    data = _sound_data(block, table)
    ended = data is not None and lines == (
        data.count(b"}\n") + data.count(b"}\r\n") + (not data.endswith(b"\n"))
    )
    if data is not None and ended and len(names) <= MOST_KEYS:
        rows = _objects(data, lines, names)
        if rows is not None:
            return numbered(rows, np.arange(block.first, block.first + lines), None)
    return _json_line_by_line(block, table)


def _pieces(block: Lines, table: Table) -> Iterator[tuple[Lines, list[str]]]:
    """The block, or parts of it that are small enough to be read at once; and their names."""
    names: dict[str, None] = {}
    parts: list[Lines] = []
    lines = 0
    for chunk in _chunks(block):
        more = dict.fromkeys(_names(chunk, table))
        both, count = names | more, lines + count_lines(chunk.data)
        if parts and (len(both) > MOST_KEYS or len(both) * count > MOST_CELLS):
            yield _joined(parts), list(names)
            both, count, parts = more, count - lines, []
        names, lines = both, count
        parts.append(chunk)
    yield (_joined(parts) if parts[0].first != block.first else block), list(names)


def _joined(parts: Sequence[Lines]) -> Lines:
    return Lines(b"".join(part.data for part in parts), parts[0].first)


def _chunks(block: Lines) -> Iterator[Lines]:
    ends = np.flatnonzero(np.frombuffer(block.data, np.uint8) == ord("\n")) + 1
    if not block.data.endswith(b"\n"):
        ends = np.append(ends, len(block.data))
    start = line = 0
    while line < len(ends):
        fits = int(np.searchsorted(ends, start + CHUNK_BYTES, side="right"))
        after = min(max(fits, line + 1), line + CHUNK_LINES)
        end = int(ends[after - 1])
        yield Lines(block.data[start:end], block.first + line)
        start, line = end, after


def _names(chunk: Lines, table: Table) -> list[str]:
    """The keys of the lines, as far as they are objects."""
    data = _sound_data(chunk, table)
    with suppress(pl.exceptions.PolarsError):
        if data is not None:
            return pl.scan_ndjson(data, infer_schema_length=None).collect_schema().names()
    texts = [
        decoded(line, table.encoding, first=number == 1)
        for number, line in enumerate(chunk.data.split(b"\n"), start=chunk.first)
    ]
    found = [_try_object(text) for text in texts if text]
    return [name for values in found for name in values or ()]


def _sound_data(block: Lines, table: Table) -> bytes | None:
    """The block in UTF-8; None where it holds what is not for Polars to read."""
    try:
        data = utf8(block, table.encoding)
    except UnicodeDecodeError:
        return None
    return None if _ODD_ESCAPE.search(data) or is_deep(data) else data


def is_deep(data: bytes) -> bool:
    """Whether a line has `DEEP` brackets inside one another; of what is no JSON it may say so.

    Few lines open so many at all, and texts are told apart only where one does.
    """
    opened = np.frombuffer(data.translate(None, _BUT_OPENING), np.uint8)
    ends = np.flatnonzero(opened == ord("\n"))
    most = np.diff(ends, prepend=-1, append=len(opened)).max() - 1
    return bool(most >= DEEP) and not _is_flat(data)


def _is_flat(data: bytes) -> bool:
    """Whether all texts end in their line, and fewer than `DEEP` brackets are open at once."""
    if b"\\" in data:
        data = data.replace(rb"\\", b"").replace(rb"\"", b"")
    kept = data.translate(None, _BUT_SIGNS)
    signs = np.frombuffer(kept, np.uint8)
    in_text = np.cumsum((signs == ord('"')).view(np.uint8), dtype=np.uint8) & 1
    steps = np.frombuffer(kept.translate(_STEPS), np.int8) * (1 - in_text).view(np.int8)
    inside = np.cumsum(steps, dtype=np.int8)  # whatever overflows has passed DEEP, or 0, before
    ends = not in_text[signs == ord("\n")].any()
    return bool(ends and inside.min(initial=0) >= 0 and inside.max(initial=0) < DEEP)


def _objects(data: bytes, count: int, names: Sequence[str]) -> pa.Table | None:
    """So many JSON lines as columns of strings; None where they are anything else."""
    names = [name for name in names if name not in PLACE]
    if not names:
        return None
    try:
        frame = pl.read_ndjson(_kept(data), schema=dict.fromkeys(names, pl.String))
    except pl.exceptions.PolarsError:
        return None
    if frame.height != count:
        return None
    rows = frame.to_arrow()
    return rows.cast(pa.schema([(name, pa.string()) for name in rows.column_names]))


def _kept(data: bytes) -> bytes:
    """Lines whose inner texts Polars writes out as the JSON that they are.

    What it would write as it is, is escaped once more; lines without it are not looked at.
    """
    if b"\\" not in data:
        return data
    parts, done = [], 0
    while found := _BARE.search(data, done):
        start = max(data.rfind(b"\n", done, found.start()) + 1, done)
        end = data.find(b"\n", found.end()) + 1 or len(data)
        parts += [data[done:start], _escaped_twice(data[start:end])]
        done = end
    return b"".join([*parts, data[done:]]) if parts else data


def _escaped_twice(line: bytes) -> bytes:
    """The same for one line; its names, and the texts beside them, stay."""
    if b"[" not in line and line.count(b"{") == 1:
        return line
    opened = 0

    def sign(found: re.Match[bytes]) -> bytes:
        nonlocal opened
        text = found[0]
        if text.startswith(b'"'):
            return _BARE.sub(_escaped, text) if opened > 1 else text
        opened += 1 if text in b"[{" else -1
        return text

    return _TEXT_OR_BRACKET.sub(sign, line)


def _escaped(found: re.Match[bytes]) -> bytes:
    written = json.dumps(json.loads(b'"%s"' % found[0]))[1:-1]
    return written.replace("\\", r"\\").encode()


def _json_line_by_line(block: Lines, table: Table) -> pa.Table:
    """Lines that Python can read go to Polars together, so that they read as in a sound block."""
    sound: list[tuple[int, bytes]] = []
    names: dict[str, None] = {}
    others: list[tuple[int, dict[str, str | None], str | None]] = []
    for number, line in enumerate(block.data.split(b"\n"), start=block.first):
        if not line.strip():
            continue
        text = decoded(line, table.encoding, first=number == 1)
        values = None if text is None else _try_object(text)
        if text is None or values is None:
            others.append((number, {}, readable(line, table.encoding)))
        elif not values or _ODD_ESCAPE.search(text.encode()) or _is_beyond(text):
            others.append((number, values, None))
        else:
            sound.append((number, text.strip().encode()))
            names.update(dict.fromkeys(values))
    read, refused = _sound(sound, list(names))
    others += [(number, {}, line.decode()) for number, line in refused]
    return pa.concat_tables([*read, _by_hand(others)], promote_options="default").sort_by("_line")


def _sound(
    lines: Sequence[tuple[int, bytes]], names: Sequence[str]
) -> tuple[list[pa.Table], list[tuple[int, bytes]]]:
    """Objects of lines, together where that works, else in halves; and the lines that are none."""
    if not lines:
        return [], []
    rows = _objects(b"\n".join(line for _, line in lines) + b"\n", len(lines), names)
    if rows is not None:
        return [numbered(rows, np.array([number for number, _ in lines]), None)], []
    if len(lines) == 1:
        return [], list(lines)
    halves = [_sound(half, names) for half in (lines[: len(lines) // 2], lines[len(lines) // 2 :])]
    return [table for read, _ in halves for table in read], [bad for _, r in halves for bad in r]


def _by_hand(lines: Sequence[tuple[int, Mapping[str, str | None], str | None]]) -> pa.Table:
    """Rows of numbers, values, and the text of lines that have none."""
    names = list(dict.fromkeys(name for _, row, _ in lines for name in row))
    columns = {
        name: pa.array([row.get(name) for _, row, _ in lines], pa.string()) for name in names
    }
    columns["_line"] = pa.array([number for number, _, _ in lines], pa.int64())
    columns["_text"] = pa.array([text for _, _, text in lines], pa.string())
    return pa.table(columns)


def _try_object(text: str) -> dict[str, str | None] | None:
    try:
        found = json.loads(text, object_pairs_hook=_firsts)
        if not isinstance(found, dict):
            return None
        values = {name: _as_text(value) for name, value in found.items() if name not in PLACE}
        for part in (*values, *values.values()):
            (part or "").encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    return None if len(values) > MOST_KEYS or "\0" in "".join(values) else values


def _firsts(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Of a name that stands twice, the first value, as Polars takes it of a row's own names."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else found | dict(reversed(pairs))


def _is_beyond(text: str) -> bool:
    """Whether JSON has a number that Polars refuses: endless, or over 128 bits."""
    if not _MAYBE_BEYOND.search(text):
        return False
    try:
        json.loads(text, parse_constant=_refuse, parse_float=_finite, parse_int=_short)
    except OverflowError:
        return True
    return False


def _refuse(_: str) -> NoReturn:
    raise OverflowError


def _finite(digits: str) -> float:
    return float(digits) if math.isfinite(float(digits)) else _refuse(digits)


def _short(digits: str) -> int:
    return int(digits) if -(2**127) <= int(digits) < 2**128 else _refuse(digits)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    written = json.dumps(value, ensure_ascii=False)
    return _TEXT_OR_FRACTION.sub(_as_polars, written)


def _as_polars(found: re.Match[str]) -> str:
    """All digits of a number, `12` for `12.0`; of two texts that are as near, the larger.

    An id is one text so, in whatever line it stands.
    """
    text = found[0]
    if text.startswith('"'):
        return text
    if len(text) < _LONG and "e" not in text:
        return text.removesuffix(".0")
    said = Decimal(text)
    last = Decimal((0, (1,), int(said.as_tuple().exponent))).copy_sign(said)
    if Decimal(float(said)) == said + last / 2:
        said += last
    return format(said, "f").removesuffix(".0")
