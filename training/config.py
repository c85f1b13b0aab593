"""Settings of the network and of its training (Sections 4 and 5).

Torch-free, so that DAG files and the CLI may read them.
"""

from enum import StrEnum
from typing import Annotated, Literal, assert_never

from pydantic import Field, field_validator, model_validator

from features.schemas import PROPERTIES
from infra.config import Config, incompatible, once


class Task(StrEnum):
    """The tasks of Section 4.3. SPP is the transfer task: not trained jointly by default."""

    CTR = "ctr"
    L2R = "l2r"
    PPP = "ppp"
    FIFP = "fifp"
    SPP = "spp"

    @property
    def of_levels(self) -> bool:
        """Whether a question is answered by a price level (PPP), and not by yes or no."""
        match self:
            case Task.PPP:
                return True
            case Task.CTR | Task.L2R | Task.FIFP | Task.SPP:
                return False
            case _:
                assert_never(self)


class ModelConfig(Config):
    """Dimensions of the network; where the paper names one, the default is the paper's.

    Brand, category, tags and behaviour properties may be 0 wide, which leaves them out.
    """

    variant: Literal["all", "nobp", "bplstm", "bpatt"] = "all"
    """Where behaviour properties are used (Section 6.1): LSTM gates and attention, nowhere, one."""

    item_dim: int = Field(32, ge=1)
    """Of an item id."""
    brand_dim: int = Field(24, ge=0)
    """Of a brand."""
    shop_dim: int = Field(24, ge=1)
    """Of a shop."""
    category_dim: int = Field(16, ge=0)
    """Of a category."""
    tag_dim: int = Field(28, ge=0)
    """Of the pooled tags."""
    item_std: float = Field(0.05, gt=0)
    """Size at which item rows start."""
    group_std: float = Field(0.05, gt=0)
    """Of brand and shop rows."""
    general_std: float = Field(0.05, gt=0)
    """Of category, tag and icon rows. Where a log has few moments, general features should tell
    items apart from the first step and item ids should start small: what an id adds is learnt."""
    type_dim: int = Field(16, ge=0)
    """Of the behaviour type."""
    scenario_dim: int = Field(8, ge=0)
    """Of the scenario."""
    gap_dim: int = Field(16, ge=0)
    """Of the time from behaviour to moment."""
    daypart_dim: int = Field(4, ge=0)
    """Of the part of the day."""
    weekend_dim: int = Field(4, ge=0)
    """Of workday or weekend."""
    hidden_dim: int = Field(128, ge=1)
    """H of equations (2)-(6); `rep_s` has this many dimensions."""
    attention_dim: int = Field(64, ge=1)
    """Hidden layer of the attention net, equation (7)."""
    query_dim: int = Field(64, ge=1)
    """q, the pooled query tokens."""
    user_dim: int = Field(128, ge=1)
    """u; with `hidden_dim` it makes the 256 of the representation."""
    profile_dim: int = Field(16, ge=1)
    """Embedding of one profile field, before the layer that makes u."""
    ctr_hidden: tuple[Annotated[int, Field(ge=1)], ...] = Field((128, 64), min_length=1)
    """Hidden layers of the CTR head."""
    interaction: Literal["concat", "product"] = "product"
    """`concat` is the paper's; `product` adds the inner product of e_i with a projection of rep
    (for CTR of q, too), what q says of the price level to PPP, and the inner product of h_t with a
    projection of (q, u) to the attention score."""
    ranks_with_ctr: bool = True
    """L2R also weighs the CTR task's own logit, as a ranking feature (Section 5, "Online
    Environment"). No gradient flows back through it, unless CTR is not learnt: the logit is then
    L2R's own match of user and item."""
    ranks_with_query: bool = False
    """What was typed weighs L2R's ranking features, too: weight(rep) plus a linear function of q
    (docs/adr/0021); false is the paper's."""
    price_memory: bool = False
    """PPP is also told the price levels of the behaviours that match the moment, and has a score a
    level for each word (docs/adr/0018); false is the paper's."""
    price_offers: bool = False
    """The memory of prices is also told what is on offer for the words that were typed
    (docs/adr/0022); the samples have to have it (`samples.price_offers`)."""
    icon_dim: int = Field(32, ge=1)
    """Of an icon."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share dropped after hidden layers (the paper's 0.8 is TensorFlow 1's keep probability)."""

    @model_validator(mode="after")
    def _offers_are_remembered(self) -> "ModelConfig":
        if self.price_offers and not self.price_memory:
            raise incompatible(
                "model.price_offers is heard by the memory of prices: "
                "set model.price_memory = true, or model.price_offers = false"
            )
        return self

    @property
    def e_dim(self) -> int:
        """Dimension of e_i: 124 in the paper."""
        return self.item_dim + self.brand_dim + self.shop_dim + self.category_dim + self.tag_dim

    @property
    def p_dim(self) -> int:
        """Dimension of p_i: 48 in the paper."""
        return sum(self.property_dims.values())

    @property
    def property_dims(self) -> dict[str, int]:
        """Width of each table of p_i, in their order."""
        return {name: getattr(self, f"{name}_dim") for name in PROPERTIES}

    @property
    def rep_dim(self) -> int:
        """Dimension of rep: 256 in the paper."""
        return self.hidden_dim + self.user_dim


