"""`dupn whereis USER`: where a home holds a person, under the id of the log or its hash.

For whoever has to forget somebody (docs/operations.md). Every file of the home and of `serve.work`
is read, a piece at a time, and none is changed: of Parquet the texts and numbers, of all else the
bytes, unpacked where the name says so. What lies elsewhere (an MLflow of your own, backups, the
temporary folder) is not looked at. A column of users holds a person where its value, read as `dupn
events` reads it, is the id; any other text where the id is a word of it, so `anna` also where
`anna-7` stands. An id of digits alone may be an item's or any number too: it counts in columns of
users, in raw text and in JSON's quotes; its hash counts everywhere.
"""

import logging
import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.buckets import hash_ids
from features.raw import columns
from features.raw.arrow_types import is_bytes, is_text, usual
from features.raw.dataset import load as load_dataset
from features.raw.textfile import decompressed
from infra.errors import DupnError, InputError
from infra.files import ABSENT, filesystem, is_local, local
from pipeline.raw import descriptions
from pipeline.settings import Settings
from pipeline.upkeep.spellings import encoded, written

logger = logging.getLogger(__name__)

PIECE = 1 << 20
"""Bytes of a file in memory."""
ROWS = 1 << 16
"""Of a Parquet file in memory."""
FOUND_BY_CHANCE = 4
"""Bytes of an id; fewer stand in a few megabytes of any bytes."""
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
    as_floats: bool = False
    """Whether the data set writes them as floats, `12.0` for 12, also in texts."""
    encodings: frozenset[str] = frozenset({"utf-8"})
    """In which its texts may be written."""
    quotes: frozenset[str] = frozenset()
    """Signs that stand twice within a quoted text of CSV."""

    @classmethod
    def of(cls, settings: Settings, user: str) -> "Sought":
        """The id, its hash, and the names that data sets give the column of users.

        Those of the set that is set, and of the descriptions that raw days were imported by.

        Raises:
            InputError: the id holds what no text can.
        """
        try:
            user.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"the id {user!a} is not UTF-8. Give it as UTF-8, whatever its log is written in."
            ) from None
        described = [load_dataset(settings.dataset), *descriptions.kept(settings.store)]
        tables = [table for one in described for table in one.tables().values()]
        named = {table.map.get("user_id", "user_id") for table in tables}
        floats = any("user_id" in table.float_ids for table in tables)
        hashed = int(hash_ids(pa.array([user]))[0])
        encodings = frozenset({"utf-8", *(table.encoding for table in tables)})
        quotes = frozenset(table.quote for table in tables if table.quote)
        return cls(user, hashed, frozenset({"user_id", *named}), floats, encodings, quotes)

    def in_table(self, stream: IO[bytes]) -> int:
        """Rows of a Parquet file."""
        file, found = pq.ParquetFile(stream), 0
        names = [one.name for one in file.schema_arrow if self._is_wanted(*_pair(one))]
        for batch in file.iter_batches(ROWS, columns=names) if names else ():
            cells = zip(names, batch.columns, strict=True)
            found += max(self._cells(name, column) for name, column in cells)
        return found

    def in_bytes(self, stream: IO[bytes], name: str) -> int:
        """How often a file of another kind says it."""
        pattern = self._pattern(is_raw=name.startswith("raw/"))
        longest = len(pattern.pattern)  # of one of its words, and what may stand beside it
        unpacked, found, held, begin = decompressed(stream, name), 0, b"", 0
        while piece := unpacked.read(PIECE):
            held += piece
            cut = max(begin, len(held) - longest)  # what begins before it is here to its end
            found += sum(one.start() < cut for one in pattern.finditer(held, begin))
            held, begin = held[max(0, cut - 1) :], min(1, cut)  # the byte before tells a word
        return found + sum(1 for _ in pattern.finditer(held, begin))

    def _pattern(self, *, is_raw: bool) -> re.Pattern[bytes]:
        """The id as a word, as JSON and CSV write it; the hash in digits and in eight bytes."""
        plain = self.user.encode()
        said = {one.encode() for one in written(self.user)}
        if is_raw:
            said |= {encoded(one, code) for one in self._in_lines() for code in self.encodings}
        words = {re.escape(one) for one in said if one}
        if self.user.isdecimal() and not is_raw:
            words = {rb'(?<=")' + plain + rb'(?=\\?")'}
        words.add(str(self.hash).encode())
        words.add(str(self.hash - (self.hash >> 63 << 64)).encode())
        small = re.escape(self.hash.to_bytes(8, "little"))
        large = re.escape(self.hash.to_bytes(8, "big"))  # SQLite
        whole = rb"(?<![0-9A-Za-z_])(?:" + b"|".join(sorted(words)) + rb")(?![0-9A-Za-z_])"
        return re.compile(b"|".join([whole, small, large]), re.DOTALL)

    def _in_lines(self) -> set[str]:
        """The id as a line of a log may write it."""
        return written(self.user) | {self.user.replace(one, 2 * one) for one in self.quotes}

    def _cells(self, name: str, column: pa.Array) -> int:
        """Of one column, those that hold the id or the hash."""
        while _is_list(column.type):
            column = _listed(column).flatten()
        if pa.types.is_struct(column.type):
            inner = zip(column.type, column.flatten(), strict=True)
            wanted = [(one.name, cells) for one, cells in inner if self._is_wanted(*_pair(one))]
            return max((self._cells(*one) for one in wanted), default=0)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        column = _plain(column)
        found = self._ids(column) if name in self.columns else 0
        if pa.types.is_integer(column.type):
            return found + self._hashes(column)
        if not (is_text(column.type) or is_bytes(column.type)):
            return found
        found += sum(_words(column, str(one)) for one in (self.hash, self.hash - (1 << 64)))
        if name in LINES:
            return found + sum(_words(column, one) for one in self._in_lines())
        if name not in self.columns and not self.user.isdecimal():
            found += _words(column, self.user)
        return found

    def _ids(self, column: pa.Array) -> int:
        """Of a column of users, those that `dupn events` reads as the id."""
        read = columns.texts(column, (), as_id=True).values
        return _sum(pc.equal(columns.without_fraction(read) if self.as_floats else read, self.user))

    def _hashes(self, column: pa.Array) -> int:
        if column.type.bit_width < 64:
            return 0
        signed = pa.types.is_signed_integer(column.type)
        said = self.hash - (self.hash >> 63 << 64) if signed else self.hash
        return _sum(pc.equal(column, pa.scalar(said, column.type)))

    def _is_wanted(self, name: str, kind: pa.DataType) -> bool:
        """Whether values of the type, or those inside of it, may be an id, a hash, or a line."""
        if pa.types.is_map(kind):
            entry = kind.key_field, kind.item_field
            return any(self._is_wanted(*_pair(one)) for one in entry)
        if _is_list(kind) or pa.types.is_dictionary(kind):
            return self._is_wanted(name, kind.value_type)
        if pa.types.is_struct(kind):
            return any(self._is_wanted(*_pair(one)) for one in kind)
        if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return name in self.columns
        says_nobody = pa.types.is_null, pa.types.is_boolean, pa.types.is_temporal
        return not any(one(kind) for one in says_nobody)


