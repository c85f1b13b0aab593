"""Moments of the users who were drawn, and of the day's other moments as little as can be."""

import numpy as np
import pyarrow as pa
import pytest

from evaluation import sampled
from infra.store import Partition
from tests.training.conftest import FIRST, write_store
from training.moments import Moments

GROUP = 16


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A day in the order of its users, in two files of many row groups."""
    store = write_store(tmp_path_factory.mktemp("sampled"), days=1, moments=600)
    samples = store.partition("samples", FIRST)
    rows = samples.table().sort_by("user_hash")
    with samples.publish() as out:
        for name, part in (("a", rows.slice(0, 250)), ("b", rows.slice(250))):
            out.record([out.write_table(name, part, row_group_size=GROUP)])
    return store


@pytest.fixture
def decoded(monkeypatch):
    """How many rows were read of more than their user."""
    rows, table, batches = [], Partition.table, Partition.batches

    def whole(self, *asked, **how):
        found = table(self, *asked, **how)
        rows.extend([found.num_rows] if "seq_item" in found.column_names else [])
        return found

    def streamed(self, *asked):
        for batch in batches(self, *asked):
            rows.append(batch.num_rows)
            yield batch

    monkeypatch.setattr(Partition, "table", whole)
    monkeypatch.setattr(Partition, "batches", streamed)
    return rows


@pytest.mark.parametrize("limit", [5, 40])
def test_of_a_day_only_row_groups_with_somebody_who_was_drawn_are_read(store, limit, decoded):
    asked = sampled.read(store, FIRST, limit, seed=1)
    samples, groups = store.partition("samples", FIRST), []
    for entry in samples.manifest().files:
        hashes = samples.table(["user_hash"], [entry])["user_hash"].to_numpy()
        drawn = np.isin(hashes, asked.moments.user_hash)
        groups += [GROUP for start in range(0, len(hashes), GROUP) if drawn[start:][:GROUP].any()]
    assert limit <= len(asked.moments) <= sum(decoded) <= sum(groups) < 600
    assert max(decoded) <= GROUP


@pytest.mark.parametrize("at_a_time", [5, 512])
def test_they_are_all_moments_of_the_users_in_published_order(store, at_a_time, monkeypatch):
    monkeypatch.setattr(sampled, "BATCH", at_a_time)
    found = sampled.read(store, FIRST, 100, seed=1).moments
    day = store.partition("samples", FIRST).table()
    rows = day.filter(pa.array(np.isin(day["user_hash"].to_numpy(), found.user_hash)))
    wanted = Moments.from_arrow(rows.combine_chunks(), np.zeros(len(rows), np.int64))
    assert 100 <= len(found) < 300
    assert found.sample_id.equals(wanted.sample_id)
    for name in ("sequence", "candidates", "profile", "icons"):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        assert ours.lengths.tolist() == theirs.lengths.tolist()
        for key, values in theirs.columns.items():
            assert np.array_equal(ours.columns[key], values, equal_nan=key == "features")
