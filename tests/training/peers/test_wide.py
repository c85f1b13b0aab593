"""Wide reads the network's batches: profile, query, item and last clicks, and nothing else."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from sklearn.metrics import roc_auc_score

from training.collate import collate
from training.data import Position, Reader, Samples
from training.moments import Moments
from training.peers.config import WideConfig
from training.peers.crosses import CLICKS, WORDS, last_clicks, of_clicks
from training.peers.ftrl import ABSENT
from training.peers.wide import Wide

CONFIG = WideConfig(bits=18)


@pytest.fixture(scope="module")
def batch(store):
    days = store.days("samples")
    table = pa.concat_tables([store.partition("samples", day).table() for day in days])
    samples = Samples(store, days)
    day_of = np.repeat([0, 1], table.num_rows // 2)
    moments = Moments.from_arrow(table, day_of)
    rows = np.flatnonzero(np.diff(np.append(0, moments.candidates.lengths.cumsum())) > 0)[:60]
    return collate(moments, rows, samples.catalogs, samples.sizes)


def changed(batch, **columns):
    return replace(batch, **columns)


def same(one, other):
    return np.array_equal(of_clicks(one, CONFIG), of_clicks(other, CONFIG))


def test_a_feature_has_one_place_whatever_the_batch(batch):
    whole = of_clicks(batch, CONFIG)
    items = replace(batch.items, item_U=batch.items.item_U.clone())
    again = of_clicks(replace(batch, items=items), CONFIG)
    np.testing.assert_array_equal(whole, again)
    first = batch.cand_moment_C == 0
    few = replace(
        batch,
        **{name: getattr(batch, name)[first] for name in ("cand_C", "cand_moment_C")},
        cand_features_CF=batch.cand_features_CF[first],
    )
    np.testing.assert_array_equal(of_clicks(few, CONFIG), whole[first.numpy()])


def test_padding_is_absent(batch):
    none = changed(batch, query_BQ=torch.zeros_like(batch.query_BQ))
    both = of_clicks(none, CONFIG), of_clicks(batch, CONFIG)
    assert (both[0] == ABSENT).sum() > (both[1] == ABSENT).sum()
    assert both[0].min() == ABSENT
    assert both[0].max() < 1 << CONFIG.bits


def test_the_order_of_query_words_does_not_matter(batch):
    turned = changed(batch, query_BQ=batch.query_BQ.flip(1))
    one, other = (np.sort(of_clicks(b, CONFIG), axis=1) for b in (batch, turned))
    assert batch.query_BQ.shape[1] <= WORDS
    np.testing.assert_array_equal(one, other)


def test_every_input_of_the_definition_is_read(batch):
    for name in ("query_BQ", "profile_BP", "seq_BT"):
        values = getattr(batch, name)
        other = values.roll(1, 0)
        assert not same(batch, changed(batch, **{name: other})), name
    moved = replace(batch.items, category_U=batch.items.category_U.roll(1))
    assert not same(batch, changed(batch, items=moved))


def test_last_clicks_are_the_newest_clicks():
    seq = torch.tensor([[5, 6, 7, 8, 9], [4, 0, 0, 0, 0]])
    kind = torch.tensor([[1, 1, 4, 1, 3], [2, 0, 0, 0, 0]])
    found = last_clicks(SimpleNamespace(seq_BT=seq, type_BT=kind))
    assert len(found) == CLICKS
    assert np.stack(found).T.tolist() == [[8, 6, 5], [0, 0, 0]]


def test_older_behaviour_is_not_read_unless_it_is_asked_for(batch):
    """Neither properties nor the history's ranking features are features of Wide."""
    other = changed(batch, gap_BT=batch.gap_BT.flip(0), daypart_BT=batch.daypart_BT.flip(0))
    assert same(batch, other)
    given = batch.cand_features_CF.clone()
    given[:, -6] += 1  # a count of the history
    assert same(batch, changed(batch, cand_features_CF=given))
    asked = WideConfig(bits=18, history=True)
    counted = (of_clicks(b, asked) for b in (batch, changed(batch, cand_features_CF=given)))
    assert not np.array_equal(*counted)


def test_it_learns_that_the_last_category_is_clicked_again(make_store, tmp_path):
    store = make_store(tmp_path, days=2, moments=3_000)
    first, second = store.days("samples")
    wide = Wide.new(WideConfig(bits=18, epochs=2))
    for epoch in range(2):
        reader = Reader(Samples(store, [first]), batch_size=64, buffer=4_096, seed=1)
        for loaded in reader.epoch(Position(epoch)):
            wide.learn(loaded.batch)
    reader = Reader(Samples(store, [second]), batch_size=256, buffer=4_096, shuffle=False)
    batches = [loaded.batch for loaded in reader.epoch(Position())]
    scores = np.concatenate([wide.logits(one) for one in batches])
    clicked = np.concatenate([one.cand_clicked_C.numpy() for one in batches])
    assert roc_auc_score(clicked, scores) > 0.7
    again = Wide.load(wide.saved(), wide.config)
    np.testing.assert_array_equal(again.logits(batches[0]), wide.logits(batches[0]))
