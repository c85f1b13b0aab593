"""Settings of the nightly update. Torch-free, like `training.config`."""

from enum import StrEnum

from pydantic import Field

from infra.config import CENTURY, Config
from training.config import TrainConfig


class Abnormal(StrEnum):
    """What the update does with a day that looks like none before it."""

    TRAIN = "train"
    DOWN_WEIGHT = "down-weight"
    SKIP = "skip"


class UpdateConfig(Config):
    """How a night's update learns, on top of `train` (Section 7)."""

    learning_rate: float | None = Field(None, gt=0)
    """AdaGrad rate of the dense weights; `train.learning_rate` when absent."""
    embedding_learning_rate: float | None = Field(None, gt=0)
    """Of the sparse tables; `train.embedding_learning_rate` when absent, and without that, too,
    `train.learning_rate`."""
    epochs: int = Field(1, ge=1)
    """Passes over the night's moments."""
    accumulator_decay: float = Field(0.9, gt=0, le=1)
    """AdaGrad's sums of squared gradients start the night at this share of what they were, so that
    steps do not shrink for ever; 1 keeps them."""
    holdout_share: float = Field(0.1, gt=0, lt=1)
    """Share of the day's users whose moments judge the candidate and join the next night."""
    replay_share: float = Field(0.0, ge=0, le=1)
    """Moments of days learnt already that are mixed in, as a share of the night's new ones."""
    replay_days: int = Field(10, ge=1)
    """Newest days learnt already that replay draws from."""
    abnormal: Abnormal = Abnormal.TRAIN
    """What is done with an abnormal day; it is reported either way. `skip` leaves it out (and makes
    no candidate if it is the night's own day)."""
    abnormal_weight: float = Field(0.3, gt=0, le=1)
    """Weight of the moments of an abnormal day in the loss under `down-weight`."""
    abnormal_volume_ratio: float = Field(2.0, gt=1)
    """Rows against the median of the days before from which a day is abnormal, or their inverse."""
    abnormal_mix_distance: float = Field(0.15, gt=0, le=1)
    """Share of rows that would have to change type, scenario or price to look like the median of
    the days before (total variation distance), from which a day is abnormal."""
    abnormal_days: int = Field(7, ge=3, le=CENTURY)
    """Days before that a day is held against; below three, no day is abnormal."""

    def over(self, train: TrainConfig) -> TrainConfig:
        """`train` as the update uses it."""
        tables = self.embedding_learning_rate or train.embedding_learning_rate
        if tables is None and self.learning_rate:  # a night's rate is of the dense weights alone
            tables = train.learning_rate
        return train.model_copy(
            update={
                "learning_rate": self.learning_rate or train.learning_rate,
                "embedding_learning_rate": tables,
                "epochs": self.epochs,
                "validation_days": 0,
                "patience": None,
            }
        )
