"""Some users of a day, drawn by a seeded hash, and what models answer to their questions.

Watching asks many models about many days, so its cost is bounded by moments, not by the day: of
the day only the users are read, and then the row groups that hold one who was drawn. All models are
asked the same moments, and whole users are taken, as the bootstrap draws users.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pyarrow as pa

from evaluation.metrics import Bools
from evaluation.predict import Scores
from evaluation.predictions import Predictions
from evaluation.questions import Questions, from_samples
from features.catalog import CatalogArrays
from features.profiles import Hashes
from features.schemas import SAMPLES, samples_now
from infra.store import FileEntry, Partition, Store
from training import pieces
from training.batch import Batch, VocabularySizes
from training.collate import collate
from training.data import Samples, alike
from training.inference import answered
from training.model.dupn import Dupn
from training.moments import IntArray, MomentInfo, Moments

BATCH = 512
"""Moments decoded, or answered, at a time."""


@dataclass(frozen=True)
class SampledDay:
    """Moments of the chosen users of one day, in the order of `samples`."""

    day: date
    moments: Moments
    questions: Questions
    catalogs: list[CatalogArrays]
    """By `moments.day`: a moment has that of its own day (`training.data.Samples`)."""

    @property
    def catalog(self) -> CatalogArrays:
        """Of the day itself: the newest."""
        return self.catalogs[-1]

    def ask(self, model: Dupn) -> Predictions:
        """The model's answers; vocabulary rows that are younger than it are unknown to it."""
        scores = self.scores()
        device = str(next(model.parameters()).device)
        given = self.batches(model.sizes)
        for (rows, batch), out in answered(model, lambda one: model(one[1].to(device)), given):
            scores.put(self.info(rows), batch, out)
        return Predictions(self.questions, scores.answers(), {"day": self.day.isoformat()})

    def info(self, rows: IntArray) -> MomentInfo:
        """Who and when, of some moments."""
        return MomentInfo.of(self.moments, rows)

    def scores(self) -> Scores:
        """Where answers to its questions are put."""
        return Scores(self.questions)

    def batches(self, sizes: VocabularySizes) -> Iterator[tuple[IntArray, Batch]]:
        """Moments of like length together: their rows, and the batch of them."""
        for part in alike(self.moments.sequence.lengths, BATCH):
            yield part, collate(self.moments, part, self.catalogs, sizes)


def read(store: Store, day: date, limit: int, seed: int, among: Hashes | None = None) -> SampledDay:
    """At most about `limit` moments of `samples/dt=day`, of whole users.

    Args:
        store: where the samples are.
        day: which.
        limit: users are taken in a seeded order until they have so many moments.
        seed: of that order, which differs from day to day.
        among: hashes of the users to draw from; all when absent.
    """
    partition = store.partition("samples", day)
    entries = [entry for entry in partition.manifest().files if entry.rows]
    hashes = [partition.table(["user_hash"], [entry])["user_hash"].to_numpy() for entry in entries]
    chosen = draw(np.concatenate([np.empty(0, np.uint64), *hashes]), limit, (seed, day), among)
    tables = [SAMPLES.empty_table()]
    for entry, mine in zip(entries, hashes, strict=True):
        keep = np.isin(mine, chosen)
        if keep.any():
            rows = pa.Table.from_batches(_kept(partition, entry, keep))
            tables.append(samples_now(rows, partition.key))
    table = pa.concat_tables(tables).combine_chunks()
    whole, of_day = Samples(store, [day]), np.zeros(table.num_rows, np.int64)
    moments = Moments.from_arrow(table, of_day, partition.manifest().lineage.get("profile"))
    own = whole.catalog_of(moments.ts, of_day)
    return SampledDay(day, replace(moments, day=own), from_samples(table), whole.catalogs)


def _kept(partition: Partition, entry: FileEntry, keep: Bools) -> Iterator[pa.RecordBatch]:
    """Some rows of a file; of its row groups those that hold none of them are not read."""
    of_groups = np.split(keep, np.cumsum(pieces.row_groups(partition, entry))[:-1])
    groups = [group for group, mine in enumerate(of_groups) if mine.any()]
    left = np.concatenate([of_groups[group] for group in groups])
    for batch in partition.batches(entry, BATCH, *groups):
        mine, left = np.split(left, [batch.num_rows])
        if mine.any():
            yield batch.filter(pa.array(mine))
        if not left.any():
            return


def draw(hashes: Hashes, limit: int, salt: tuple[int, date], among: Hashes | None = None) -> Hashes:
    """Users whose moments together are the first to reach `limit`, in an order of the salt."""
    users, moments = np.unique(hashes, return_counts=True)
    if among is not None:
        keep: Bools = np.isin(users, among)
        users, moments = users[keep], moments[keep]
    seed, day = salt
    order = np.random.default_rng([seed, day.toordinal()]).permutation(len(users))
    before = np.cumsum(moments[order]) - moments[order]
    return users[order[before < limit]]
