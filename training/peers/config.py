"""Settings of the peers. Torch-free, so that DAG files and the CLI may read them."""

from typing import Annotated

from pydantic import Field

from infra.config import Config


class FtrlConfig(Config):
    """How fast coordinates learn, and what keeps them small."""

    alpha: float = Field(0.05, gt=0)
    """Learning rate; a coordinate's own falls with the square root of n."""
    beta: float = Field(1.0, ge=0)
    """Added to the square root of n: how cautiously a new coordinate begins."""
    l1: float = Field(0.5, ge=0)
    """A coordinate stays zero until its gradients have come to this much."""
    l2: float = Field(1.0, ge=0)
    """Pull towards zero."""


class WideConfig(FtrlConfig):
    """Wide (Section 6.1): size of its table of weights, and how it learns."""

    bits: int = Field(20, ge=8, le=28)
    """The table has two to this many coordinates."""
    statistics: bool = True
    """Whether CTR gets the ranking features that need nobody's history, beside the item's tags."""
    history: bool = False
    """Whether it gets the ranking features of the user's whole history, too."""
    batch_size: int = Field(64, ge=1)
    """Moments a step."""
    epochs: int = Field(2, ge=1)
    """Passes over the first training days; a night is one."""


class PeersConfig(Config):
    """Widths of the networks that the network is compared with: the paper's, where it names one."""

    deep_hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((1024, 512, 128), min_length=1)
    """Hidden layers of Wide & Deep and of both towers of DSSM."""
    windows: int = Field(10, ge=1)
    """CNN-max has windows of one to this many behaviours."""
    maps: int = Field(64, ge=1)
    """Feature maps of each window."""
    cosine_scale: float = Field(10.0, gt=0)
    """DSSM: what the cosine is multiplied by to make a logit."""
