"""Learning as a whole: determinism, resuming, refusing, recording."""

import pytest
import torch

from infra.errors import PartitionMissing, TrainingError
from training.checkpoint import load_model
from training.config import Task
from training.fit import fit


def weights(fitted):
    return load_model(fitted.checkpoint).state_dict()


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one | other)


def test_the_same_seed_gives_the_same_weights(make_store, tmp_path, days, tiny, quick):
    store = make_store(tmp_path)
    one = fit(store, days, tiny, quick, seed=1, run_name="one")
    two = fit(store, days, tiny, quick, seed=1, run_name="two")
    other = fit(store, days, tiny, quick, seed=2, run_name="other")
    assert same(weights(one), weights(two))
    assert not same(weights(one), weights(other))
    assert one.metrics == two.metrics
    assert one.moments == 600
