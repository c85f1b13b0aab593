"""A version that is served: a bundle, disassembled, with all that requests are looked up in."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features import catalog
from features.buckets import hash_distinct, hash_ids
from features.query import tokens_of
from features.questions.relevance import TitleIndex
from features.schemas import BehaviorType, Scenario
from features.timeline import Codes
from infra.errors import PartitionCorrupt
from infra.record import as_object
from infra.store import Store
from serving import bundle as bundles
from serving import items, recall, tables, user_graph, user_part
from serving.bundle import RECORDED, Bundle
from serving.contracts import Question, milliseconds, question
from serving.ranker import History, Moment, Ranked, Ranker, newest
from serving.recall import Recall
from serving.snapshot import Past
from serving.user_part import Heard, Runtime

FOLDER = "disassembled"
"""Inside a published bundle: what `disassemble` wrote for it."""
CHECKSUMS = "disassembled.json"


@dataclass(frozen=True, kw_only=True)
class Name:
    """Which version it is; stated in every answer."""

    version: str
    """Of the registered model; the run key where there is no registry."""
    line: str = ""
    run: str = ""
    representation: str = "1"
    """Version of the 256 dimensions: vectors of one version may be compared."""


@dataclass(frozen=True)
class Answered:
    """One moment with its candidates, scored."""

    heard: Heard
    ranked: Ranked


class Served:
    """Answers requests in raw ids; shared by all requests, never changed."""

    def __init__(self, name: Name, bundle: Bundle, ranker: Ranker, found: Recall) -> None:
        self.name = name
        self.bundle = bundle
        self.ranker = ranker
        self.recall = found
        self.ids = _ids(bundle)
        self.profile_columns = tuple(words.feature for words in bundle.profile)
        """Feature of each profile column, in the network's order."""
        self._tokens = lru_cache(maxsize=16_384)(self._cut)

    def moment(self, ts: int, past: Past, query: str | None, profile: Codes) -> Moment:
        """Somebody's moment, in this version's rows.

        Args:
            ts: UTC milliseconds.
            past: what was done before it.
            query: what was typed.
            profile: a row in each of `profile_columns`; empty without a profile.
        """
        history = History(self.rows_of_hashes(past.item), past.ts, past.type, past.scenario)
        return Moment(ts, history, self._tokens(query or ""), profile)

    def moment_of(self, asked: Question) -> Moment:
        """The moment of a question that brings its own history."""
        ts = milliseconds(asked.ts)
        times = np.array([milliseconds(b.ts) for b in asked.history], np.int64)
        order = np.argsort(times, kind="stable")
        history = History(
            self.rows_of([b.item_id for b in asked.history])[order],
            times[order],
            np.array([BehaviorType[b.type.upper()] for b in asked.history], np.int8)[order],
            np.array([Scenario[b.scenario.upper()] for b in asked.history], np.int8)[order],
        )
        profile = self.profile_rows(asked.profile)
        return Moment(ts, newest(history, ts), self._tokens(asked.query or ""), profile)

    def answer(self, moment: Moment, candidates: Codes) -> Answered:
        """Encode once, score every candidate (catalog rows)."""
        heard = self.ranker.hear(moment)
        return Answered(heard, self.ranker.rank(moment, heard, candidates))

    def rows_of(self, item_ids: pa.Array | Sequence[str]) -> Codes:
        """Catalog rows; 1 for items that nobody has seen."""
        return self.rows_of_hashes(hashes_of(item_ids))

    def rows_of_hashes(self, hashes: NDArray[np.uint64]) -> Codes:
        """The same from hashes of item ids."""
        known = self.bundle.world.catalog
        return catalog.lookup(hashes, known.hashes, known.rows)

    def is_item(self, rows: Codes) -> NDArray[np.bool_]:
        """Which catalog rows are those of items."""
        return (rows >= catalog.FIRST_ROW) & (rows < self.bundle.world.catalog.num_rows)

    def profile_rows(self, profile: Mapping[str, str]) -> Codes:
        """A row a profile column, 1 where nothing is known."""
        rows = np.ones(len(self.bundle.profile), np.int32)
        for index, words in enumerate(self.bundle.profile):
            value = profile.get(words.feature.removeprefix("profile_"))
            rows[index] = words.rows_of(pa.array([value], pa.string()))[0]
        return rows

    def query_cache(self) -> tuple[int, int]:
        """Hits and misses of the query words' cache."""
        info = self._tokens.cache_info()
        return info.hits, info.misses

    def _cut(self, query: str) -> Codes:
        """Token rows of a query."""
        lists = tokens_of(pa.array([query or None], pa.string()), self.bundle.world.token)
        return lists.flatten().to_numpy().astype(np.int32)


