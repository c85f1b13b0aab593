"""DIN and DIEN of DeepCTR-Torch (extra `bench`) as networks of ours; they answer clicks only.

They see what DUPN sees, through tables of the same kind: the item vector of equation (1), tags
pooled, beside each behaviour's properties; a candidate, which is no behaviour, has none. The rest
is theirs at the package's defaults (DIEN's second recurrence is a plain GRU, and it has no
auxiliary loss), put together as their own `forward` does: the same answers, several times as fast.
What does not depend on the candidate (looking the history up, DIEN's two GRUs) is done once a
moment, and the first layer of attention is taken apart into what is of the candidate, of the
behaviour, and of both. There is no place for queries or profiles, which the real logs do not have.
With `items_alone` they see ids, brands, shops and categories only, as the package is mostly used.

Shape suffixes: see `training.batch`; E item and properties, R candidates at a time, H hidden.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from training.baselines import deepctr
from training.baselines.deepctr import KINDS, Kind, Table
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig
from training.model.embedding import ItemEmbedding, PropertyEmbedding, rows_of
from training.model.network import Network, Outputs
from training.peers.fitting import Build

__all__ = ["KINDS", "DeepCtr", "builder"]

ROWS = 512
"""Candidates that are answered at a time: bounds the memory of attention over their histories."""
FEATURE = "all"
"""To the package an item and its properties are one feature, whose rows we look up."""
NOWHERE = -(2.0**32) + 1
"""Their score of padding, where scores are normalised."""


class DeepCtr(Network):
    """DIN or DIEN over item vectors and behaviour properties.

    Args:
        kind: which.
        config: dimensions of the features, the sizes at which rows start, dropout.
        sizes: of the tables.
        items_alone: without tags, and without the properties of behaviours.
    """

    by_moment = False  # DIN has batch norm, both have torch's own dropout

    def __init__(
        self, kind: Kind, config: ModelConfig, sizes: VocabularySizes, items_alone: bool = False
    ) -> None:
        super().__init__(sizes)
        self.kind = kind
        self.dim = config.e_dim + (0 if items_alone else config.p_dim)
        options = {
            "task": "regression",  # without the sigmoid: our losses take logits
            "dnn_dropout": config.dropout,
            "seed": torch.initial_seed(),  # they set the seed themselves: to what it already is
        }
        # The package is untyped.
        self.model: Any = deepctr.over(kind, {FEATURE: Table(1, self.dim)}, 1, options)
        self.model.embedding_dict = nn.ModuleDict()
        self.item = ItemEmbedding(config, sizes)
        self.property = None if items_alone else PropertyEmbedding(config)

    def forward(self, batch: Batch) -> Outputs:
        """Clicks answered; zero for everything else."""
        e_UE, past_BTE = self.vectors(batch)
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

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Of the batch's items as candidates, and of its behaviours."""
        items = batch.items
        if self.property is None:
            items = replace(items, tags_UG=torch.zeros_like(items.tags_UG))
        e_UE = self.item(items)
        past_BTE = rows_of(e_UE, batch.seq_BT)
        if self.property is not None:
            past_BTE = torch.cat([past_BTE, self.property(batch)], dim=-1)
        # Their rows always have a history, if one of padding.
        past_BTE = F.pad(past_BTE, (0, 0, 0, int(not batch.seq_BT.shape[1])))
        return F.pad(e_UE, (0, self.dim - e_UE.shape[1])), past_BTE

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
        query_RE = rows_of(e_UE, batch.cand_C[part_R])
        attention = model.attention if self.kind == "din" else model.interest_evolution.attention
        past_RTE = rows_of(past_BTE.flatten(1), moment_R).view(-1, *past_BTE.shape[1:])
        score_R1T = _scores(attention.local_att, query_RE, past_RTE).transpose(1, 2)
        real_RT = (
            torch.arange(past_RTE.shape[1], device=moment_R.device)
            < (batch.length_B[moment_R][:, None])
        )
        normal = attention.weight_normalization
        score_R1T = torch.where(real_RT[:, None], score_R1T, NOWHERE if normal else 0.0)
        weight_R1T = score_R1T.softmax(dim=-1) if normal else score_R1T
        pooled_RE = torch.bmm(weight_R1T, past_RTE)[:, 0]
        if self.kind == "din":
            logit_R1 = model.dnn_linear(model.dnn(torch.cat([query_RE, pooled_RE], dim=-1)))
        else:
            logit_R1 = model.linear(model.dnn(torch.cat([pooled_RE, query_RE], dim=-1)))
        logit: Tensor = model.out(logit_R1)[:, 0]
        return logit


def _scores(unit: Any, query_RE: Tensor, past_RTE: Tensor) -> Tensor:
    """Their activation unit of [q, k, q - k, q * k], which are never laid side by side."""
    layers, activations = unit.dnn.linears, unit.dnn.activation_layers
    q_HE, k_HE, less_HE, times_HE = layers[0].weight.chunk(4, dim=1)
    of_query_R1H = F.linear(query_RE, q_HE + less_HE, layers[0].bias)[:, None]
    # k and q * k in one product: what each candidate makes of a behaviour is linear.
    of_past_REH = (k_HE - less_HE).T + query_RE[:, :, None] * times_HE.T
    hidden_RTH = activations[0](torch.baddbmm(of_query_R1H, past_RTE, of_past_REH))
    for layer, activation in zip(layers[1:], activations[1:], strict=True):
        hidden_RTH = activation(layer(hidden_RTH))
    score_RT1: Tensor = unit.dense(hidden_RTH)
    return score_RT1


def builder(kind: Kind, items_alone: bool = False) -> Build:
    """What `fit` makes the network with."""
    return partial(DeepCtr, kind, items_alone=items_alone)
