"""Query words -> the items whose titles hold them (Section 3, Figure 1's recall), by BM25.

A tantivy index on disk, memory-mapped, built once a bundle. Words are cut by `features.query` as
the network's query tokens are, so Chinese, Japanese and Korean titles are found as well, and folded
further (width, case); words that the vocabulary does not know are found too. Any word suffices,
which is wider than the paper's "title containing the query words": one word too many does not empty
a page. More words, and rarer ones, come first.

Whoever reads an index locks it by a file in its folder. Who may only read the folder does so by way
of links in another one.
"""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import tantivy
from numpy.typing import NDArray

from features.catalog import FIRST_ROW
from features.query import MAX_TITLE_WORDS, search_words, words, words_of
from infra.errors import PartitionCorrupt
from infra.files import writing
from infra.scratch import scratch_folder

FOLDER = "recall"
LOCK = ".tantivy-meta.lock"
_ANALYZER = "words"
_HEAP_BYTES = 64 << 20


class Recall:
    """Searches the titles of a catalog; may be shared between threads.

    Raises:
        StoreError: the folder cannot be written, nor can the system's temporary one (`TMPDIR`).
        PartitionCorrupt: there is no index that can be read.
    """

    def __init__(self, folder: Path) -> None:
        self._schema = _schema()
        try:
            self._searcher = self._read(folder)
        except (ValueError, OSError) as error:
            if "Lockfile" not in str(error):
                raise _unreadable(folder, error) from None
            self._searcher = self._read_beside(folder)

    def _read(self, folder: Path) -> tantivy.Searcher:
        index = tantivy.Index(self._schema, path=str(folder))
        _register(index)
        return index.searcher()

    def _read_beside(self, folder: Path) -> tantivy.Searcher:
        """What was opened by way of links stays readable when they are gone."""
        where = f"{folder / LOCK}, and a folder below TMPDIR in its place,"
        with writing(where), scratch_folder() as beside:
            for file in folder.iterdir():
                if file.name != LOCK:
                    (beside / file.name).symlink_to(file.absolute())
            try:
                return self._read(beside)
            except (ValueError, OSError) as error:
                raise _unreadable(folder, error) from None

    def search(self, query: str, limit: int) -> NDArray[np.int32]:
        """Catalog rows of up to `limit` items, the best match first; none without a known word."""
        asked = (*search_words(query), *words(query))  # the latter: indexes from before the former
        terms = [
            (tantivy.Occur.Should, tantivy.Query.term_query(self._schema, "title", word))
            for word in dict.fromkeys(asked)
        ]
        if not terms or limit < 1:
            return np.empty(0, np.int32)
        found = self._searcher.search(tantivy.Query.boolean_query(terms), limit, count=False).hits
        rows = [self._searcher.doc(address)["row"][0] for _, address in found]
        return np.array(rows, np.int32)


def build(titles: pa.Array, folder: Path) -> None:
    """Write the index of titles (by catalog row; null where there is none)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    schema = _schema()
    index = tantivy.Index(schema, path=str(folder))
    _register(index)
    writer = index.writer(heap_size=_HEAP_BYTES, num_threads=1)
    texts = words_of(titles, MAX_TITLE_WORDS, search_words).to_pylist()
    for row, text in enumerate(texts):  # tantivy takes documents one by one
        if row >= FIRST_ROW and text:
            writer.add_document(tantivy.Document(title=" ".join(text), row=row))
    writer.commit()
    writer.wait_merging_threads()


def _unreadable(folder: Path, error: Exception) -> PartitionCorrupt:
    return PartitionCorrupt(
        f"{folder} holds no index of titles that can be read ({error}). Run `dupn bundle` again."
    )


def _schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_text_field("title", tokenizer_name=_ANALYZER, index_option="freq")
    builder.add_unsigned_field("row", stored=True)
    return builder.build()


def _register(index: tantivy.Index) -> None:
    split = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer(_ANALYZER, split)
