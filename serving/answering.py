"""A bundle's answers: CTR, L2R score, price preference and the representation, per question."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from serving.asking import samples_of
from serving.bundle import Bundle
from serving.contracts import Question
from training.collate import collate
from training.moments import Moments

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Answer:
    """What the network says about one question."""

    representation: Floats
    """rep = [rep_s, u], 256 in the paper."""
    price_preference: Floats
    """Probabilities of the 7 price levels, cheapest first."""
    ctr: Floats
    """Probability of a click, per candidate in the order asked."""
    l2r: Floats
    """Score of equation (9), per candidate; higher is better."""


def answer(bundle: Bundle, questions: Sequence[Question]) -> list[Answer]:
    """One answer a question; unknown items and empty histories are answered from what is known."""
    if not questions:
        return []
    hears = bundle.model.config.price_offers
    table = samples_of(questions, bundle.world, bundle.profile, price_offers=hears)
    moments = Moments.from_arrow(table, np.zeros(len(questions), np.int64))
    rows = np.arange(len(questions))
    batch = collate(moments, rows, [bundle.world.catalog], bundle.model.sizes)
    with torch.inference_mode():
        out = bundle.model(batch)
    representation = out.rep_BR.float().numpy()
    price = torch.softmax(out.ppp_K7.float(), dim=-1).numpy()
    counts = np.bincount(batch.cand_moment_C.numpy(), minlength=len(questions))
    cuts = np.cumsum(counts)[:-1]
    ctr = np.split(torch.sigmoid(out.ctr_C.float()).numpy(), cuts)
    l2r = np.split(out.l2r_C.float().numpy(), cuts)
    return [Answer(representation[i], price[i], ctr[i], l2r[i]) for i in rows]
