"""The user part as one ONNX graph, put together from the network's weights (Section 7).

It holds everything between the rows of a moment and what its candidates share: LSTM, attention,
representation, and the moment's share of each head, so that a request is one call. What grows with
the catalog or with the words that are typed stays outside: item vectors, the pooled query and what
the words say of prices come in as vectors. So the graph is a megabyte, whatever the vocabulary.

It is built node by node, not traced: that takes milliseconds at each promotion and not seconds,
takes histories of any length, empty ones too, and leaves nothing to a tracer's version. Tests hold
it equal to the network for every variant.

Shape suffixes: T behaviours, E item, H hidden, G = 4H gates, P profile columns, F of a column.
"""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from features.schemas import PRICE_LEVELS, PROPERTIES
from training.model.attention import Attention
from training.model.dupn import Dupn
from training.model.embedding import PropertyEmbedding, UserEmbedding
from training.model.lstm import PropertyGatedLSTM
from training.model.price_memory import FLOOR, STRIDE, PriceMemory

FILE = "user_part.onnx"
ITEMS, QUERY, PROFILE = "items", "query", "profile"
LEVELS, WORDS = "price_levels", "words"
"""Of a network with a memory of prices: the behaviours' levels, and what the words, and what is on
offer for them, say of the price."""
REPRESENTATION, ATTENTION, PRICE = "representation", "attention", "price"
WEIGHT, HIDDEN, MATCH = "weight", "hidden", "match"
"""Outputs: see `serving.user_part.Heard`; `match` only with interaction "product"."""
GATES = ("i", "o", "f", "c")
"""The order in which ONNX keeps the gates of an LSTM."""
OPSET, IR = 17, 8


def build(model: Dupn, file: Path) -> None:
    """Write the graph of a network in eval mode."""
    graph = _Graph()
    with torch.inference_mode():
        _user_part(graph, model)
    made = graph.model()
    onnx.checker.check_model(made, full_check=True)
    file.write_bytes(made.SerializeToString())


def _user_part(graph: "_Graph", model: Dupn) -> None:
    """`Dupn.user_part`, and what `Ranker` takes of the heads before it sees a candidate."""
    config = model.config
    e_TE = graph.input(ITEMS, ("T", config.e_dim))
    q_1Q = graph.input(QUERY, (1, config.query_dim))
    p_TP = None if model.property is None else _properties(graph, model.property)
    u_1U = _user(graph, model.user)
    c_1C = graph.concat(q_1Q, u_1U)
    h_TH = _recurrence(graph, model.lstm, e_TE, p_TP)
    rep_s_1H, a_1T = _attention(graph, model.attention, h_TH, c_1C, p_TP)
    rep_1R = graph.concat(rep_s_1H, u_1U)
    price_17 = graph.mlp(model.ppp.predict, rep_1R)
    if model.budget is not None:
        price_17 = graph.node("Add", price_17, graph.linear(model.budget, q_1Q))
    wish_1E = None if model.wish is None else graph.linear(model.wish, q_1Q)
    if model.price_memory is not None:
        remembered_17 = _remembered(graph, model.price_memory, (e_TE, p_TP, c_1C, wish_1E))
        price_17 = graph.node("Add", price_17, remembered_17)
    graph.output(REPRESENTATION, rep_1R, (1, config.rep_dim))
    graph.output(ATTENTION, a_1T, (1, "T"))
    graph.output(PRICE, graph.node("Softmax", price_17, axis=1), (1, "levels"))
    weight_1F = graph.mlp(model.l2r.weight, rep_1R)
    if model.emphasis is not None:
        weight_1F = graph.node("Add", weight_1F, graph.linear(model.emphasis, q_1Q))
    graph.output(WEIGHT, weight_1F, (1, "features"))
    graph.output(HIDDEN, graph.linear(model.ctr.first_of_rep, rep_1R), (1, "hidden"))
    if model.ctr.match is not None and wish_1E is not None:
        match_1E = graph.node("Add", graph.linear(model.ctr.match, rep_1R), wish_1E)
        graph.output(MATCH, match_1E, (1, config.e_dim))


def _properties(graph: "_Graph", embedding: PropertyEmbedding) -> str:
    """`p_TP`."""
    rows = [graph.input(name, ("T",), TensorProto.INT64) for name in PROPERTIES]
    pairs = zip(_weights(embedding.tables), rows, strict=True)
    return graph.concat(*(graph.node("Gather", table, row) for table, row in pairs))


def _user(graph: "_Graph", user: UserEmbedding) -> str:
    """`u_1U`; all fields are as wide as each other, so their tables stand in one."""
    absent_1U = graph.constant(user.absent[None])
    if user.layer is None:
        return absent_1U
    tables = _weights(user.fields)
    profile_P = graph.input(PROFILE, (len(tables),), TensorProto.INT64)
    starts = np.cumsum([0, *(len(table) for table in tables[:-1])])
    row_P = graph.node("Add", profile_P, starts)
    fields_PF = graph.node("Gather", torch.cat(tables), row_P)
    fields_1F = graph.node("Reshape", fields_PF, np.array([1, -1]))
    u_1U = graph.node("Tanh", graph.linear(user.layer, fields_1F))
    known = graph.node("Greater", graph.node("ReduceMax", profile_P, keepdims=1), np.array([0]))
    return graph.node("Where", known, u_1U, absent_1U)


