from math import exp, log

import pytest
import torch

from training.model.losses import click_loss, price_loss, ranking_loss


def sigmoid(x):
    return 1 / (1 + exp(-x))


def test_click_loss_is_equation_8():
    by_hand = -(log(sigmoid(0.5)) + log(1 - sigmoid(-2.0)) + log(1 - sigmoid(3.0))) / 3
    loss = click_loss(torch.tensor([0.5, -2.0, 3.0]), torch.tensor([1.0, 0.0, 0.0]))
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_ranking_loss_is_equation_9_over_the_questions():
    by_hand = (1.0 * log(1 + exp(-0.5)) + 5.0 * log(1 + exp(2.0)) + 0.0) / 3
    loss = ranking_loss(
        torch.tensor([0.5, -2.0, 9.0]),
        torch.tensor([1.0, 1.0, -1.0]),
        torch.tensor([1.0, 5.0, 0.0]),
    )
    assert loss.item() == pytest.approx(by_hand, abs=1e-6)


def test_price_loss_is_equation_10():
    z = [0.0, 1.0, 0.0, -1.0, 0.0, 2.0, 0.0]
    by_hand = log(sum(exp(x) for x in z)) - z[5]
    assert price_loss(torch.tensor([z]), torch.tensor([5])).item() == pytest.approx(
        by_hand, abs=1e-6
    )


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: click_loss(x, torch.zeros(0)),
        lambda x: ranking_loss(x, torch.zeros(0), torch.zeros(0)),
        lambda x: price_loss(x[:, None].expand(0, 7), torch.zeros(0, dtype=torch.long)),
    ],
)
def test_no_question_is_no_loss_and_no_gradient(loss):
    x = torch.zeros(0, requires_grad=True)
    value = loss(x)
    value.backward()
    assert value.item() == 0


def test_extreme_scores_stay_finite():
    wrong = torch.tensor([1e4])
    assert torch.isfinite(click_loss(wrong, torch.tensor([0.0])))
    assert torch.isfinite(ranking_loss(wrong, torch.tensor([-1.0]), torch.tensor([1.0])))
