"""Whether samples say what is on offer to a network that listens (docs/adr/0022).

A day without it is read as a day on which nothing is known to be on offer, which is no error: such
days were published before. That nobody hears of it would be one.
"""

import logging
from collections.abc import Sequence
from datetime import date

from infra.errors import TrainingError
from infra.store import Store
from training.config import ModelConfig
from training.model.network import Network

logger = logging.getLogger(__name__)


def require(store: Store, days: Sequence[date], config: ModelConfig) -> None:
    """Warn of days without offers, if the network listens.

    Raises:
        PartitionMissing: a day has no samples published.
        TrainingError: none of the days has them.
    """
    without = _silent(store, days, config)
    if without and len(without) == len(days):
        raise TrainingError(
            f"no samples of {_named(without)} say what is on offer, to which model.price_offers "
            "listens. Run `dupn samples` for these days again with samples.price_offers = true, or "
            "set model.price_offers = false."
        )
    _tell(without)


def warn(store: Store, days: Sequence[date], network: Network) -> None:
    """Warn of days without offers that a network is asked about, if it listens."""
    config = getattr(network, "config", None)
    if isinstance(config, ModelConfig):
        _tell(_silent(store, days, config))


def _silent(store: Store, days: Sequence[date], config: ModelConfig) -> list[date]:
    if not config.price_offers:
        return []
    lineages = ((day, store.partition("samples", day).manifest().lineage) for day in days)
    return [day for day, lineage in lineages if not lineage.get("price_offers")]


def _tell(without: Sequence[date]) -> None:
    if without:
        logger.warning(
            "samples of %s do not say what is on offer: their price levels are answered without. "
            "Run `dupn samples` for them again with samples.price_offers = true",
            _named(without),
        )


def _named(days: Sequence[date]) -> str:
    return ", ".join(day.isoformat() for day in days)
