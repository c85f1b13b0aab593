"""The deep part of the network, once a moment: by ONNX Runtime or by torch (Section 7).

Both give the same numbers (to 1e-5, tested). ONNX Runtime runs the graph that `user_graph` wrote
when the version was disassembled, in one call; torch runs the network itself, as training does.

Shape suffixes: T behaviours, E item, Q words, P profile columns, R representation, F ranking
features, D first hidden layer of the CTR head; the axis of one moment is dropped.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from features.schemas import PRICE_LEVELS
from features.timeline import Codes
from infra.errors import PartitionCorrupt
from serving import user_graph as graphs
from training.batch import Batch, Items
from training.model.dupn import Dupn
from training.model.heads import MomentPart
from training.model.price_memory import STRIDE

Floats = NDArray[np.float32]
_NO_LONGS = torch.empty(0, dtype=torch.long)
_NO_FLOATS = torch.empty(0)


@dataclass(frozen=True)
class Inputs:
    """A moment as the network reads it."""

    e_TE: Floats
    """Vectors of the history's items."""
    price_T: NDArray[np.int8]
    """Their price levels, 1..7; 0 where unknown."""
    properties: Mapping[str, NDArray[np.int8]]
    """Codes of each behaviour, by `features.schemas.PROPERTIES`."""
    words_Q: Codes
    """Token rows that the network knows; none where nothing was typed."""
    profile_P: NDArray[np.int64]
    """A row a profile column; all 0 without a profile."""
    offer_L: Floats | None = None
    """Shares of the price levels on offer for the query; None: the network does not ask."""


@dataclass(frozen=True)
class Heard:
    """The deep part's answer for a moment: all that its candidates share."""

    representation: Floats
    """Rep = [rep_s, u]."""
    attention: Floats
    """Weight of each behaviour of the history."""
    price_preference: Floats
    """Probabilities of the 7 price levels, cheapest first."""
    weight_F: torch.Tensor
    """L2R's weight of each ranking feature, the constant's last (equation 9)."""
    click: MomentPart
    """What the CTR head needs to know of the moment."""


class UserPart(Protocol):
    """Answers one moment; shared by threads."""

    def hear(self, inputs: Inputs) -> Heard:
        """Everything that does not depend on the candidates."""
        ...


class Runtime(NamedTuple):
    """What answers the user part of a version, and on how many threads."""

    name: Literal["onnx", "torch"] = "onnx"
    threads: int = 1


DEFAULT = Runtime()


def load(model: Dupn, file: Path, runtime: Runtime) -> UserPart:
    """The user part of a version.

    Raises:
        PartitionCorrupt: its graph is absent.
    """
    if runtime.name == "torch":
        return TorchPart(model)
    if not file.exists():
        raise PartitionCorrupt(f"{file} is absent. Run `dupn bundle` again.")
    return OnnxPart(model, file, runtime.threads)


class OnnxPart:
    """A session over the graph; the tables of words stay the network's.

    Args:
        model: the network that the graph was made of.
        file: the graph.
        threads: of a call.
    """

    def __init__(self, model: Dupn, file: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # cores are shared
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(str(file), options, providers=providers)
        self._outputs = [one.name for one in self._session.get_outputs()]
        self._asked = {one.name for one in self._session.get_inputs()}
        memory = model.price_memory
        self._prices = None if memory is None else memory.words.weight.detach().numpy()
        offers = None if memory is None else memory.of_offers
        self._offers = None if offers is None else offers.weight.detach().numpy()
        self._token = model.query.token.weight.detach().numpy()
        self._absent = model.query.absent.detach().numpy()

    def hear(self, inputs: Inputs) -> Heard:
        """See `UserPart`."""
        words = inputs.words_Q[inputs.words_Q > 0]
        query = self._token[words].mean(axis=0) if len(words) else self._absent
        feed = {
            graphs.ITEMS: inputs.e_TE,
            graphs.QUERY: query[None],
            graphs.PROFILE: inputs.profile_P,
            **{name: codes.astype(np.int64) for name, codes in inputs.properties.items()},
        }
        if self._prices is not None:  # `PriceMemory.of_words`, 0.1 ms sooner than by torch
            said_1L = STRIDE * self._prices[words].sum(axis=0, keepdims=True)
            if self._offers is not None and inputs.offer_L is not None:
                said_1L += np.log(PRICE_LEVELS * inputs.offer_L) @ self._offers.T
            feed[graphs.WORDS] = said_1L
            feed[graphs.LEVELS] = inputs.price_T.astype(np.int64)
        answers = self._session.run(None, {name: feed[name] for name in self._asked})
        found = dict(zip(self._outputs, answers, strict=True))
        match_1E = found.get(graphs.MATCH)
        return Heard(
            representation=found[graphs.REPRESENTATION][0],
            attention=found[graphs.ATTENTION][0],
            price_preference=found[graphs.PRICE][0],
            weight_F=torch.from_numpy(found[graphs.WEIGHT][0]),
            click=MomentPart(
                torch.from_numpy(found[graphs.HIDDEN]),
                None if match_1E is None else torch.from_numpy(match_1E),
            ),
        )


class TorchPart:
    """The network itself.

    Args:
        model: in eval mode.
    """

    def __init__(self, model: Dupn) -> None:
        self.model = model

    @torch.inference_mode()
    def hear(self, inputs: Inputs) -> Heard:
        """See `UserPart`."""
        model = self.model
        e_TE = torch.from_numpy(inputs.e_TE)
        e_UE = torch.cat([torch.zeros(1, e_TE.shape[1]), e_TE])  # position 0 is padding
        encoded = model.user_part(batch_of(inputs), e_UE)
        price_17 = torch.softmax(model.price_levels(encoded), dim=-1)
        return Heard(
            representation=encoded.rep_BR[0].numpy(),
            attention=encoded.attention_BT[0].numpy(),
            price_preference=price_17[0].numpy(),
            weight_F=model.ranking_part(encoded)[0],
            click=model.click_part(encoded),
        )


def batch_of(inputs: Inputs) -> Batch:
    """A batch of one moment, without questions; item k of the history stands at place k + 1."""
    length = len(inputs.e_TE)
    columns = {f"{name}_BT": _row(codes) for name, codes in inputs.properties.items()}
    return Batch(
        items=Items(**_NO_ITEMS, price_U=_after_padding(inputs.price_T)),
        seq_BT=torch.arange(1, length + 1)[None],
        length_B=torch.tensor([length]),
        query_BQ=_row(inputs.words_Q),
        profile_BP=_row(inputs.profile_P),
        offer_BL=None if inputs.offer_L is None else torch.from_numpy(inputs.offer_L)[None],
        **columns,
        **_NO_QUESTIONS,
    )


def _row(values: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.int64))[None]


def _after_padding(values_T: NDArray[np.generic]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([[0], values_T]).astype(np.int64))


_NO_ITEMS = {name: _NO_LONGS for name in Items.__dataclass_fields__ if name != "price_U"}
"""Vectors are given in their place."""
_NO_QUESTIONS = {
    name: _NO_FLOATS if name.endswith(("_clicked_C", "_label_C", "_weight_C")) else _NO_LONGS
    for name, field in Batch.__dataclass_fields__.items()
    if name.endswith(("_C", "_CF", "_K", "_I", "_S")) and field.default is MISSING
}
"""Of a batch whose moments are only heard."""
