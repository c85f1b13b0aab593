"""One source column at a time to its canonical form; what cannot be read is null and marked.

A dictionary column is read through its few distinct values, so that a day of repeated ids costs
little more than its codes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.raw.arrow_types import (
    is_bytes,
    is_text,
    relisted,
    text_of_bytes,
    text_of_decimals,
    usual,
)

Mask = NDArray[np.bool_]

_NUMBER = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|nan(\([a-z0-9_]*\))?|inf(inity)?)$"
"""What Arrow's cast takes for a number, so that a text says the same beside one that is none."""
_GROUPS = r"[1-9]\d{0,2}((\.\d{3})+|([ \x{a0}\x{2009}\x{202f}]\d{3})+)"
_NUMBER_WITH_COMMA = (
    rf"(?i)^[+-]?({_GROUPS}(,\d*)?|(\d+,?\d*|,\d+)(e[+-]?\d+)?|nan(\([a-z0-9_]*\))?|inf(inity)?)$"
)
"""With points or spaces between groups of three: `1.30` and `0.299` are none, so that a number
which has a point after all is not taken for a larger one."""
_FLAGS = {"true": 1, "false": 0, "1": 1, "0": 0, "yes": 1, "no": 0, "t": 1, "f": 0}


@dataclass(frozen=True)
class Column:
    """Values (null where absent or unreadable), and where something unreadable stood."""

    values: pa.Array
    bad: Mask


@dataclass(frozen=True)
class Coded:
    """A closed set per row: the code, 0 for null, -1 for a text that is not in the set."""

    codes: NDArray[np.int8]
    texts: pa.DictionaryArray