class TrainConfig(Config):
    """How the network learns (Section 5, "Experimental Configuration")."""

    tasks: tuple[Task, ...] = Field((Task.CTR, Task.L2R, Task.PPP, Task.FIFP), min_length=1)
    """What is learnt together; SPP is for transfer."""
    weights: dict[Task, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Weight of a task's mean loss; 1 where not named."""
    click_prices: float = Field(0, ge=0)
    """PPP also learns the price levels of clicked candidates, with this weight beside those of
    purchases (docs/adr/0017); 0 is the paper's."""
    ranks_unseen: bool = False
    """Where L2R weighs the CTR logit and both are learnt, it learns from a moment the first time
    only, before that logit has been taught the answer (docs/adr/0019); the paper says nothing."""
    batch_size: int = Field(1024, ge=1)
    """Moments a step, each with all its questions; the paper's 1024 are instances of one task."""
    learning_rate: float = Field(1e-3, gt=0)
    """AdaGrad rate of the dense weights."""
    embedding_learning_rate: float | None = Field(None, gt=0)
    """AdaGrad rate of the sparse tables; `learning_rate` when absent."""
    l2: float = Field(1e-6, ge=0)
    """On dense weights."""
    embedding_l2: float = Field(1e-6, ge=0)
    """On the embedding rows that a batch touches."""
    epochs: int = Field(1, ge=1)
    """Passes over the training days, at most."""
    validation_days: int = Field(0, ge=0)
    """Last days that are not learnt from: after each epoch they judge, and the best one is kept."""
    patience: int | None = Field(None, ge=1)
    """Epochs without a better validation loss before training stops; absent, or without days that
    judge: it never does."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """`bf16` computes in half the bits; weights stay fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto`: CUDA where there is a GPU."""
    threads: int | None = Field(None, ge=1)
    """Torch threads; as many as cores when absent."""
    shards: int = Field(1, ge=1)
    """Parts of a batch that a CPU learns from side by side, each by a single thread whatever
    `threads` says; 2 are 1.3 times as fast on two cores. Dropout draws otherwise with another
    number. A GPU learns from a batch as a whole."""
    shuffle_buffer: int = Field(65_536, ge=1)
    """Moments held for shuffling: memory grows with it, never with the day."""
    checkpoint_every_s: float = Field(60.0, ge=0)
    """Seconds between two saves of what a killed run goes on from."""
    resume: bool = True
    """Go on where a run of the same name was cut off; false starts it afresh."""
    clip_norm: float | None = Field(5.0, ge=0)
    """Largest gradient norm of the dense weights; 0: any."""

    @field_validator("tasks")
    @classmethod
    def _once(cls, tasks: tuple[Task, ...]) -> tuple[Task, ...]:
        return once(tasks)
