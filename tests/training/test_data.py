"""The reader: everything once, in bounded memory, from any position, the same every time."""

import os
import subprocess
import sys
import threading
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from infra.errors import PartitionCorrupt, PartitionMissing, TrainingError
from tests.training.growing import correct_catalog, grow_vocabulary
from training import pieces
from training.data import PIECES, Position, Reader, Samples, grouped
from training.pieces import Piece

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def reader(store, days):
    def make(**options):
        options = {"batch_size": 32, "buffer": 200, "seed": 5, **options}
        return Reader(Samples(store, days), **options)

    return make


def ids(loaded):
    return loaded.info.sample_id.to_pylist()


def published(store, days):
    return [
        i for day in days for i in store.partition("samples", day).table()["sample_id"].to_pylist()
    ]


def test_an_epoch_shows_every_moment_once(reader, store, days):
    seen = [i for loaded in reader().epoch(Position()) for i in ids(loaded)]
    assert len(seen) == 600
    assert sorted(seen) == sorted(published(store, days))
    assert seen != published(store, days)


def test_unshuffled_reading_takes_windows_in_published_order_each_from_short_histories_to_long(
    reader, store, days
):
    subject, expected = reader(shuffle=False), published(store, days)
    batches = list(subject.epoch(Position()))
    windows = subject.windows(0)
    assert len(windows) > 1
    for window in windows:
        mine, expected = expected[: window.rows], expected[window.rows :]
        read, batches = batches[: window.steps], batches[window.steps :]
        assert sorted(i for loaded in read for i in ids(loaded)) == sorted(mine)
        lengths = [n for loaded in read for n in loaded.batch.length_B.tolist()]
        assert lengths == sorted(lengths)
        assert [loaded.batch.size for loaded in read[:-1]] == [32] * (window.steps - 1)
    assert not batches
    assert not expected


def test_memory_is_bounded_by_the_buffer(reader, monkeypatch):
    held = []
    load = Samples.load

    def counting(self, window):
        moments = load(self, window)
        held.append(len(moments))
        return moments

    monkeypatch.setattr(Samples, "load", counting)
    subject = reader(buffer=100)
    assert len(list(subject.epoch(Position()))) == subject.steps()
    assert sum(held) == 600
    assert max(held) <= 100
    assert subject.most_held == max(held)


def test_a_row_group_larger_than_the_buffer_is_cut(reader):
    subject = reader(buffer=40, batch_size=16)
    assert max(window.rows for window in subject.windows(0)) <= 40
    seen = [i for loaded in subject.epoch(Position()) for i in ids(loaded)]
    assert len(set(seen)) == len(seen) == 600


def test_a_shuffled_window_comes_from_all_over(reader):
    *full, _ = reader().windows(0)
    for window in full:
        places = {(piece.slice, piece.entry.name, piece.group) for piece in window.pieces}
        assert len(window.pieces) >= PIECES
        assert len(places) > len({piece.slice for piece in window.pieces}) == 2  # both days


def test_tables_are_of_the_size_of_the_last_day(make_store, tmp_path, days):
    store = make_store(tmp_path, moments=20)
    before = Samples(store, days).sizes
    grow_vocabulary(store, days[1], 5)
    after = Samples(store, days).sizes
    assert (after.item, after.shop) == (before.item + 5, before.shop + 1)
    assert Samples(store, days[:1]).sizes == before


def test_the_order_depends_on_seed_and_epoch_only(reader):
    def order(seed, epoch):
        return [ids(loaded) for loaded in reader(seed=seed).epoch(Position(epoch))]

    assert order(5, 0) == order(5, 0)
    assert order(5, 0) != order(6, 0)
    assert order(5, 0) != order(5, 1)


@pytest.mark.parametrize("step", [0, 1, 7, 18, 19])
def test_a_saved_position_gives_the_rest_of_the_epoch(reader, step):
    whole = list(reader().epoch(Position()))
    at = whole[step - 1].after if step else Position()
    assert at == Position(0, step)
    rest = list(reader().epoch(at))
    assert [ids(loaded) for loaded in rest] == [ids(loaded) for loaded in whole[step:]]
    for found, expected in zip(rest, whole[step:], strict=True):
        assert torch.equal(found.batch.seq_BT, expected.batch.seq_BT)
        assert found.after == expected.after


def test_skipping_ahead_reads_nothing_of_what_is_skipped(reader, monkeypatch):
    loads = []
    load = Samples.load
    monkeypatch.setattr(
        Samples, "load", lambda self, window: loads.append(window.index) or load(self, window)
    )
    subject = reader()
    last = subject.windows(0)[-1]
    list(subject.epoch(Position(0, last.first_step)))
    assert loads == [last.index]


def test_grouping_loses_no_row_and_keeps_like_lengths_together():
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 101, 1000)
    parts = grouped(lengths, 16, rng)
    assert sorted(np.concatenate(parts)) == list(range(1000))
    assert {len(part) for part in parts} <= {62, 63}
    ranges = sorted((lengths[part].min(), lengths[part].max()) for part in parts)
    assert all(low[1] <= high[0] for low, high in pairwise(ranges))
    assert [lengths[part].max() for part in parts] != sorted(lengths[part].max() for part in parts)


def test_leaving_early_stops_the_thread(reader):
    before = readers()
    batches = reader().epoch(Position())
    assert len(list(islice(batches, 2))) == 2
    assert len(readers() - before) == 1
    batches.close()
    assert readers() <= before


