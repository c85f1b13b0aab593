"""DIN and DIEN of DeepCTR-Torch (extra `bench`) as networks of ours; they answer clicks only.

Their layers are theirs, put together as their own `forward` does. What does not depend on the
candidate (looking the history up, DIEN's two GRUs) is done once a moment and not once a candidate:
the same answers, several times as fast. Their tables start and learn as ours do, by rows that a
batch touches: a dense L2 moves every row that a batch does not touch, and AdaGrad makes the first
such move as large as the learning rate. There are no behaviour properties, queries or profiles,
and one tag an item.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from training.baselines import deepctr
from training.baselines.deepctr import KINDS, NAMES, Kind
from training.batch import Batch, Items, VocabularySizes
from training.config import ModelConfig
from training.model.network import Network, Outputs
from training.peers.fitting import Build

__all__ = ["KINDS", "DeepCtr", "builder"]

ROWS = 512
"""Candidates that are answered at a time: bounds the memory of attention over their histories."""


class DeepCtr(Network):
    """DIN or DIEN over item, brand, shop, category and one tag.

    Args:
        kind: which.
        config: dimensions of the features, the sizes at which rows start, dropout.
        sizes: of the tables.
    """

    def __init__(self, kind: Kind, config: ModelConfig, sizes: VocabularySizes) -> None:
        super().__init__(sizes)
        self.kind = kind
        options = {
            "task": "regression",  # without the sigmoid: our losses take logits
            "dnn_dropout": config.dropout,
            "seed": torch.initial_seed(),  # they set the seed themselves: to what it already is
        }
        self.model: Any = deepctr.build(kind, config, sizes, 1, options)  # untyped package
        general, group = config.general_std, config.group_std
        starts = (config.item_std, group, group, general, general)
        tables = cast("Mapping[str, nn.Embedding]", self.model.embedding_dict)
        for name, start in zip(NAMES, starts, strict=True):
            tables[name].sparse = True
            nn.init.normal_(tables[name].weight, std=start)

    def forward(self, batch: Batch) -> Outputs:
        """Clicks answered; zero for everything else."""
        e_UE = self._embedded(batch.items)
        # Their rows always have a history, if one of padding.
        past_BTE = e_UE[nn.functional.pad(batch.seq_BT, (0, int(not batch.seq_BT.shape[1])))]
        if self.kind == "dien":
            past_BTE = self._states(past_BTE, batch.length_B)
        # A step keeps everything for its gradient, and batch norm wants to see the whole batch.
        at_once = len(batch.cand_C) if self.training else ROWS
        every_C = torch.arange(len(batch.cand_C), device=past_BTE.device)
        zeros = past_BTE.new_zeros
        parts = torch.split(every_C, at_once)
        return Outputs(
            ctr_C=torch.cat([self._logits(batch, e_UE, past_BTE, part_R) for part_R in parts]),
            l2r_C=zeros(len(batch.cand_C)),
            ppp_K7=zeros(len(batch.price_moment_K), 7),
            fifp_I=zeros(len(batch.icon_I)),
            spp_S=zeros(len(batch.shop_S)),
            rep_BR=zeros(batch.size, 0),
            attention_BT=zeros(batch.seq_BT.shape),
        )

    def _embedded(self, items: Items) -> Tensor:
        """Their vectors of the batch's items."""
        named = {
            "item": items.item_U,
            "brand": items.brand_U,
            "shop": items.shop_U,
            "category": items.category_U,
            "tag": items.tags_UG[:, 0],
        }
        return torch.cat([self.model.embedding_dict[name](named[name]) for name in NAMES], dim=-1)

    def _states(self, past_BTE: Tensor, length_B: Tensor) -> Tensor:
        """DIEN's interests after both GRUs, which do not see the candidate; zero where no past."""
        some = length_B > 0
        states_BTE = torch.zeros_like(past_BTE)
        if not some.any():  # their code cannot take a batch without any history
            return states_BTE
        interests, _ = self.model.interest_extractor(past_BTE, length_B)  # of `some` only
        packed = pack_padded_sequence(
            interests, length_B[some].cpu(), batch_first=True, enforce_sorted=False
        )
        evolved, _ = self.model.interest_evolution.interest_evolution(packed)
        padded, _ = pad_packed_sequence(evolved, batch_first=True, total_length=past_BTE.shape[1])
        states_BTE[some] = padded
        return states_BTE

    def _logits(self, batch: Batch, e_UE: Tensor, past_BTE: Tensor, part_R: Tensor) -> Tensor:
        """Of some candidates."""
        model, moment_R = self.model, batch.cand_moment_C[part_R]
        query_RE = e_UE[batch.cand_C[part_R]]
        attention = model.attention if self.kind == "din" else model.interest_evolution.attention
        length_R1 = batch.length_B[moment_R][:, None]
        pooled_RE = attention(query_RE[:, None], past_BTE[moment_R], length_R1)[:, 0]
        if self.kind == "din":
            logit_R1 = model.dnn_linear(model.dnn(torch.cat([query_RE, pooled_RE], dim=-1)))
        else:
            logit_R1 = model.linear(model.dnn(torch.cat([pooled_RE, query_RE], dim=-1)))
        logit: Tensor = model.out(logit_R1)[:, 0]
        return logit


def builder(kind: Kind) -> Build:
    """What `fit` makes the network with."""
    return partial(DeepCtr, kind)
