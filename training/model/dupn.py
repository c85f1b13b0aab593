"""The Deep User Perception Network: one representation, several tasks (Section 4, Figure 2).

A moment (a request, a follow page) is encoded once: behaviours -> property gated LSTM -> attention
given query and user -> rep = [rep_s, u]. All its questions are then answered from rep by shallow
heads, which is what makes the network split for serving (Section 7): `item_part` and `user_part`
are computed once an item and once a moment, the heads' `of_pair` per candidate. By setting, the
words that were typed reach CTR, L2R and PPP beside rep, and a memory of prices PPP (`ModelConfig`).

Shape suffixes: see `training.batch`; E item, P property, H hidden, R representation.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from features.schemas import PRICE_LEVELS
from training.batch import Batch, Items, VocabularySizes
from training.config import ModelConfig, Task
from training.model.attention import Attention, AttentionDims
from training.model.embedding import (
    ItemEmbedding,
    PropertyEmbedding,
    QueryEmbedding,
    UserEmbedding,
    rows_of,
    sparse_table,
)
from training.model.heads import MomentPart, PairHead, PriceHead, RankingHead
from training.model.lstm import PropertyGatedLSTM
from training.model.network import Network, Outputs
from training.model.price_memory import MemoryDims, PriceMemory, Seen

HEAD_HIDDEN = 64
"""Width of the one hidden layer of L2R, PPP, FIFP and SPP; the paper leaves it open."""


class Past(NamedTuple):
    """The behaviours as the network read them: items, properties, the state after each."""

    e_BTE: Tensor
    p_BTP: Tensor
    h_BTH: Tensor


class Encoded(NamedTuple):
    """The universal user representation, where the attention went, and what was typed."""

    rep_BR: Tensor
    attention_BT: Tensor
    q_BQ: Tensor
    """The pooled query: no part of the representation; in the paper no head reads it."""
    remembered_B7: Tensor | None = None
    """What `PriceMemory` says of the price levels, where there is one."""

    def at(self, moment_N: Tensor) -> "Encoded":
        """The moments of some questions."""
        rest = {name: rows_of(x, moment_N) for name, x in self._asdict().items() if x is not None}
        return Encoded(**rest)


class Dupn(Network):
    """Encoder and heads; fp32, or bf16 under autocast, on any device."""

    def __init__(self, config: ModelConfig, sizes: VocabularySizes) -> None:
        super().__init__(sizes)
        self.config = config
        self.clicks_are_learnt = True
        self.ranks_with_ctr = config.ranks_with_ctr
        in_lstm = config.p_dim if config.variant in ("all", "bplstm") else 0
        in_attention = config.p_dim if config.variant in ("all", "bpatt") else 0
        context_dim = config.query_dim + config.user_dim
        rep_dim, dropout = config.rep_dim, config.dropout
        product = config.interaction == "product"
        self.item = ItemEmbedding(config, sizes)
        self.property = None if config.variant == "nobp" else PropertyEmbedding(config)
        self.query = QueryEmbedding(sizes.token, config.query_dim)
        self.user = UserEmbedding(sizes.profile, config.profile_dim, config.user_dim, dropout)
        self.lstm = PropertyGatedLSTM(config.e_dim, in_lstm, config.hidden_dim)
        self.attention = Attention(
            AttentionDims(config.hidden_dim, context_dim, in_attention, config.attention_dim),
            dropout,
            product,
        )
        self.icon = sparse_table(sizes.icon, config.icon_dim, config.general_std)
        self.wish = nn.Linear(config.query_dim, config.e_dim, bias=False) if product else None
        self.budget = nn.Linear(config.query_dim, PRICE_LEVELS, bias=False) if product else None
        self.ctr = PairHead(rep_dim, config.e_dim, config.ctr_hidden, dropout, product)
        ranking = sizes.ranking_features + config.ranks_with_ctr
        self.l2r = RankingHead(rep_dim, ranking, HEAD_HIDDEN, dropout)
        self.emphasis = None
        if config.ranks_with_query:
            self.emphasis = nn.Linear(config.query_dim, ranking + 1, bias=False)
        self.ppp = PriceHead(rep_dim, PRICE_LEVELS, HEAD_HIDDEN, dropout)
        self.fifp = PairHead(rep_dim, config.icon_dim, (HEAD_HIDDEN,), dropout, product)
        self.spp = PairHead(rep_dim, config.shop_dim, (HEAD_HIDDEN,), dropout, product)
        self.price_memory = self._price_memory() if config.price_memory else None

    def learns(self, tasks: Collection[Task]) -> None:
        """Without CTR among them, the CTR logit is what L2R makes of it."""
        self.clicks_are_learnt = Task.CTR in tasks

    def item_part(self, items: Items) -> Tensor:
        """`e_UE`: everything the network knows of an item; the same for every user."""
        e_UE: Tensor = self.item(items)
        return e_UE

    def user_part(self, batch: Batch, e_UE: Tensor) -> Encoded:
        """`rep` of each moment, given the vectors of `batch.items`."""
        return self.attended(batch, self.past(batch, e_UE))

    def past(self, batch: Batch, e_UE: Tensor) -> Past:
        """Equations (1) to (6): what no query and no user changes, and what takes the time."""
        e_BTE = rows_of(e_UE, batch.seq_BT)
        p_BTP = self.properties(batch, e_BTE)
        return Past(e_BTE, p_BTP, self.lstm(e_BTE, p_BTP, batch.length_B))

    def attended(self, batch: Batch, past: Past) -> Encoded:
        """Equation (7): the past under the batch's queries and users."""
        e_BTE, p_BTP, h_BTH = past
        u_BU = self.user(batch.profile_BP)
        q_BQ = self.query(batch.query_BQ)
        context_BC = torch.cat([q_BQ, u_BU], dim=-1)
        rep_s_BH, a_BT = self.attention(h_BTH, context_BC, p_BTP, batch.length_B)
        remembered_B7 = self.remembered(batch, e_BTE, p_BTP, q_BQ, u_BU)
        return Encoded(torch.cat([rep_s_BH, u_BU], dim=-1), a_BT, q_BQ, remembered_B7)

    def properties(self, batch: Batch, e_BTE: Tensor) -> Tensor:
        """`p_BTP`; P is 0 in a network without behaviour properties."""
        p_BTP: Tensor = e_BTE[..., :0] if self.property is None else self.property(batch)
        return p_BTP

    def click_part(self, encoded: Encoded) -> MomentPart:
        """What the CTR head needs to know of each moment; candidates share it."""
        return self.ctr.of_moment(encoded.rep_BR, self.wished(encoded.q_BQ))

    def wished(self, q_BQ: Tensor) -> Tensor | None:
        """What items are matched with for the sake of the query alone."""
        return None if self.wish is None else self.wish(q_BQ)

    def ranking_part(self, encoded: Encoded) -> Tensor:
        """`weight_BF` of equation (9), the constant's last; candidates share it.

        The part of q teaches q nothing, which clicks would pay for (docs/adr/0021).
        """
        weight_BF = self.l2r.of_moment(encoded.rep_BR)
        if self.emphasis is not None:
            weight_BF = weight_BF + self.emphasis(encoded.q_BQ.detach()).float()
        return weight_BF

    def price_levels(self, encoded: Encoded) -> Tensor:
        """`z_B7`: what representation, words that were typed and memory say of the price."""
        z_B7: Tensor = self.ppp(encoded.rep_BR)
        if self.budget is not None:
            z_B7 = z_B7 + self.budget(encoded.q_BQ).float()
        return z_B7 if encoded.remembered_B7 is None else z_B7 + encoded.remembered_B7

    def remembered(
        self, batch: Batch, e_BTE: Tensor, p_BTP: Tensor, q_BQ: Tensor, u_BU: Tensor
    ) -> Tensor | None:
        """What the memory of prices says, where there is one."""
        if self.price_memory is None:
            return None
        z_B7: Tensor = self.price_memory(
            Seen(
                e_BTE=e_BTE,
                p_BTP=p_BTP,
                level_BT=batch.items.price_U[batch.seq_BT],
                words_BQ=batch.query_BQ,
                q_BW=q_BQ,
                u_BU=u_BU,
                wish_BE=self.wished(q_BQ),
                offer_BL=batch.offer_BL,
            )
        )
        return z_B7

    def _price_memory(self) -> PriceMemory:
        config = self.config
        p_dim = config.p_dim if self.property is not None else 0
        dims = MemoryDims(
            config.e_dim, p_dim, config.query_dim, config.user_dim, config.price_offers
        )
        return PriceMemory(dims, self.sizes.token)

    def encode(self, batch: Batch) -> Tensor:
        """`rep_BR`, 256-dimensional in the paper."""
        return self.user_part(batch, self.item_part(batch.items)).rep_BR

    def forward(self, batch: Batch) -> Outputs:
        """Every moment encoded once; every question answered from it."""
        e_UE = self.item_part(batch.items)
        return self._answers(batch, e_UE, self.user_part(batch, e_UE))

    def each(self, batches: Iterable[Batch]) -> list[Outputs]:
        """`forward` of each; the past is read once for batches in a row that have the same."""
        found: list[Outputs] = []
        read: Batch | None = None
        for batch in batches:
            if read is None or not batch.same_past(read):
                read, e_UE = batch, self.item_part(batch.items)
                past = self.past(batch, e_UE)
            found.append(self._answers(batch, e_UE, self.attended(batch, past)))
        return found

    def answer(self, batch: Batch, rep_BR: Tensor) -> Outputs:
        """Every question answered from a representation that is given: heads, and their items.

        A memory of prices is this network's own; of the given representation it reads u.
        """
        no_attention_BT = torch.zeros_like(batch.seq_BT, dtype=rep_BR.dtype)
        q_BQ, e_UE = self.query(batch.query_BQ), self.item_part(batch.items)
        e_BTE, u_BU = rows_of(e_UE, batch.seq_BT), rep_BR[:, self.config.hidden_dim :]
        remembered_B7 = self.remembered(batch, e_BTE, self.properties(batch, e_BTE), q_BQ, u_BU)
        encoded = Encoded(rep_BR, no_attention_BT, q_BQ, remembered_B7)
        return self._answers(batch, e_UE, encoded)

    def _answers(self, batch: Batch, e_UE: Tensor, encoded: Encoded) -> Outputs:
        rep_BR, a_BT = encoded.rep_BR, encoded.attention_BT
        shop_SE = self.item.shop(batch.shop_S)
        part_C = self.click_part(encoded).of(batch.cand_moment_C)
        ctr_C = self.ctr.of_pair(part_C, rows_of(e_UE, batch.cand_C))
        features_CF = self.ranking_features(batch.cand_features_CF, ctr_C)
        weight_CF = rows_of(self.ranking_part(encoded), batch.cand_moment_C)
        prices_K7 = self.price_levels(encoded.at(batch.price_moment_K))
        return Outputs(
            ctr_C=ctr_C,
            l2r_C=self.l2r.of_pair(weight_CF, features_CF),
            ppp_K7=prices_K7,
            fifp_I=self.fifp(rep_BR, self.icon(batch.icon_I), batch.icon_moment_I),
            spp_S=self.spp(rep_BR, shop_SE, batch.shop_moment_S),
            rep_BR=rep_BR,
            attention_BT=a_BT,
        )

    def ranking_features(self, given_CF: Tensor, ctr_C: Tensor) -> Tensor:
        """r_i of equation (9): the given features and, by setting, the CTR logit."""
        if not self.ranks_with_ctr:
            return given_CF
        logit_C = ctr_C.detach() if self.clicks_are_learnt else ctr_C
        return torch.cat([given_CF, logit_C[:, None]], dim=1)
