"""Four ways to a new task, given a network that knows others (Section 6.3, Figure 7).

RS and RA learn from nothing, the new task alone or with all others. RT keeps the network as it is
and learns a shallow network over its representation; FT puts a head on it and learns on.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum

import torch
from torch import Tensor

from training.batch import Batch, VocabularySizes
from training.config import ModelConfig, Task
from training.model.dupn import HEAD_HIDDEN, Dupn
from training.model.heads import PairHead
from training.model.network import Network, Outputs

KNOWN = (Task.CTR, Task.L2R, Task.PPP, Task.FIFP)
"""What the first network was trained on."""
NEW = Task.SPP
Weights = Mapping[str, Tensor]
Build = Callable[[ModelConfig, VocabularySizes], Network]


class Way(StrEnum):
    """How the new task is learnt."""

    RS = "rs"
    """End-to-end re-training with a single task."""
    RA = "ra"
    """End-to-end re-training with all tasks."""
    RT = "rt"
    """Representation transfer: a shallow network of its own, nothing else moves."""
    FT = "ft"
    """Network fine tuning."""

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it learns."""
        return (*KNOWN, NEW) if self is Way.RA else (NEW,)

    @property
    def transfers(self) -> bool:
        """Whether it begins with the known network."""
        return self in (Way.RT, Way.FT)


class OnRepresentation(Network):
    """A shallow network for shops over the representation of a network that does not change.

    Its only inputs are the representation and the shop (Section 6.3). Shops' vectors are its own:
    they begin as the known network has them, and learn. Other tasks are answered as before.

    Args:
        known: the network; it always works as in evaluation, without dropout.
    """

    def __init__(self, known: Dupn) -> None:
        super().__init__(known.sizes)
        self.known = known.requires_grad_(requires_grad=False)
        self.shop = copy.deepcopy(known.item.shop).requires_grad_()
        config = known.config
        self.head = PairHead(
            config.rep_dim,
            config.shop_dim,
            (HEAD_HIDDEN,),
            config.dropout,
            config.interaction == "product",
        )

    def train(self, mode: bool = True) -> "OnRepresentation":  # torch's own
        """Head and shops learn; the network below stays as it is."""
        super().train(mode)
        self.known.eval()
        return self

    def forward(self, batch: Batch) -> Outputs:
        """All questions; those about shops by the new head."""
        with torch.no_grad():
            out = self.known(batch)
        shop_SE = self.shop(batch.shop_S)
        return replace(out, spp_S=self.head(out.rep_BR, shop_SE, batch.shop_moment_S))


def build(way: Way, known: Weights) -> Build:
    """What a way begins with.

    Args:
        way: which.
        known: weights of a `Dupn` that was trained on `KNOWN`; RS and RA do not look at them.
    """

    def fresh(config: ModelConfig, sizes: VocabularySizes) -> Network:
        return Dupn(config, sizes)

    def transferred(config: ModelConfig, sizes: VocabularySizes) -> Network:
        return OnRepresentation(_loaded(Dupn(config, sizes)))

    def tuned(config: ModelConfig, sizes: VocabularySizes) -> Network:
        return _loaded(Dupn(config, sizes))

    def _loaded(network: Dupn) -> Dupn:
        """All that is known; the head for shops was never trained, and starts afresh."""
        kept = {name: w for name, w in known.items() if not name.startswith("spp.")}
        missing = network.load_state_dict(kept, strict=False).missing_keys
        strange = [name for name in missing if not name.startswith("spp.")]
        if strange:
            raise ValueError(f"the known network lacks {strange[0]}")
        return network

    return {Way.RS: fresh, Way.RA: fresh, Way.RT: transferred, Way.FT: tuned}[way]
