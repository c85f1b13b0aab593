"""L2R learns from a moment when it is first seen, and not again (docs/adr/0019).

One of its ranking features is the CTR head's logit. A second pass over the same moments finds a
logit that has been taught their clicks: it fits them better than it will fit tomorrow's, and
equation (9) comes to trust it more than it deserves. Before a moment is learnt from, its logit is
as good as tomorrow's will be. With `train.ranks_unseen`, n_i of equation (9) is therefore 0 for
moments that were learnt before: in every pass but the first, and where an update replays them (a
day that is learnt once more by force counts as new). Of L2R's weights only `train.l2` is felt then.
"""

from dataclasses import replace

import torch

from training.batch import Batch
from training.config import Task, TrainConfig
from training.model.network import Network


def matters(network: Network, train: TrainConfig) -> bool:
    """Whether it is set, and L2R has a logit that others teach."""
    together = {Task.CTR, Task.L2R} <= set(train.tasks)
    return train.ranks_unseen and network.ranks_with_ctr and together


def weigh(batch: Batch, seen: bool) -> Batch:
    """The batch with n_i = 0 where L2R shall not learn.

    Args:
        batch: on any device; it stays as it is.
        seen: all of it was learnt from before, in this run; else what `known_B` says was.
    """
    if seen:
        return replace(batch, cand_weight_C=torch.zeros_like(batch.cand_weight_C))
    if batch.known_B is None:
        return batch
    known_C = batch.known_B[batch.cand_moment_C]
    return replace(batch, cand_weight_C=batch.cand_weight_C.masked_fill(known_C, 0))
