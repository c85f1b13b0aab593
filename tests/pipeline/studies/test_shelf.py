"""A network from the shelf is the one that was fitted, and is fitted once."""

import time
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import nn

from infra.store import Store
from pipeline.studies.shelf import once
from training.peers.fitting import Fit, Point


def make():
    return nn.Linear(3, 2)


def learn():
    return Fit(make().eval(), (Point(1, 2, 0.5, {"ctr_auc": 0.7}),), Point(1, 2, 0.5, {}), 3.0)


def never():
    raise AssertionError("fitted twice")


def test_what_one_study_has_fitted_another_reads(tmp_path):
    store = Store(tmp_path)
    first = once(store, "all-joint-1-abc", make, learn)
    again = once(store, "all-joint-1-abc", make, never)
    x = torch.randn(4, 3)
    assert torch.equal(first.network(x), again.network(x))
    assert not again.network.training
    assert (again.curve, again.best, again.seconds) == (first.curve, first.best, first.seconds)


def test_other_settings_are_fitted_on_their_own(tmp_path):
    store = Store(tmp_path)
    first = once(store, "all-joint-1-abc", make, learn)
    other = once(store, "all-joint-1-def", make, learn)
    assert not torch.equal(first.network.weight, other.network.weight)


def test_of_cells_side_by_side_one_fits_and_the_others_wait(tmp_path):
    fitted = []

    def slow():
        fitted.append(1)
        time.sleep(0.3)
        return learn()

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(once, Store(tmp_path), "all-joint-1-abc", make, slow) for _ in range(3)]
        weights = [job.result().network.weight for job in jobs]
    assert len(fitted) == 1
    assert all(torch.equal(one, weights[0]) for one in weights)
