"""The simulated marketplace: the only place where the truth is known."""

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.marketplace.run import simulate

__all__ = ["MarketplaceConfig", "simulate"]
