"""A market at full size for `dupn bench serve`: a catalog, long histories, the paper's network."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from infra.store import Store
from pipeline.bench import day as synthetic
from pipeline.bench.day import BEFORE, Size
from pipeline.bench.samples import stage
from pipeline.steps import DATA
from serving import bundle as bundles
from serving.running import Setup
from serving.settings import ServeConfig
from training.config import ModelConfig
from training.model.dupn import Dupn
from training.sizes import vocabulary_sizes

ITEMS, USERS = 200_000, 10_000
QUICK_ITEMS, QUICK_USERS = 20_000, 200
"""Items of a quick market, too, are more than the candidates of a request."""
CANDIDATES = (200, 10_000)
NOW = "2026-03-03T12:00:00Z"
NOW_MS = 1_772_539_200_000


@dataclass(frozen=True)
class Market:
    """Where everything lies."""

    home: Path
    bundle: Path
    item_ids: list[str]
    user_ids: list[str]


def build(home: Path, *, quick: bool) -> Market:
    """Write events, catalog, statistics and histories of a day, and an untrained bundle.

    What a network answers costs the same whether it has learnt anything or not.
    """
    items, users = (QUICK_ITEMS, QUICK_USERS) if quick else (ITEMS, USERS)
    size = Size(users * 50, items)
    store = Store(home)
    synthetic.write(home, size)
    for name in DATA[:4]:
        stage(store, name, BEFORE)
    synthetic.write_history(store, size)
    torch.manual_seed(0)
    model = Dupn(ModelConfig(), vocabulary_sizes(store, BEFORE)).eval()
    bundle = home / "bundle"
    bundles.write(bundle, model, store, BEFORE, key="bench", zone="UTC")
    catalog = store.partition("catalog", BEFORE).table(["item_id"])
    rng = np.random.default_rng(0)
    known = catalog["item_id"].to_pylist()
    return Market(
        home=home,
        bundle=bundle,
        item_ids=[known[i] for i in rng.permutation(len(known))],
        user_ids=[f"u{user:07d}" for user in range(size.users)],
    )


def setup(market: Market, port: int, workers: int) -> Setup:
    """A service over the market, with its log of pages as in production."""
    return Setup(
        config=ServeConfig(port=port or 8000, workers=workers),
        home=str(market.home),
        work=str(market.home / "serving"),
        zone="UTC",
        bundle=str(market.bundle),
        run="bench",
    )