def _recurrence(graph: "_Graph", lstm: PropertyGatedLSTM, e_TE: str, p_TP: str | None) -> str:
    """`h_TH`: ONNX's own LSTM over [e; p], W_pc being zero (equations 2-6)."""
    paper = lstm.paper_weights() | {"W_pc": torch.zeros(lstm.hidden_dim, lstm.property_dim)}
    of_input_GX = torch.cat([torch.cat([paper[f"W_e{g}"], paper[f"W_p{g}"]], 1) for g in GATES])
    of_hidden_GH = torch.cat([paper[f"W_h{g}"] for g in GATES])
    bias_G = torch.cat([paper[f"b_{g}"] for g in GATES])
    both_biases = torch.cat([bias_G, torch.zeros_like(bias_G)])
    x_TX = graph.concat(e_TE, p_TP) if p_TP is not None and lstm.property_dim else e_TE
    h_T11H = graph.node(
        "LSTM",
        graph.node("Unsqueeze", x_TX, np.array([1])),
        *(weight[None] for weight in (of_input_GX, of_hidden_GH, both_biases)),
        hidden_size=lstm.hidden_dim,
    )
    return graph.node("Squeeze", h_T11H, np.array([1, 2]))


def _attention(
    graph: "_Graph", attention: Attention, h_TH: str, c_1C: str, p_TP: str | None
) -> tuple[str, str]:
    """`rep_s_1H` and `a_1T` (equation 7)."""
    hidden_TA = graph.linear(attention.of_hidden, h_TH)
    hidden_TA = graph.node("Add", hidden_TA, graph.linear(attention.of_context, c_1C))
    if attention.of_property is not None and p_TP is not None:
        hidden_TA = graph.node("Add", hidden_TA, graph.linear(attention.of_property, p_TP))
    score_T1 = graph.linear(attention.score, graph.node("Relu", hidden_TA))
    if attention.match is not None:
        match_H1 = graph.node("Transpose", graph.linear(attention.match, c_1C))
        score_T1 = graph.node("Add", score_T1, graph.node("MatMul", h_TH, match_H1))
    a_1T = graph.node("Transpose", graph.node("Softmax", score_T1, axis=0))
    return graph.node("MatMul", a_1T, h_TH), a_1T


def _remembered(
    graph: "_Graph", memory: PriceMemory, seen: tuple[str, str | None, str, str | None]
) -> str:
    """`PriceMemory.forward`; what the words and the offers say is fed."""
    e_TE, p_TP, c_1C, wish_1E = seen
    level_T = graph.input(LEVELS, ("T",), TensorProto.INT64)
    words_17 = graph.input(WORDS, (1, PRICE_LEVELS))
    wanted_1E = graph.linear(memory.match, c_1C)
    if wish_1E is not None:
        wanted_1E = graph.node("Add", wanted_1E, wish_1E)
    match_T1 = graph.node("MatMul", e_TE, graph.node("Transpose", wanted_1E))
    score_TH = graph.node("MatMul", match_T1, memory.of_match[None])
    if memory.of_property is not None and p_TP is not None:
        score_TH = graph.node("Add", score_TH, graph.linear(memory.of_property, p_TP))
    known_T1 = graph.node("Unsqueeze", graph.node("Greater", level_T, np.array(0)), np.array([1]))
    score_TH = graph.node("Where", known_T1, score_TH, np.array(-1e30, np.float32))
    weight_TH = graph.node("Softmax", score_TH, axis=0)
    levels_7 = np.arange(1, PRICE_LEVELS + 1)[None]
    is_T7 = graph.node("Equal", graph.node("Unsqueeze", level_T, np.array([1])), levels_7)
    is_T7 = graph.node("Cast", is_T7, to=TensorProto.FLOAT)
    shares_H7 = graph.node("MatMul", graph.node("Transpose", weight_TH), is_T7)
    floor, levels = np.array(FLOOR, np.float32), np.array(PRICE_LEVELS, np.float32)
    against_even_H7 = graph.node(
        "Log", graph.node("Mul", graph.node("Add", shares_H7, floor), levels)
    )
    strided_H7 = graph.node("Mul", shares_H7, np.array(STRIDE, np.float32))
    both_X7 = graph.node("Concat", strided_H7, against_even_H7, axis=0)
    both_1X = graph.node("Reshape", both_X7, np.array([1, -1]))
    return graph.node("Add", graph.linear(memory.of_shares, both_1X), words_17)


def _weights(tables: nn.ModuleList) -> list[Tensor]:
    return [table.weight for table in tables if isinstance(table, nn.Embedding)]


class _Graph:
    """Nodes in the order in which they are asked for; a result is known by its name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, shape: tuple[str | int, ...], kind: int = TensorProto.FLOAT) -> str:
        """What is fed; axes with a name may have any length."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name: str, value: str, shape: tuple[str | int, ...]) -> None:
        """What is fetched."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def constant(self, value: Tensor | NDArray[Any]) -> str:
        """A weight."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        name = f"constant_{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op: str, *inputs: str | Tensor | NDArray[Any], **attributes: Any) -> str:
        """The result of an operator of ONNX; tensors among its inputs are weights."""
        name = f"{op.lower()}_{len(self._nodes)}"
        named = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        self._nodes.append(helper.make_node(op, named, [name], **attributes))
        return name

    def concat(self, *values: str) -> str:
        """Side by side."""
        return self.node("Concat", *values, axis=1)

    def linear(self, layer: nn.Linear, value: str) -> str:
        """One layer."""
        bias = [] if layer.bias is None else [layer.bias]
        return self.node("Gemm", value, layer.weight, *bias, transB=1)

    def mlp(self, layers: nn.Sequential, value: str) -> str:
        """`training.model.heads.mlp`."""
        linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
        value = self.linear(linear[0], value)
        for _, layer in pairwise(linear):
            value = self.linear(layer, self.node("Relu", value))
        return value

    def model(self) -> onnx.ModelProto:
        """The whole."""
        graph = helper.make_graph(
            self._nodes, "user part", self._inputs, self._outputs, self._constants
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR, producer_name="dupn")
