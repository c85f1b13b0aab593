"""Words of queries and titles.

Unicode words, composed and lower-cased, with the marks that belong to them (vowel signs of Indic
scripts, accents written apart); runs of Chinese, Japanese and Korean characters have no spaces, so
they become overlapping pairs (a lone character stands for itself). Work is done once per distinct
text of a column; to keep it costs more than to do it again (microseconds), as titles hardly recur.
A search folds further than that, which no network has to learn anew.
"""

import re
from collections.abc import Callable
from unicodedata import category, normalize

import pyarrow as pa
import pyarrow.compute as pc

from features.vocabulary import Vocabulary

MAX_WORDS = 16
"""Words kept per text; queries in the paper's log are far shorter. Of a title, too, where a query
is held against it: a network has learnt what that gives."""
MAX_TITLE_WORDS = 64
"""Words of a title that a search finds it by: 65 Chinese characters, twice what Taobao allows."""

# Han, kana, Hangul: the scripts written without spaces (or, for Hangul, best matched in pairs)
_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
_RUN = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}]+")
_JOINERS = "\u200c\u200d"  # without width, within words of Persian and of Indic scripts
_MARKS = _JOINERS + "".join(c for c in map(chr, range(0x300, 0x10000)) if category(c)[0] == "M")
_MARK = re.compile(f"[{_MARKS}]")
_MARKED_RUN = re.compile(f"[{_UNSPACED}]+|[^\\W_{_UNSPACED}](?:[^\\W_{_UNSPACED}]|[{_MARKS}])*")
_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")
_BETWEEN = re.compile(f"[^\\w\\s{_MARKS}]")
_DOTTED = "i\u0307"  # what a Turkish capital I with its dot becomes in small letters


def words(text: str, most: int = MAX_WORDS) -> tuple[str, ...]:
    """The first words of one text, in order."""
    return _cut((text if text.isascii() else normalize("NFC", text)).lower(), most)


def search_words(text: str, most: int = MAX_WORDS) -> tuple[str, ...]:
    """The same with one writing for each word.

    Full-width, half-width and ligatures are the letters that they stand for, and letters of one
    case are one. What stands between words stays there: a trade mark's sign is no "tm".
    """
    if text.isascii():
        return words(text, most)
    told = normalize("NFKC", _BETWEEN.sub(" ", text)).casefold()
    return _cut(normalize("NFKC", told).replace(_DOTTED, "i"), most)


def words_of(
    texts: pa.Array | pa.ChunkedArray,
    most: int = MAX_WORDS,
    cut: Callable[[str, int], tuple[str, ...]] = words,
) -> pa.ListArray:
    """The first words of each text; an empty list for null."""
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    split = [cut(text, most) for text in coded.dictionary.to_pylist()]
    distinct = pa.array([*split, []], pa.list_(pa.string()))
    return distinct.take(coded.indices.fill_null(len(split)).cast(pa.int64()))


def tokens_of(queries: pa.Array | pa.ChunkedArray, vocabulary: Vocabulary) -> pa.ListArray:
    """Rows of the token vocabulary per query; an empty list for null, 1 for an unknown word."""
    whole = queries.combine_chunks() if isinstance(queries, pa.ChunkedArray) else queries
    coded = whole if pa.types.is_dictionary(whole.type) else whole.dictionary_encode()
    split = words_of(
        pa.concat_arrays([coded.dictionary.cast(pa.string()), pa.nulls(1, pa.string())])
    )
    rows = pa.array(vocabulary.rows_of(split.flatten()), pa.int32())
    distinct = pa.ListArray.from_arrays(split.offsets, rows)
    index = coded.indices.fill_null(len(coded.dictionary)).cast(pa.int64())
    return distinct.take(index)


def word_counts(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """All words of all texts, one after the other (for counting)."""
    return pc.list_flatten(words_of(texts))


def _cut(told: str, most: int) -> tuple[str, ...]:
    found: list[str] = []
    has_marks = not told.isascii() and _MARK.search(told)
    for run in (_MARKED_RUN if has_marks else _RUN).findall(told):
        if _IS_UNSPACED.match(run) and len(run) > 1:
            found.extend(run[i : i + 2] for i in range(len(run) - 1))
        else:
            found.append(run)
    return tuple(found[:most])
