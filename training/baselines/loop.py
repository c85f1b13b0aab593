"""The Property Gated LSTM written out step by step (Section 4.2, equations 2-6).

Same parameters and same mathematics as `training.model.lstm`, one line an equation: tests hold the
fused kernel against it, and `dupn bench train` measures what fusing is worth. Inputs are projected
for all steps at once, as anyone would who writes this loop with care.

Shape suffixes: see `training.model.lstm`.
"""

import torch
from torch import Tensor

from training.model.lstm import PropertyGatedLSTM


class LoopLSTM(PropertyGatedLSTM):
    """`PropertyGatedLSTM`, in a Python loop over time."""

    def forward(self, e_BTE: Tensor, p_BTP: Tensor, lengths_B: Tensor) -> Tensor:
        """`h_BTH`, zero right of each length."""
        B, T = e_BTE.shape[:2]
        H = self.hidden_dim
        i_e, f_e, c_e, o_e = (e_BTE @ self.from_item.T + self.bias).chunk(4, dim=-1)
        i_p, f_p, o_p = (p_BTP @ self.from_property.T).chunk(3, dim=-1)
        h_BH = e_BTE.new_zeros(B, H)
        c_BH = e_BTE.new_zeros(B, H)
        out = []
        for t in range(T):
            i_h, f_h, c_h, o_h = (h_BH @ self.from_hidden.T).chunk(4, dim=-1)
            i_BH = torch.sigmoid(i_e[:, t] + i_p[:, t] + i_h)  # (2)
            f_BH = torch.sigmoid(f_e[:, t] + f_p[:, t] + f_h)  # (3)
            c_BH = f_BH * c_BH + i_BH * torch.tanh(c_e[:, t] + c_h)  # (4)
            o_BH = torch.sigmoid(o_e[:, t] + o_p[:, t] + o_h)  # (5)
            h_BH = o_BH * torch.tanh(c_BH)  # (6)
            out.append(h_BH * (t < lengths_B)[:, None])
        return torch.stack(out, dim=1) if out else e_BTE.new_zeros(B, 0, H)
