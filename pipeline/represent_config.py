"""Settings of the table of user representations. Torch-free."""

from pydantic import Field

from infra.config import Config


class RepresentConfig(Config):
    """The representation of every user, kept beside the model that made it."""

    batch_size: int = Field(512, ge=1)
    """Users encoded at a time."""
    keep_days: int = Field(7, ge=2)
    """Tables older than so many days are removed, but for the newest one of champion and previous:
    a rollback finds its table."""