def _pair(column: pa.Field) -> tuple[str, pa.DataType]:
    return column.name, column.type


def _listed(column: pa.Array) -> pa.Array:
    """A map as a list of its entries."""
    kind = column.type
    if not pa.types.is_map(kind):
        return column
    return column.cast(pa.list_(pa.struct([kind.key_field, kind.item_field])))


def _plain(column: pa.Array) -> pa.Array:
    """In the usual layout; a type that no reader of days knows (`uuid`), as it is written."""
    column, kind = usual(column), column.type
    known = is_text(kind) or is_bytes(kind) or pa.types.is_primitive(kind)
    if known or pa.types.is_decimal(kind):
        return column
    told = [None if value is None else str(value) for value in column.to_pylist()]
    return pa.array(told, pa.string())


def _words(column: pa.Array, word: str) -> int:
    """Texts in which it stands as a word; few are left when it has been looked for plainly."""
    near = column.filter(pc.match_substring(column, word))
    if not len(near):
        return 0
    apart = f"(?:^|[^0-9A-Za-z_]){re.escape(word)}(?:$|[^0-9A-Za-z_])"
    return _sum(pc.match_substring_regex(near, apart))


def _sum(mask: pa.Array) -> int:
    return int(pc.sum(mask, min_count=0).as_py())


def _is_list(kind: pa.DataType) -> bool:
    """Also of a map, whose entries are structures."""
    lists = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
    views = pa.types.is_list_view, pa.types.is_large_list_view
    return any(one(kind) for one in (*lists, *views, pa.types.is_map))


