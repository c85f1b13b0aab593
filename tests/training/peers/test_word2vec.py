"""Item vectors from histories: neighbours are near, what nobody met is zero, nothing moves."""

import os
import subprocess
import sys
from datetime import date

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.nn import functional

from features.buckets import hash_ids
from features.schemas import SEQUENCES, VOCABULARY
from infra.errors import ConfigError, PartitionMissing
from infra.store import Store
from training.config import Task
from training.peers.word2vec import pretrain, sentences

DAY = date(2026, 3, 2)
ITEMS, DIM = 24, 16
UNSEEN = 1 + 12
"""Row of an item of the vocabulary that is in no history."""


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Users who like even items, users who like odd ones; a stranger in every history."""
    store = Store(tmp_path_factory.mktemp("words"))
    rng = np.random.default_rng(2)
    ids = [f"i{k}" for k in range(ITEMS)]
    columns = {
        "id": ids, "row": pa.array(range(2, ITEMS + 2), pa.int32()), "count": [5] * ITEMS,
    }  # fmt: skip
    table = pa.table(columns, schema=VOCABULARY)
    with store.partition("vocabulary", DAY, "item").publish() as out:
        out.record([out.write_table("part", table, counts={"admitted": ITEMS})])
    users, items = [], []
    for user in range(120):
        liked = [k for k in range(user % 2, ITEMS, 2) if k != UNSEEN - 2]
        mine = [f"i{k}" for k in rng.choice(liked, 15)]
        items += [*mine[:7], "stranger", *mine[7:]]
        users += [f"u{user}"] * 16
    parts = [slice(0, 960), slice(960, None)]
    with store.partition("sequences", DAY, "history").publish() as out:
        written = [history(users[part], items[part]) for part in parts]
        out.record([out.write_table(f"part-{k}", one) for k, one in enumerate(written)])
    return store


def history(users: list[str], items: list[str]) -> pa.Table:
    count = len(users)
    columns = {
        "user_hash": hash_ids(pa.array(users)), "user_id": users, "ts": range(count),
        "item_id": items, "type": [1] * count, "scenario": [1] * count, "key": [0] * count,
        "request_id": [None] * count,
    }  # fmt: skip
    return pa.table(
        {f.name: pa.array(columns[f.name], f.type) for f in SEQUENCES}, schema=SEQUENCES
    )


@pytest.fixture(scope="module")
def vectors(store) -> torch.Tensor:
    return pretrain(store, DAY, DIM, seed=3)


def test_a_users_history_is_a_sentence(store):
    found = sentences(store, DAY)
    assert len(found) == 120
    assert {len(one) for one in found} == {15}  # the stranger is no word
    assert all(len({int(word) % 2 for word in one}) == 1 for one in found)


def test_items_of_one_history_are_nearer_than_others(vectors):
    known = [row for row in range(2, ITEMS + 2) if row != UNSEEN]
    near = functional.normalize(vectors[known], dim=1)
    cosine = (near @ near.T).numpy()
    same = np.equal.outer(np.array(known) % 2, np.array(known) % 2)
    for mine, alike in zip(cosine, same, strict=True):
        assert mine[alike].min() > mine[~alike].max()


def test_whatever_was_met_once_has_a_vector(tmp_path):
    store = Store(tmp_path)
    table = pa.table({"id": ["i0", "i1"], "row": [2, 3], "count": [1, 1]}, schema=VOCABULARY)
    with store.partition("vocabulary", DAY, "item").publish() as out:
        out.record([out.write_table("part", table, counts={"admitted": 2})])
    with store.partition("sequences", DAY, "history").publish() as out:
        out.record([out.write_table("part", history(["u0", "u0"], ["i1", "i0"]))])
    assert sentences(store, DAY) == [["3", "2"]]
    assert pretrain(store, DAY, DIM, seed=3).any(dim=1).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("python", "do"),
    [((3, 13), "Install it: pip install gensim."), ((3, 14), "PYTHON=/usr/bin/python3.13")],
)
def test_without_gensim_it_says_what_to_do_on_this_python(store, monkeypatch, python, do):
    monkeypatch.setitem(sys.modules, "gensim", None)  # as if it were not installed
    monkeypatch.setattr(sys, "version_info", (*python, 0))
    with pytest.raises(ConfigError, match="gensim is not installed") as refused:
        pretrain(store, DAY, DIM, seed=3)
    assert do in str(refused.value)


def test_what_nobody_met_has_zeros(vectors):
    assert vectors.shape == (ITEMS + 2, DIM)
    assert not vectors[[0, 1, UNSEEN]].any()
    assert (vectors.norm(dim=1) > 0).sum() == ITEMS - 1


def test_the_seed_decides_and_nothing_else(store, vectors):
    assert not torch.equal(vectors, pretrain(store, DAY, DIM, seed=4))
    program = (
        "import sys; from datetime import date; from infra.store import Store;"
        "from training.peers.word2vec import pretrain;"
        f"found = pretrain(Store(sys.argv[1]), date.fromisoformat('{DAY}'), {DIM}, seed=3);"
        "sys.stdout.write(found.numpy().tobytes().hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, store.root],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == vectors.numpy().tobytes().hex()


def test_days_without_histories_give_zeros(store, tmp_path):
    with pytest.raises(PartitionMissing):
        pretrain(store, date(2026, 3, 3), DIM, seed=3)
    empty = Store(tmp_path)
    with empty.partition("vocabulary", DAY, "item").publish() as out:
        out.record([out.write_table("part", VOCABULARY.empty_table(), counts={"admitted": 4})])
    with empty.partition("sequences", DAY, "history").publish() as out:
        out.record([out.write_table("part", SEQUENCES.empty_table())])
    assert torch.equal(pretrain(empty, DAY, DIM, seed=3), torch.zeros(6, DIM))


def test_vectors_are_frozen_and_all_that_is_known_of_an_item(asked, learner):
    network = learner("w2v", *Task)
    before = network.model.vectors.clone()
    for step in range(5):
        network.learn(asked, step)
    assert torch.equal(network.model.vectors, before)
    assert torch.equal(network.model.item_part(asked.items), before[asked.items.item_U])
    names = [name for name, _ in network.model.named_parameters()]
    assert [name for name in names if name.startswith("item.")] == ["item.shop.weight"]
