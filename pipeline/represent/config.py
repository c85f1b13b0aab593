"""Settings of the table of user representations. Torch-free."""

from typing import Literal

from pydantic import Field

from infra.config import CENTURY, Config

Carry = Literal["ancestors", "model"]


class RepresentConfig(Config):
    """The representation of every user, kept beside the model that made it."""

    batch_size: int = Field(512, ge=1)
    """Users of a batch; on a CPU a batch a core is encoded at a time, four at most."""
    keep_days: int = Field(7, ge=2, le=CENTURY)
    """Tables older than so many days are removed, but for the newest one of champion and previous:
    a rollback finds its table. That of previous stays as it is until the next promotion."""
    carry: Carry = "ancestors"
    """Whose vectors users without a new behaviour keep. "ancestors": also those of a model that the
    champion was trained on from, so that after a promotion only who did something is encoded. Their
    rows are of older networks of the line, and lie apart from the champion's: for neighbours,
    clusters and the training of models leave them out (`model` is not the table's run key), or take
    "model": those of the same registered version, so that a promotion encodes everybody anew."""
