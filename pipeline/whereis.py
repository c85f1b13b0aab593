"""`dupn whereis USER`: where a home holds a person, under the id of the log or its hash.

For whoever has to forget somebody (docs/operations.md). Every file of the home and of `serve.work`
is read, a piece at a time, and none is changed: of Parquet the texts and whole numbers, of all else
the bytes, unpacked where the name says so. What lies elsewhere (an MLflow of your own, backups, the
temporary folder) is not looked at. An id of digits alone may be an item's or any number too: it
counts in columns of users, in raw text and in JSON's quotes; its hash counts everywhere.
"""

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.buckets import hash_ids
from features.dataset import load as load_dataset
from features.textfile import decompressed
from infra.errors import DupnError
from infra.files import ABSENT, filesystem, is_local
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

PIECE = 1 << 20
"""Bytes of a file in memory."""
ROWS = 1 << 16
"""Of a Parquet file in memory."""
LINES = ("_text", "text")
"""Columns that hold a line as it came."""
DEPTHS = {"mlflow": 4, "reports": 3, "serving": 1}
"""How many names tell a place without days; 2 where nothing is said (`bundles/<run key>`)."""


@dataclass(frozen=True)
class Sought:
    """What a person is called, as a file may say it."""

    user: str
    hash: int
    columns: frozenset[str]
    """Whose values are ids of users."""

    @classmethod
    def of(cls, settings: Settings, user: str) -> "Sought":
        """The id, its hash, and the names that the data set gives the column of users."""
        tables = load_dataset(settings.dataset).tables().values()
        named = {table.map.get("user_id", "user_id") for table in tables}
        return cls(user, int(hash_ids(pa.array([user]))[0]), frozenset({"user_id", *named}))

    def in_table(self, stream: IO[bytes]) -> int:
        """Rows of a Parquet file."""
        file, found = pq.ParquetFile(stream), 0
        names = [one.name for one in file.schema_arrow if _is_wanted(one.type)]
        for batch in file.iter_batches(ROWS, columns=names) if names else ():
            cells = zip(names, batch.columns, strict=True)
            found += max(self._cells(name, column) for name, column in cells)
        return found

    def in_bytes(self, stream: IO[bytes], name: str) -> int:
        """How often a file of another kind says it."""
        pattern, longest = self._pattern(is_raw=name.startswith("raw/")), 2 * len(self.user) + 64
        unpacked, found, held, begin = decompressed(stream, name), 0, b"", 0
        while piece := unpacked.read(PIECE):
            held += piece
            cut = max(begin, len(held) - longest)  # what begins before it is here to its end
            found += sum(one.start() < cut for one in pattern.finditer(held, begin))
            held, begin = held[max(0, cut - 1) :], min(1, cut)  # the byte before tells a word
        return found + sum(1 for _ in pattern.finditer(held, begin))

    def _pattern(self, *, is_raw: bool) -> re.Pattern[bytes]:
        """The id as a word, escaped as JSON does it, too; the hash in digits and in eight bytes."""
        plain = self.user.encode()
        said = {plain, json.dumps(self.user)[1:-1].encode()}
        words = {re.escape(one) for one in said}
        if self.user.isdecimal() and not is_raw:
            words = {rb'(?<=")' + plain + rb'(?=\\?")'}
        words.add(str(self.hash).encode())
        words.add(str(self.hash - (self.hash >> 63 << 64)).encode())
        small = re.escape(self.hash.to_bytes(8, "little"))
        large = re.escape(self.hash.to_bytes(8, "big"))  # SQLite
        whole = rb"(?<![0-9A-Za-z_])(?:" + b"|".join(sorted(words)) + rb")(?![0-9A-Za-z_])"
        return re.compile(b"|".join([whole, small, large]), re.DOTALL)

    def _cells(self, name: str, column: pa.Array) -> int:
        """Of one column, those that hold the id or the hash."""
        while _is_list(column.type):
            column = column.flatten()
        if pa.types.is_struct(column.type):
            inner = zip([one.name for one in column.type], column.flatten(), strict=True)
            return max((self._cells(*one) for one in inner if _is_wanted(one[1].type)), default=0)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_integer(column.type):
            return self._numbers(name, column)
        found = sum(_words(column, str(one)) for one in (self.hash, self.hash - (1 << 64)))
        if name in self.columns or name in LINES or not self.user.isdecimal():
            found += _words(column, self.user)
        return found

    def _numbers(self, name: str, column: pa.Array) -> int:
        wide = column.type.bit_width == 64
        wanted = {self.hash, self.hash - (1 << 64)} if wide else set()
        if name in self.columns and self.user.isdecimal():
            wanted.add(int(self.user))
        fitting = [one for one in wanted if _fits(one, column.type)]
        return _sum(pc.is_in(column, pa.array(fitting, column.type))) if fitting else 0