def readers():
    """The threads of this process that read ahead."""
    return {one for one in threading.enumerate() if one.name == "dupn-reader"}


def test_an_error_of_the_reading_thread_reaches_the_caller(make_store, tmp_path, days):
    store = make_store(tmp_path)
    reader = Reader(Samples(store, days), batch_size=32, buffer=200)
    entry = store.partition("samples", days[0]).manifest().files[0]
    path = tmp_path / "samples" / f"dt={days[0]}" / entry.name
    raw = bytearray(path.read_bytes())
    raw[100:4000] = bytes(3900)
    path.write_bytes(raw)
    with pytest.raises(PartitionCorrupt, match=f"{entry.name} cannot be read"):
        list(reader.epoch(Position()))


def test_a_rotten_byte_is_an_error_and_never_another_moment(make_store, tmp_path, days):
    store = make_store(tmp_path)
    partition = store.partition("samples", days[0])
    entry = partition.manifest().files[0]
    path = Path(partition.path, entry.name)
    sound = path.read_bytes()
    group = pq.read_metadata(path).row_group(0)
    piece = Piece(slice=0, entry=entry, group=0, start=0, span=group.num_rows)
    for column in map(group.column, range(group.num_columns)):
        raw = bytearray(sound)
        start = column.dictionary_page_offset or column.data_page_offset
        raw[start + column.total_compressed_size - 1] ^= 1  # the last one of its last page
        path.write_bytes(raw)
        with pytest.raises(PartitionCorrupt, match=f"{entry.name} cannot be read"):
            pieces.read(partition, piece)
        if column.path_in_schema == "user_hash":
            with pytest.raises(PartitionCorrupt, match=f"{entry.name} cannot be read"):
                pieces.users(partition, entry, 0)


def test_a_cut_file_is_named(make_store, tmp_path, days):
    store = make_store(tmp_path)
    entry = store.partition("samples", days[0]).manifest().files[0]
    path = tmp_path / "samples" / f"dt={days[0]}" / entry.name
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PartitionCorrupt, match=f"{entry.name} cannot be read"):
        Reader(Samples(store, days), batch_size=32, buffer=200)


def test_no_samples_and_missing_days_are_refused(make_store, tmp_path, days):
    store = make_store(tmp_path, moments=0)
    with pytest.raises(TrainingError, match="no sample to read"):
        Reader(Samples(store, days), batch_size=32, buffer=200)
    with pytest.raises(TrainingError, match="no day"):
        Reader(Samples(store, []), batch_size=32, buffer=200)
    with pytest.raises(PartitionMissing, match="samples"):
        Samples(store, [days[0].replace(year=2020)])


def test_a_catalog_that_is_published_again_meanwhile_does_not_mix_in(make_store, tmp_path, days):
    samples = Samples(make_store(tmp_path), days)
    correct_catalog(samples.store, days[1])
    with pytest.raises(TrainingError, match="catalog/dt=2026-03-03 was published again"):
        next(Reader(samples, batch_size=32, buffer=200).epoch(Position()))


@pytest.mark.drill
def test_peak_memory_does_not_grow_with_the_data(make_store, tmp_path, days):

    store = make_store(tmp_path, days=1, moments=2_000)
    partition = store.partition("samples", days[0])
    once = partition.table()

    def peak_mb(times, buffer):
        with partition.publish() as out:
            out.record([out.write_table("part", pa.concat_tables([once] * times))])
        script = Path(__file__).with_name("read_all.py")
        read = subprocess.run(
            [sys.executable, script, store.root, str(buffer)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
            text=True,
        )
        return float(read.stdout)

    small = peak_mb(times=4, buffer=8_000)  # a full window, as the next one has
    large = peak_mb(times=40, buffer=8_000)
    held = peak_mb(times=40, buffer=80_000)
    assert large - small < (held - small) / 2, (small, large, held)


def test_a_day_published_before_offers_were_kept_is_read_beside_a_newer_one(make_store, tmp_path):
    """Its column is absent, which is what null says: nothing is known to be on offer."""
    store = make_store(tmp_path)
    older, newer = store.days("samples")
    before = store.partition("samples", older).table()
    with store.partition("samples", older).publish() as out:
        out.record([out.write_table("part", before.drop_columns("price_offer"))])
    batches = list(
        Reader(Samples(store, [older, newer]), batch_size=1000, buffer=1000).epoch(Position())
    )
    even, newest = [1 / 7] * 7, store.partition("samples", newer).table().to_pylist()
    expected = dict.fromkeys(before["sample_id"].to_pylist(), even)
    expected |= {row["sample_id"]: row["price_offer"] or even for row in newest}
    found = {
        one: shares
        for loaded in batches
        for one, shares in zip(ids(loaded), loaded.batch.offer_BL.tolist(), strict=True)
    }
    assert found.keys() == expected.keys()
    assert all(found[one] == pytest.approx(expected[one]) for one in found)


def test_a_day_without_another_column_is_not_read_as_if_nothing_was_known(make_store, tmp_path):
    store = make_store(tmp_path)
    (day, *_) = store.days("samples")
    table = store.partition("samples", day).table()
    with store.partition("samples", day).publish() as out:
        out.record([out.write_table("part", table.drop_columns("price_level"))])
    told = rf"samples/dt={day} lacks price_level: .* again with `dupn samples`"
    with pytest.raises(PartitionCorrupt, match=told):
        list(Reader(Samples(store, [day]), batch_size=1000, buffer=1000).epoch(Position()))