def texts(array: pa.Array, nulls: Sequence[str], *, as_id: bool = False) -> Column:
    """Strings (dictionary-coded where the source is); tokens of `nulls` become null.

    Args:
        array: any source type; numbers are written out.
        nulls: texts that mean "nothing here"; floats are compared by value, `-1.0` is `-1`.
        as_id: refuse what cannot be an id: fractions, booleans, lists, structures.

    Bytes that are no UTF-8 are bad.
    """
    array = usual(array)
    kind = array.type
    if pa.types.is_dictionary(kind):
        return _from_dictionary(array, nulls, as_id=as_id)
    if pa.types.is_floating(kind):
        return _from_floats(_without(array, nulls), as_id=as_id)
    if pa.types.is_decimal(kind):
        return _from_decimals(array, nulls, as_id=as_id)
    if is_bytes(kind):
        told, bad = text_of_bytes(array)
        return Column(_blanked(told, nulls), bad)
    fits_id = is_text(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
    if pa.types.is_nested(kind) or (as_id and not fits_id):
        return Column(pa.nulls(len(array), pa.string()), ~_null_mask(array))
    return Column(_blanked(array.cast(pa.string()), nulls), np.zeros(len(array), np.bool_))


def json_ids(column: Column, where: Mask) -> Column:
    """The same ids without those of `where` that were an object, a list or a truth value."""
    return _without_odd(column, column.values, r"^[\[{]|^(true|false)$", where)


def json_lists(column: Column, source: pa.Array, where: Mask) -> Column:
    """What `lists` made of `source` without objects and truth values of `where`, that are no id."""
    source = usual(_plain(source))
    if not is_text(source.type):  # of a Parquet file that lies among those of JSON lines
        return column
    return _without_odd(column, source, r"^\{|^(true|false)$", where)


def _without_odd(column: Column, texts: pa.Array, odd: str, where: Mask) -> Column:
    if not where.any():
        return column
    found = pc.match_substring_regex(_plain(texts), odd)
    refused = _mask(pc.fill_null(found, False)) & where
    if not refused.any():
        return column
    kept = pc.if_else(pa.array(refused), None, _plain(column.values))
    return Column(kept, column.bad | refused)


def without_fraction(values: pa.Array) -> pa.Array:
    """`2661.0` -> `2661`, in texts."""
    return _through(values, lambda plain: pc.replace_substring_regex(plain, r"^(\d+)\.0*$", r"\1"))


def coded(values: pa.Array, meaning: Mapping[str, int]) -> Coded:
    """Codes of a closed set."""
    found = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
    table = [0 if text is None else meaning.get(text, -1) for text in found.dictionary.to_pylist()]
    lookup = np.array([*table, 0], np.int8)  # the last one is for null
    at = found.indices.cast(pa.int64()).fill_null(len(table)).to_numpy(zero_copy_only=False)
    return Coded(lookup[at], found)


def numbers(array: pa.Array, nulls: Sequence[str], comma: Mask | None = None) -> Column:
    """Float32; negative and infinite ones, and texts that are no number, are bad. NaN is null.

    Args:
        array: any source type.
        nulls: texts that mean "nothing here"; numbers are compared by value, `-1` is also -1.0.
        comma: the rows whose texts have a comma before the fraction; none by default.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if pa.types.is_integer(array.type) or pa.types.is_floating(array.type):
        wide = _without(array.cast(pa.float64(), safe=False), nulls)  # past 2^53: the nearest one
        unread = np.zeros(len(array), np.bool_)
    else:
        read = texts(array, nulls)
        if comma is not None and not pa.types.is_decimal(array.type):
            read = _with_point(read, comma)
        wide, unread = _numbers_of_texts(read.values)
        unread |= read.bad
    wide = pc.if_else(pc.is_nan(wide), None, wide)
    unfit = pc.fill_null(pc.or_(pc.less(wide, 0), pc.greater(wide, 3e38)), False)
    if pc.any(unfit).as_py():
        wide = pc.if_else(unfit, None, wide)
    return Column(wide.cast(pa.float32(), safe=False), unread | _mask(unfit))


def levels(
    array: pa.Array, nulls: Sequence[str], highest: int, comma: Mask | None = None
) -> Column:
    """Int8 from 1 to `highest`; other numbers, and texts that are no number, are bad."""
    read = numbers(array, nulls, comma)
    known = read.values.fill_null(1)
    unfit = pc.or_(
        pc.not_equal(known, pc.floor(known)), pc.or_(pc.less(known, 1), pc.greater(known, highest))
    )
    whole = pc.if_else(unfit, None, read.values).cast(pa.int8())
    return Column(whole, read.bad | _mask(unfit))


def plain_times(array: pa.Array, nulls: Sequence[str]) -> pa.Array:
    """The array as `clock.to_ms` wants it: no dictionary, null tokens blanked."""
    plain = usual(_plain(array))
    kind = plain.type
    if is_text(kind) or is_bytes(kind) or pa.types.is_decimal(kind):
        return _plain(texts(plain, nulls).values)
    return plain


def flags(array: pa.Array, nulls: Sequence[str]) -> Column:
    """Booleans, also written as 1/0, true/false, yes/no."""
    if pa.types.is_boolean(array.type):
        return Column(array, np.zeros(len(array), np.bool_))
    read = texts(array, nulls)
    plain = _plain(read.values)
    codes = coded(pc.utf8_lower(plain), {text: code + 1 for text, code in _FLAGS.items()}).codes
    values = pa.array(codes == 2, mask=codes < 1)
    return Column(values, read.bad | (codes < 0))


def lists(array: pa.Array, separator: str, nulls: Sequence[str], *, as_id: bool = False) -> Column:
    """Lists of strings; a text is cut at `separator`, and may be a JSON list of plain values.

    Lists of lists or structures, and structures, are bad.

    Args:
        array: any source type; a value that is no list is a list of one.
        separator: between the values of a text.
        nulls: texts that mean that there is no list.
        as_id: refuse lists that hold what cannot be an id, as `texts` does (truth values).
    """
    array = usual(array)
    if pa.types.is_list(array.type) and pa.types.is_dictionary(array.type.value_type):
        array = relisted(array, array.flatten().dictionary_decode())
    kind = array.type
    if pa.types.is_list(kind) and not pa.types.is_nested(kind.value_type):
        if is_text(kind.value_type):
            return Column(array.cast(pa.list_(pa.string())), np.zeros(len(array), np.bool_))
        return _relisted(array, as_id=as_id)
    read = texts(array, nulls, as_id=as_id)
    plain = _plain(read.values)
    if pc.any(pc.starts_with(plain, "[")).as_py():
        return _json_lists(plain, read.bad, separator, as_id=as_id)
    return Column(pc.split_pattern(plain, separator), read.bad)


def lacks_value(values: pa.Array) -> Mask:
    """Where a list is empty, or holds a null or an empty text."""
    odd = _mask(pc.fill_null(pc.equal(values.flatten(), ""), True))
    out = _mask(pc.fill_null(pc.equal(pc.list_value_length(values), 0), True))
    out[_parents(values)[odd]] = True
    return out


def without_gaps(values: pa.Array) -> pa.Array:
    """The same lists without nulls and empty texts."""
    flat = values.flatten()
    there = _mask(pc.fill_null(pc.not_equal(flat, ""), False))
    if there.all():
        return values
    kept = np.bincount(_parents(values)[there], minlength=len(values))
    offsets = pa.array(np.r_[0, np.cumsum(kept)], pa.int32())
    return pa.ListArray.from_arrays(offsets, flat.filter(pa.array(there)), mask=values.is_null())


def _parents(values: pa.Array) -> NDArray[np.int64]:
    """Of each value of `values.flatten()` the list; Arrow's own also names lists that are null."""
    lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(values)), lengths)


def _relisted(array: pa.Array, *, as_id: bool) -> Column:
    """Each value read as one that stands alone; a list is bad where a value of it is."""
    inner = texts(array.flatten(), [], as_id=as_id)
    bad = np.zeros(len(array), np.bool_)
    bad[_parents(array)[inner.bad]] = True
    return Column(relisted(array, inner.values, without=bad), bad)