def _words(column: pa.Array, word: str) -> int:
    """Texts in which it stands as a word; few are left when it has been looked for plainly."""
    near = column.filter(pc.match_substring(column, word))
    if not len(near):
        return 0
    apart = f"(?:^|[^0-9A-Za-z_]){re.escape(word)}(?:$|[^0-9A-Za-z_])"
    return _sum(pc.match_substring_regex(near, apart))


def _sum(mask: pa.Array) -> int:
    return int(pc.sum(mask, min_count=0).as_py())


def _fits(number: int, kind: pa.DataType) -> bool:
    signed = pa.types.is_signed_integer(kind)
    low = -(1 << kind.bit_width - 1) if signed else 0
    return low <= number < low + (1 << kind.bit_width)


def _is_list(kind: pa.DataType) -> bool:
    lists = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    return any(one(kind) for one in lists)


def _is_wanted(kind: pa.DataType) -> bool:
    """Whether values of the type, or those inside of it, may be an id, a hash, or a line."""
    if _is_list(kind):
        return _is_wanted(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_is_wanted(one.type) for one in kind)
    if pa.types.is_dictionary(kind):
        return _is_wanted(kind.value_type)
    texts = pa.types.is_string, pa.types.is_large_string, pa.types.is_binary
    return pa.types.is_integer(kind) or any(one(kind) for one in (*texts, pa.types.is_large_binary))


@dataclass
class Place:
    """Files of one folder that hold the person."""

    files: int = 0
    count: int = 0
    days: set[str] = field(default_factory=set)


def run(settings: Settings, user: str) -> list[dict[str, Any]]:
    """One record a place: its first and last day, its files, and how often the person is there."""
    sought, places, unread = Sought.of(settings, user), dict[str, Place](), 0
    for root, path in _files(settings):
        name = path.removeprefix(root).strip("/")
        try:
            with filesystem(root).open(path, "rb") as stream:
                table = name.endswith(".parquet")
                count = sought.in_table(stream) if table else sought.in_bytes(stream, name)
        except ABSENT:  # swept, or replaced, meanwhile
            continue
        except (DupnError, pa.ArrowException, OSError, EOFError, ValueError) as error:
            unread += 1
            logger.warning("%s was not looked into: %s", path, str(error).rstrip("."))
            continue
        if count:
            beside = "" if root == settings.store.root else f"{root}/"
            place = places.setdefault(beside + _place(name), Place())
            place.files += 1
            place.count += count
            day = name.partition("/dt=")[2].partition("/")[0]
            place.days.update([day] if day else [])
    logger.info("whereis: %s places, %s files could not be read", len(places), unread)
    return [_told(name, place) for name, place in sorted(places.items())]


def _told(name: str, place: Place) -> dict[str, Any]:
    first, last = min(place.days, default=""), max(place.days, default="")
    return {"place": name, "first": first, "last": last} | {
        "files": place.files,
        "count": place.count,
    }


def _files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Root and address of every file; what a link leads to counts, a pipe does not."""
    work = settings.serve.work
    for root in [settings.store.root, *([str(Path(work).absolute())] if work else [])]:
        fs = filesystem(root)
        for path, info in fs.find(root, detail=True).items():
            plain = info["type"] == "file" and not info.get("islink")
            if plain or (is_local(fs) and fs.isfile(path)):
                yield root, path


def _place(name: str) -> str:
    """`raw`, `bundles/dupn-2026-03-04`, `representations/dupn-2026-03-04`, and the like."""
    stage, of_day, _ = name.partition("/dt=")
    if of_day:
        return stage
    parts = name.split("/")
    return "/".join(parts[: DEPTHS.get(parts[0], 2)])