@dataclass
class Place:
    """Files of one folder that hold the person."""

    files: int = 0
    count: int = 0
    days: set[str] = field(default_factory=set)


@dataclass
class Unread:
    """How much could not be looked into; each is named as it comes."""

    count: int = 0

    def add(self, path: str, error: Exception) -> None:
        """A file or a folder, and what was wrong."""
        self.count += 1
        logger.warning("%s was not looked into: %s", path, str(error).rstrip("."))

    def on_disk(self, error: OSError) -> None:
        """The same of what a disk says, unless it was swept or replaced meanwhile."""
        path = str(error.filename)
        if not isinstance(error, ABSENT) or Path(path).is_symlink():  # which leads nowhere
            self.add(path, error)


def run(settings: Settings, user: str) -> list[dict[str, Any]]:
    """One record a place: its first and last day, its files, and how often the person is there."""
    sought, places, unread = Sought.of(settings, user), dict[str, Place](), Unread()
    for root, path in _files(settings, unread):
        name = _name(root, path)
        try:
            with filesystem(root).open(path, "rb") as stream:
                table = name.endswith(".parquet")
                count = sought.in_table(stream) if table else sought.in_bytes(stream, name)
        except ABSENT:  # swept, or replaced, meanwhile
            continue
        except (DupnError, pa.ArrowException, OSError, EOFError, ValueError) as error:
            unread.add(path, error)
            continue
        if count:
            beside = "" if root == settings.store.root else f"{root}/"
            place = places.setdefault(beside + _place(name), Place())
            place.files += 1
            place.count += count
            day = name.partition("/dt=")[2].partition("/")[0]
            place.days.update([day] if day else [])
    quoted = len(user.encode()) + 2 * user.isdecimal()  # where text is not, digits count in quotes
    if places and quoted < FOUND_BY_CHANCE:
        logger.warning(
            "%s is so short that it stands by chance in files that are no text, as weights, "
            "pictures and databases are: a place that has such files alone may hold nobody.", user
        )  # fmt: skip
    told = "whereis: %s places, %s files or folders could not be read"
    logger.info(told, len(places), unread.count)
    return [_told(name, place) for name, place in sorted(places.items())]


def _told(name: str, place: Place) -> dict[str, Any]:
    first, last = min(place.days, default=""), max(place.days, default="")
    return {"place": name, "first": first, "last": last} | {
        "files": place.files,
        "count": place.count,
    }


def _files(settings: Settings, unread: Unread) -> Iterator[tuple[str, str]]:
    """Root and address of every file; what a link leads to counts, a pipe does not."""
    work, seen = settings.serve.work, set[Path]()
    for root in [settings.store.root, *([str(Path(work).absolute())] if work else [])]:
        fs = filesystem(root)
        if is_local(fs):
            yield from ((root, str(path)) for path in _on_disk(local(fs, root), seen, unread))
            continue
        for path, info in fs.find(root, detail=True).items():
            if info["type"] == "file":
                yield root, path


def _on_disk(top: Path, seen: set[Path], unread: Unread) -> Iterator[Path]:
    """Files below a folder: each folder once, by its own name before that of a link to it.

    Args:
        top: the folder; nothing where it is absent.
        seen: real paths of folders that are not entered again; those entered are put in.
        unread: what cannot be looked into is put in.
    """
    begins = deque([top])
    while begins:
        walk = os.walk(begins.popleft(), onerror=unread.on_disk)
        for folder, folders, names in walk:  # which enters no link by itself
            real = Path(folder).resolve()
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            begins.extend(
                path for path in (Path(folder, one) for one in folders) if path.is_symlink()
            )
            for path in (Path(folder, one) for one in names):
                try:
                    is_file = S_ISREG(path.stat().st_mode)
                except OSError as error:
                    unread.on_disk(error)
                else:
                    if is_file:
                        yield path


def _name(root: str, path: str) -> str:
    """Below the root; a listing leaves out the kind of store (`s3://`)."""
    top = root.partition("://")[2] or root
    return path.strip("/").removeprefix(top.strip("/")).strip("/")


def _place(name: str) -> str:
    """`raw`, `bundles/dupn-2026-03-04`, `representations/dupn-2026-03-04`, and the like."""
    stage, of_day, _ = name.partition("/dt=")
    if of_day:
        return stage
    parts = name.split("/")
    return "/".join(parts[: DEPTHS.get(parts[0], 2)])
