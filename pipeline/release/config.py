"""How a logged model is asked before it is registered (`pipeline.release.fresh_process`)."""

from pydantic import Field

from infra.config import Config


class CanaryConfig(Config):
    """The load-and-query check of a logged model."""

    requests: int = Field(32, ge=1)
    """Recorded moments that are asked again."""
    tolerance: float = Field(1e-4, gt=0)
    """Largest difference of a score from what evaluation computed."""
    timeout_s: float = Field(180.0, gt=0, le=86_400)
    """For a fresh process to load the model and answer."""