def _json_lists(plain: pa.Array, unread: Mask, separator: str, *, as_id: bool) -> Column:
    values: list[Sequence[str | None] | None] = []
    bad = unread.copy()
    for at, text in enumerate(plain.to_pylist()):
        is_list = text is not None and text.startswith("[")
        found = _try_list(text, as_id=as_id) if is_list else text
        bad[at] |= found is None and text is not None
        values.append(found.split(separator) if isinstance(found, str) else found)
    return Column(pa.array(values, pa.list_(pa.string())), bad)


def _try_list(text: str, *, as_id: bool) -> list[str | None] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    takes = (str, int) if as_id else (str, int, bool)
    if not all(value is None or type(value) in takes for value in found):  # True is an int
        return None
    return [one if one is None or isinstance(one, str) else json.dumps(one) for one in found]


def _from_dictionary(array: pa.Array, nulls: Sequence[str], *, as_id: bool) -> Column:
    inner = texts(array.dictionary, nulls, as_id=as_id)
    codes = array.indices
    if inner.values.null_count or inner.bad.any():
        bad = inner.bad[codes.fill_null(0).to_numpy(zero_copy_only=False)]
        return Column(inner.values.take(codes), bad & ~_null_mask(array))
    values = pa.DictionaryArray.from_arrays(codes, inner.values)
    return Column(values, np.zeros(len(array), np.bool_))


def _from_floats(array: pa.Array, *, as_id: bool) -> Column:
    finite = pc.fill_null(pc.is_finite(array), False)
    safe = pc.if_else(finite, array, 0.0).cast(pa.float64())
    whole = pc.and_(pc.equal(safe, pc.floor(safe)), pc.less(pc.abs(safe), 2.0**53))
    fits = pc.and_(finite, whole)
    written = pc.if_else(fits, safe, 0.0).cast(pa.int64()).cast(pa.string())
    nothing = _mask(pc.or_kleene(pc.is_null(array), pc.is_nan(array)).fill_null(True))
    if as_id:
        return Column(pc.if_else(fits, written, None), ~_mask(fits) & ~nothing)
    other = pc.if_else(finite, array.cast(pa.string()), None)
    return Column(pc.if_else(fits, written, other), np.zeros(len(array), np.bool_))


def _from_decimals(array: pa.Array, nulls: Sequence[str], *, as_id: bool) -> Column:
    written = _blanked(text_of_decimals(array), nulls)
    if not as_id:
        return Column(written, np.zeros(len(array), np.bool_))
    fraction = pc.fill_null(pc.match_substring(written, "."), False)
    return Column(pc.if_else(fraction, None, written), _mask(fraction))


def _numbers_of_texts(values: pa.Array) -> tuple[pa.Array, Mask]:
    plain = _plain(values)
    try:
        return plain.cast(pa.float64()), np.zeros(len(plain), np.bool_)
    except pa.ArrowInvalid:
        trimmed = pc.utf8_trim_whitespace(plain)
        good = pc.match_substring_regex(trimmed, _NUMBER)
        bad = _mask(pc.fill_null(pc.invert(good), False))
        return pc.if_else(good, trimmed, None).cast(pa.float64()), bad


def _with_point(read: Column, where: Mask) -> Column:
    """Texts of numbers with a comma as those with a point; what is no such number is bad."""
    trimmed = pc.utf8_trim_whitespace(_plain(read.values))
    good = pc.match_substring_regex(trimmed, _NUMBER_WITH_COMMA)
    bare = pc.replace_substring_regex(trimmed, r"[. \x{a0}\x{2009}\x{202f}]", "")
    told = pc.if_else(good, pc.replace_substring(bare, ",", "."), None)
    bad = _mask(pc.fill_null(pc.invert(good), False)) & where
    return Column(pc.if_else(pa.array(where), told, _plain(read.values)), read.bad | bad)


def _blanked(plain: pa.Array, nulls: Sequence[str]) -> pa.Array:
    if not nulls or not len(plain):
        return plain
    token = pc.is_in(plain, value_set=pa.array(nulls, pa.string()))
    return pc.if_else(token, None, plain) if pc.any(token).as_py() else plain


def _without(floats: pa.Array, nulls: Sequence[str]) -> pa.Array:
    """Null where the number is one of the tokens."""
    tokens = [number for number in map(_number, nulls) if number is not None]
    if not tokens:
        return floats
    near = [float(np.float32(number)) for number in tokens]  # as a narrower column holds them
    token = pc.is_in(floats.cast(pa.float64()), value_set=pa.array([*tokens, *near]))
    return pc.if_else(token, None, floats)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _through(values: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices, change(values.dictionary))
    return change(values)


def _plain(values: pa.Array) -> pa.Array:
    return values.dictionary_decode() if pa.types.is_dictionary(values.type) else values


def _mask(values: pa.Array) -> Mask:
    return np.asarray(values.to_numpy(zero_copy_only=False), np.bool_)


def _null_mask(values: pa.Array) -> Mask:
    return _mask(values.is_null())
