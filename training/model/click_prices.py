"""Price levels of clicked candidates as further questions of PPP (docs/adr/0017).

Purchases are few, so equation (10) has little to learn from; what a user clicks on has a price as
well, and a page has clicks far more often. With `train.click_prices` at w, PPP's loss is the mean
over purchases plus w times the mean over clicked candidates whose level is known. Only what is
learnt from changes: a network is judged, evaluated and served on purchases alone.

Shape suffixes: see `training.batch`; V clicked candidates with a price level.
"""

from dataclasses import replace

import torch

from training.batch import Batch
from training.model.network import Outputs


def ask(batch: Batch, weight: float) -> Batch:
    """The batch with the clicked candidates' price levels after its own price questions.

    Args:
        batch: on any device; it stays as it is.
        weight: of the clicks' mean loss beside the purchases'; 0: the batch itself.
    """
    if not weight:
        return batch
    price_C = batch.items.price_U[batch.cand_C]
    clicked_V = torch.nonzero((batch.cand_clicked_C > 0) & (price_C > 0)).squeeze(1)
    bought, clicked = len(batch.price_level_K), len(clicked_V)
    if not clicked:
        return batch
    share = (bought + clicked) / torch.tensor([max(bought, 1), clicked / weight])
    counts = torch.tensor([bought, clicked])
    return replace(
        batch,
        price_moment_K=torch.cat([batch.price_moment_K, batch.cand_moment_C[clicked_V]]),
        price_level_K=torch.cat([batch.price_level_K, price_C[clicked_V] - 1]),
        price_weight_K=share.repeat_interleave(counts).to(batch.cand_clicked_C.device),
    )


def without(outputs: Outputs, batch: Batch) -> Outputs:
    """The answers to the questions of a batch as it was before `ask`."""
    return replace(outputs, ppp_K7=outputs.ppp_K7[: len(batch.price_level_K)])
