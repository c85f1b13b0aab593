"""How pages are ranked in the marketplace with models in it (`pipeline.abtest.simulated`)."""

from pydantic import Field

from infra.config import Config


class LivingConfig(Config):
    """The closed loop: the marketplace with pages ranked by models (`dupn abtest simulate`)."""

    exploration: float = Field(0.05, ge=0, le=1)
    """Share of a model's pages whose candidates are dealt at random, so that its log can teach;
    the logging policy has its own noise."""