def hashes_of(item_ids: pa.Array | Sequence[str]) -> NDArray[np.uint64]:
    """By which items are looked up; they tell ids apart that no catalog has."""
    return hash_ids(item_ids) if isinstance(item_ids, pa.Array) else hash_distinct(item_ids)


def disassemble(bundle: Path, folder: Path) -> None:
    """Write what a bundle does not hold: item table, user part, recall index, and checksums."""
    loaded = bundles.load(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    items.build(loaded.model, loaded.world.catalog, folder / items.FILE)
    user_graph.build(loaded.model, folder / user_graph.FILE)
    recall.build(loaded.world.titles, folder / recall.FOLDER)
    sums = {name: _sha256(folder / name) for name in (items.FILE, user_graph.FILE)}
    content = {"bundle": bundles.digest(bundle), "files": sums}
    (folder / CHECKSUMS).write_text(json.dumps(content, indent=1))


def load(bundle: Path, folder: Path, name: Name, runtime: Runtime = user_part.DEFAULT) -> Served:
    """A version from its bundle and from the folder that `disassemble` wrote.

    Args:
        bundle: its folder.
        folder: of `disassemble`.
        name: what its answers say of it.
        runtime: answers its user part.

    Raises:
        PartitionCorrupt: nothing was disassembled there, or a file is not what was written.
    """
    file = folder / CHECKSUMS
    if not file.exists():
        raise PartitionCorrupt(f"{folder} is not disassembled: {CHECKSUMS} is absent.")
    try:
        content = as_object(file.read_bytes())
    except ValueError as error:
        raise PartitionCorrupt(f"{file} cannot be read ({error}). Remove {folder}.") from None
    for written, expected in content["files"].items():
        if _sha256(folder / written) != expected:
            raise PartitionCorrupt(f"{folder / written} is not the file that was written.")
    loaded = bundles.load(bundle)
    world = loaded.world
    ranker = Ranker(
        loaded.model,
        items.load(loaded.model, folder / items.FILE),
        world,
        TitleIndex.of(world.titles, world.token),
        user_part.load(loaded.model, folder / user_graph.FILE, runtime),
    )
    return Served(name, loaded, ranker, Recall(folder / recall.FOLDER))


def worst_difference(served: Served, bundle: Path) -> float:
    """How far answers to the bundle's recorded questions are from what evaluation computed."""
    file = bundle / RECORDED
    worst = 0.0
    for record in json.loads(file.read_text()) if file.exists() else []:
        asked = question(record["question"])
        rows = served.rows_of(asked.candidates)
        ranked = served.answer(served.moment_of(asked), rows).ranked
        for mine, theirs in ((ranked.ctr, record["ctr"]), (ranked.l2r, record["l2r"])):
            difference = np.abs(mine - np.array(theirs, np.float32))
            worst = max(worst, float(np.nan_to_num(difference, nan=np.inf).max(initial=0.0)))
    return worst


def _ids(bundle: Bundle) -> pa.Array:
    """Item ids by catalog row; null for rows 0 and 1."""
    table = Store(bundle.folder / tables.FOLDER).partition("catalog", bundle.day).table(["item_id"])
    return pa.concat_arrays([pa.nulls(catalog.FIRST_ROW, pa.string()), *table["item_id"].chunks])


def _sha256(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
