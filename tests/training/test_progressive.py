"""The streaming figures equal those of all answers at once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.config import Task
from training.progressive import LARGEST, Meter, Meters

pair = st.tuples(st.integers(-30, 30), st.booleans())


@given(st.lists(pair, min_size=1, max_size=60))
def test_auc_is_the_share_of_pairs_in_order(answers):
    meter = Meter()
    scores = torch.tensor([score / 2.0 for score, _ in answers])
    truth = torch.tensor([float(yes) for _, yes in answers])
    for part in (slice(0, 20), slice(20, None)):
        meter.score(scores[part], truth[part])
    yes, no = scores[truth > 0].numpy(), scores[truth == 0].numpy()
    if not len(yes) or not len(no):
        assert meter.auc is None
        return
    higher = (yes[:, None] > no).mean() + (yes[:, None] == no).mean() / 2
    assert meter.auc == pytest.approx(higher)


def test_scores_beyond_the_largest_are_ties():
    meter = Meter()
    truth = torch.tensor([1.0, 0.0, 1.0, 0.0])
    meter.score(torch.tensor([100.0, LARGEST, -LARGEST, -100.0]), truth)
    assert meter.auc == (0.5 + 1 + 0 + 0.5) / 4


def batch(n: int, seed: int):
    rng = np.random.default_rng(seed)
    out = SimpleNamespace(
        ctr_C=torch.from_numpy(rng.normal(size=n)), ppp_K7=torch.from_numpy(rng.normal(size=(n, 7)))
    )
    asked = SimpleNamespace(
        cand_clicked_C=torch.from_numpy(rng.integers(0, 2, n).astype(float)),
        cand_moment_C=torch.arange(n),
        price_level_K=torch.from_numpy(rng.integers(0, 7, n)),
        price_moment_K=torch.arange(n),
        known_B=None,
    )
    return out, asked


def test_losses_are_means_over_questions_not_batches():
    meters = Meters((Task.CTR, Task.PPP))
    meters.add(*batch(10, 0), {Task.CTR: 1.0, Task.PPP: 2.0})
    meters.add(*batch(30, 1), {Task.CTR: 2.0, Task.PPP: 2.0})
    meters.add(*batch(0, 2), {Task.CTR: 0.0, Task.PPP: 0.0})
    figures = meters.figures("x")
    assert figures["x_ctr_loss"] == pytest.approx(1.75)
    assert figures["x_ppp_loss"] == pytest.approx(2.0)
    right = sum(
        int((out.ppp_K7.argmax(1) == asked.price_level_K).sum())
        for out, asked in (batch(10, 0), batch(30, 1))
    )
    assert figures["x_ppp_precision"] == right / 40


def test_counting_goes_on_after_a_checkpoint():
    whole, first, second = (Meters((Task.CTR, Task.PPP)) for _ in range(3))
    losses = {Task.CTR: 1.0, Task.PPP: 2.0}
    for meters in (whole, first):
        meters.add(*batch(10, 0), losses)
    second.load_state_dict(first.state_dict())
    for meters in (whole, second):
        meters.add(*batch(20, 1), losses)
    assert second.figures("x") == whole.figures("x")


def test_a_task_that_nobody_was_asked_has_no_figure():
    meters = Meters((Task.CTR,))
    meters.add(*batch(0, 0), {Task.CTR: 0.0})
    assert meters.figures("x") == {}
