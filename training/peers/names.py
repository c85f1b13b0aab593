"""The networks of Table 2, in its order. Torch-free: see `training.peers.build` for themselves."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.config import Task

FTRL = frozenset({"alpha", "l1"})
"""What a point of a search says to a wide part alone."""
EVERY = tuple(Task)
MATCHED = (Task.CTR, Task.FIFP)


@dataclass(frozen=True)
class Peer:
    """A row of Table 2."""

    title: str
    """The paper's name."""
    tasks: tuple[Task, ...] = EVERY
    """What it can answer."""


PEERS: Mapping[str, Peer] = {
    "wide": Peer("Wide"),
    "wide_deep": Peer("Wide & Deep"),
    "dssm": Peer("DSSM", MATCHED),
    "cnn_max": Peer("CNN-max"),
    "nobp": Peer("DUPN-nobp"),
    "bplstm": Peer("DUPN-bplstm"),
    "bpatt": Peer("DUPN-bpatt"),
    "all": Peer("DUPN-all"),
    "w2v": Peer("DUPN-w2v"),
}
"""By the name that commands and settings use."""
LETTER = "letter"
"""DUPN-all by the paper's equations alone: heads and attention over concatenations, and ranking
features without the click logit, where `all` has what the settings say (docs/adr/0005, 0007)."""
NETWORKS: Mapping[str, Peer] = {LETTER: Peer("DUPN-all, to the letter"), **PEERS}
"""All that there are."""
