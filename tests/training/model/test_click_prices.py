"""What clicked candidates cost is learnt beside what was bought, and nowhere else."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.training.model import conftest
from training.config import Task, TrainConfig
from training.learner import Learner
from training.model import click_prices
from training.model.losses import price_loss

WEIGHT = 0.7


def losses_by_hand(model, batch):
    """Cross-entropy of each purchase, and of each clicked candidate with a price level."""
    encoded = model.user_part(batch, model.item_part(batch.items))
    z_B7 = model.price_levels(encoded)
    bought = [
        cross_entropy(z_B7[moment], level)
        for moment, level in zip(batch.price_moment_K, batch.price_level_K, strict=True)
    ]
    price_C = batch.items.price_U[batch.cand_C]
    clicked = [
        cross_entropy(z_B7[moment], level - 1)
        for moment, was, level in zip(
            batch.cand_moment_C, batch.cand_clicked_C, price_C, strict=True
        )
        if was and level
    ]
    return bought, clicked


def with_unpriced(batch):
    """Every third item has no price level."""
    price_U = batch.items.price_U.clone()
    price_U[::3] = 0
    return replace(batch, items=replace(batch.items, price_U=price_U))


def mean(values):
    return torch.stack(values).mean()


def ppp_loss(model, batch):
    return model.losses(model(batch), batch, [Task.PPP])[Task.PPP]


def test_the_loss_is_the_mean_of_purchases_and_a_weight_times_the_mean_of_clicks(make, batch):
    model, batch = make(), with_unpriced(batch)
    bought, clicked = losses_by_hand(model, batch)
    assert bought
    assert 0 < len(clicked) < int(batch.cand_clicked_C.sum())  # some levels are unknown
    torch.testing.assert_close(
        ppp_loss(model, click_prices.ask(batch, WEIGHT)), mean(bought) + WEIGHT * mean(clicked)
    )
    torch.testing.assert_close(ppp_loss(model, batch), mean(bought))


def test_a_batch_without_purchases_learns_from_clicks_alone(make, batch):
    model = make()
    none = batch.price_level_K[:0]
    batch = replace(batch, price_level_K=none, price_moment_K=none)
    expected = WEIGHT * mean(losses_by_hand(model, batch)[1])
    torch.testing.assert_close(ppp_loss(model, click_prices.ask(batch, WEIGHT)), expected)


def test_a_moment_that_counts_for_less_does_so_in_its_clicks_too(make, batch):
    model = make()
    weight_B = torch.linspace(0.2, 1, batch.size)
    weighed = click_prices.ask(replace(batch, weight_B=weight_B), WEIGHT)
    asked = click_prices.ask(batch, WEIGHT)
    z_K7 = model(asked).ppp_K7
    scale_K = asked.price_weight_K * weight_B[asked.price_moment_K]
    expected = price_loss(z_K7, asked.price_level_K, scale_K)
    torch.testing.assert_close(ppp_loss(model, weighed), expected)
    assert not torch.isclose(expected, ppp_loss(model, asked))


def test_nothing_more_is_asked_without_a_weight_a_click_or_a_level(batch):
    assert click_prices.ask(batch, 0) is batch
    unclicked = replace(batch, cand_clicked_C=torch.zeros_like(batch.cand_clicked_C))
    free = replace(batch.items, price_U=torch.zeros_like(batch.items.price_U))
    for bare in (unclicked, replace(batch, items=free)):
        assert click_prices.ask(bare, WEIGHT) is bare


def learner(make, weight, *tasks):
    config = TrainConfig(tasks=tasks, threads=1, click_prices=weight)
    return Learner(make().config, config, conftest.SIZES, 3)


def learn(learner, batch):
    torch.manual_seed(3)  # the same dropout
    return learner.learn(batch, 0)


def test_a_step_tells_of_purchases_alone_and_moves_the_weights_by_both(make, batch):
    alone, both = (learner(make, weight, Task.PPP) for weight in (0, WEIGHT))
    for step in (learn(one, batch) for one in (alone, both)):
        assert step.outputs.ppp_K7.shape == (len(batch.price_level_K), 7)
        own = price_loss(step.outputs.ppp_K7.detach(), batch.price_level_K)
        assert step.losses[Task.PPP] == pytest.approx(float(own), abs=1e-6)
    moved = [one.model.ppp.predict[0].weight for one in (alone, both)]
    assert not torch.allclose(*moved)
    assert both.judge(batch).losses[Task.PPP] == pytest.approx(
        float(ppp_loss(both.model, batch).detach()), abs=1e-6
    )


def test_a_step_learns_from_clicks_with_the_weight_that_is_set(make, batch):
    told, shown = (learner(make, weight, Task.PPP) for weight in (WEIGHT, 0))
    learn(told, batch)
    learn(shown, click_prices.ask(batch, WEIGHT))
    found = zip(told.model.parameters(), shown.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in found)


def test_a_batch_without_purchases_tells_of_none_and_is_learnt_from(make, batch):
    none = batch.price_level_K[:0]
    batch = replace(batch, price_level_K=none, price_moment_K=none)
    both = learner(make, WEIGHT, Task.PPP)
    before = both.model.ppp.predict[0].weight.clone()
    assert learn(both, batch).losses == {Task.PPP: 0}
    assert not torch.equal(both.model.ppp.predict[0].weight, before)


def test_who_does_not_learn_ppp_learns_the_same_with_and_without(make, batch):
    """Further questions would draw other dropout for the tasks after them."""
    alone, both = (learner(make, weight, Task.CTR, Task.FIFP) for weight in (0, WEIGHT))
    for one in (alone, both):
        learn(one, batch)
    found = zip(alone.model.parameters(), both.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in found)
