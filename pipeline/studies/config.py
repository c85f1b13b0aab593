"""Settings of the paper's studies (Section 6). Torch-free, so that DAG files may read them."""

from typing import Annotated

from pydantic import Field

from infra.config import LARGEST_SEED, Config
from training.config import Task
from training.peers.names import FTRL


class TrialConfig(Config):
    """A point of the search: what a network may be tuned by."""

    learning_rate: float = Field(0.02, gt=0)
    """Of dense weights."""
    embedding_learning_rate: float = Field(0.02, gt=0)
    """Of embedding tables."""
    embedding_l2: float = Field(1e-6, ge=0)
    """On the rows that a batch touches."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """After hidden layers."""
    alpha: float = Field(0.05, gt=0)
    """Of FTRL, where there is a wide part."""
    l1: float = Field(0.5, ge=0)
    """Of FTRL, too."""

    def of_networks(self) -> dict[str, float]:
        """Without what only a wide part hears of."""
        return self.model_dump(exclude=set(FTRL))

    def of_wide(self) -> dict[str, float]:
        """What Wide hears of, which has nothing else."""
        return self.model_dump(include=set(FTRL))


class StudyConfig(Config):
    """Days, budgets and search of the paper's studies; the same for every network."""

    data: str = "data"
    """Folder of the real logs, `taobao_userbehavior/UserBehavior.csv` and the like (`excerpts`)."""
    learnt: int = Field(10, ge=1)
    """Days that networks learn from."""
    judges: int = Field(1, ge=1)
    """Days after them that stop the learning and choose settings."""
    asked: int = Field(2, ge=1)
    """Days after those that figures are about."""
    shares: dict[Task, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """Share of the users whose questions of a task are learnt and asked; 1 where not named."""
    epochs: int = Field(6, ge=1)
    """Passes over the learnt days, at most."""
    judgements: int = Field(2, ge=1)
    """Of an epoch."""
    patience: int = Field(4, ge=1)
    """Judgements without a better loss before the learning stops."""
    tuning_seed: int = Field(101, ge=1, le=LARGEST_SEED)
    """World of the search; the seeds 1, 2, ... are never tuned on."""
    search_share: float = Field(1.0, gt=0, le=1)
    """Of the shares, in the search: it may have fewer people than the worlds that are reported."""
    trials: tuple[TrialConfig, ...] = Field(
        (
            TrialConfig(),
            TrialConfig(embedding_l2=1e-4, dropout=0.4, alpha=0.1),
            TrialConfig(
                learning_rate=0.01,
                embedding_learning_rate=0.05,
                embedding_l2=3e-4,
                dropout=0.3,
                alpha=0.02,
            ),
            TrialConfig(learning_rate=0.003, embedding_l2=1e-5, alpha=0.2),
            TrialConfig(learning_rate=0.001, embedding_l2=1e-4, dropout=0.3, alpha=0.01),
        ),
        min_length=1,
    )
    """What every network and task is tried with."""
