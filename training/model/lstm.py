"""Property Gated LSTM (Section 4.2, equations 2-6).

A plain LSTM except that a behaviour's property (type, scenario, time) steers the three gates and
never enters the cell candidate: it says how much a behaviour matters, not what the user likes.

It runs as one fused LSTM over [e_t; p_t] whose input weight is put together at each forward from
W_e* and W_p* with a block of zeros where W_pc would stand. There is no parameter behind that block,
so no optimizer, decay or checkpoint can ever fill it; the copy costs 0.1 ms a step.

Shape suffixes: B batch, T sequence, E item, P property, H hidden, G = 4H gates (i, f, c, o).
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

GATES = ("i", "f", "c", "o")
"""The order in which torch's kernels (oneDNN, cuDNN) keep the gates of an LSTM."""


class PropertyGatedLSTM(nn.Module):
    """Hidden state after every behaviour; padding must be on the right, where it cannot matter.

    With `property_dim` 0 it is a plain LSTM (the variants without properties in the recurrence).
    """

    def __init__(self, item_dim: int, property_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.item_dim = item_dim
        self.property_dim = property_dim
        self.hidden_dim = hidden_dim
        self.from_item = nn.Parameter(torch.empty(4 * hidden_dim, item_dim))  # W_e*: i, f, c, o
        self.from_property = nn.Parameter(
            torch.empty(3 * hidden_dim, property_dim)
        )  # W_p*: i, f, o
        self.from_hidden = nn.Parameter(torch.empty(4 * hidden_dim, hidden_dim))  # W_h*
        self.bias = nn.Parameter(torch.empty(4 * hidden_dim))  # b_*
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier inputs, orthogonal recurrence, and a forget gate that starts open (bias 1)."""
        H = self.hidden_dim
        for weight in (*self.from_item.chunk(4), *self.from_property.chunk(3)):
            if weight.numel():
                nn.init.xavier_uniform_(weight.data)
        for weight in self.from_hidden.chunk(4):
            nn.init.orthogonal_(weight.data)
        nn.init.zeros_(self.bias)
        nn.init.ones_(self.bias.data[H : 2 * H])

    def forward(self, e_BTE: Tensor, p_BTP: Tensor, lengths_B: Tensor) -> Tensor:
        """Item and property embeddings in time order -> `h_BTH`, zero right of each length."""
        B, T = e_BTE.shape[:2]
        if T == 0:
            return e_BTE.new_zeros(B, 0, self.hidden_dim)
        x_BTX = torch.cat([e_BTE, p_BTP], dim=-1) if self.property_dim else e_BTE
        device = x_BTX.device.type
        autocast = torch.is_autocast_enabled(device)
        dtype = torch.get_autocast_dtype(device) if autocast else self.bias.dtype
        weights = [weight.to(dtype) for weight in self._fused_weights()]
        h_BTH = _lstm(x_BTX.to(dtype), weights, self.hidden_dim)
        real_BT = torch.arange(T, device=lengths_B.device) < lengths_B[:, None]
        return h_BTH * real_BT[:, :, None]

    def paper_weights(self) -> dict[str, Tensor]:
        """The weights under the paper's names: W_ei, W_pi, W_hi, b_i (i, f, o), W_ec, W_hc, b_c."""
        H = self.hidden_dim
        named: dict[str, Tensor] = {}
        for k, gate in enumerate(GATES):
            named[f"W_e{gate}"] = self.from_item.detach()[k * H : (k + 1) * H]
            named[f"W_h{gate}"] = self.from_hidden.detach()[k * H : (k + 1) * H]
            named[f"b_{gate}"] = self.bias.detach()[k * H : (k + 1) * H]
        for k, gate in enumerate("ifo"):
            named[f"W_p{gate}"] = self.from_property.detach()[k * H : (k + 1) * H]
        return named

    def _fused_weights(self) -> list[Tensor]:
        """`[W_ih, W_hh, b_ih, b_hh]` of a plain LSTM over [e; p], W_pc being zero."""
        inputs_GX: Tensor = self.from_item
        if self.property_dim:
            i_HP, f_HP, o_HP = self.from_property.chunk(3)
            property_GP = torch.cat([i_HP, f_HP, torch.zeros_like(o_HP), o_HP])
            inputs_GX = torch.cat([inputs_GX, property_GP], dim=1)
        return [inputs_GX, self.from_hidden, self.bias, torch.zeros_like(self.bias)]


def _lstm(x_BTX: Tensor, weights: list[Tensor], hidden_dim: int) -> Tensor:
    """One layer of torch's fused LSTM from a zero state, in the dtype of what it is given.

    Autocast has no part in it: it would hand cuDNN fp16, whatever its own dtype is.
    """
    zero_1BH = x_BTX.new_zeros(1, len(x_BTX), hidden_dim)
    with _unwarned(x_BTX), torch.autocast(x_BTX.device.type, enabled=False):
        h_BTH: Tensor = torch.lstm(
            x_BTX,
            [zero_1BH, zero_1BH],
            weights,
            has_biases=True,
            num_layers=1,
            dropout=0.0,
            train=torch.is_grad_enabled(),
            bidirectional=False,
            batch_first=True,
        )[0]
    return h_BTH


@contextmanager
def _unwarned(x_BTX: Tensor) -> Iterator[None]:
    """Without cuDNN's warning that it copies our freshly made weights into one chunk, as is meant.

    Filters of warnings belong to the process, not to one of its threads, hence on a GPU alone.
    """
    if not x_BTX.is_cuda:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        yield
