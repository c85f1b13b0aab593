"""The tasks' losses (Section 4.3, equations 8-10), each the mean over the questions asked.

A batch may ask no question of a task: its loss is then zero, still part of the graph, so that a
step over any mixture of moments works the same way.

A moment may count for less (an abnormal day, by setting): its questions' losses are scaled, and
the mean is still over the questions, so that a batch of such moments moves the weights less.

Shape suffixes: C candidates, K price questions, N questions of any kind.
"""

import torch.nn.functional as F
from torch import Tensor


def click_loss(logit_N: Tensor, happened_N: Tensor, scale_N: Tensor | None = None) -> Tensor:
    """Equation (8), the likelihood of a yes or no: CTR, and alike FIFP and SPP."""
    loss_N = F.binary_cross_entropy_with_logits(logit_N, happened_N, reduction="none")
    return _mean(loss_N, scale_N)


def ranking_loss(
    score_C: Tensor, label_C: Tensor, weight_C: Tensor, scale_C: Tensor | None = None
) -> Tensor:
    """Equation (9): labels are -1 or +1, weights n_i by kind of action and, by setting, price.

    The paper sums over the candidates; the mean keeps a task's weight whatever a batch asks.
    """
    return _mean(weight_C * F.softplus(-label_C * score_C), scale_C)


def price_loss(z_K7: Tensor, level_K: Tensor, scale_K: Tensor | None = None) -> Tensor:
    """Equation (10); levels 0..6."""
    return _mean(F.cross_entropy(z_K7, level_K, reduction="none"), scale_K)


def _mean(loss_N: Tensor, scale_N: Tensor | None) -> Tensor:
    scaled_N = loss_N if scale_N is None else loss_N * scale_N
    return scaled_N.sum() / max(len(loss_N), 1)
