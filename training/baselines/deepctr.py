"""DIN and DIEN of DeepCTR-Torch (extra `bench`): over any tables, and on our batches for the bench.

On our batches, one row a candidate: items have our features and dimensions (item 32, brand 24, shop
24, category 16, tag 28), but one tag instead of a pooled set and no behaviour properties, which is
less work than ours. Embedding tables keep their dense gradients, so a bench must use small
vocabularies to be fair to them.
"""

import importlib.util
import sys
from collections.abc import Mapping
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn

from infra.errors import ConfigError
from training.batch import Batch, VocabularySizes
from training.config import ModelConfig

Kind = Literal["din", "dien"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NAMES = ("item", "brand", "shop", "category", "tag")


class Table(NamedTuple):
    """What a feature of candidates and of behaviours is embedded by."""

    rows: int
    dim: int


def build(kind: Kind, config: ModelConfig, sizes: VocabularySizes, length: int) -> nn.Module:
    """The model with our item features and dimensions, and the defaults of its package otherwise.

    Args:
        kind: which.
        config: dimensions of the features.
        sizes: of the tables.
        length: behaviours of a row.
    """
    dims = {name: getattr(config, f"{name}_dim") for name in NAMES}
    tables = {name: Table(getattr(sizes, name), dim) for name, dim in dims.items()}
    return over(kind, tables, length)


def over(
    kind: Kind, tables: Mapping[str, Table], length: int, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """The model over some features, at the defaults of its package otherwise.

    Args:
        kind: which.
        tables: by feature; candidates and behaviours have the same.
        length: behaviours of a row.
        options: arguments of the package's class that are not its defaults.
    """
    package = _package()
    from deepctr_torch.inputs import SparseFeat, VarLenSparseFeat

    columns: list[Any] = []
    for name, (rows, dim) in tables.items():
        columns.append(SparseFeat(name, rows, embedding_dim=dim))
        history = SparseFeat(f"hist_{name}", rows, embedding_dim=dim, embedding_name=name)
        columns.append(VarLenSparseFeat(history, maxlen=length, length_name="length"))
    built: nn.Module = getattr(package, kind.upper())(columns, list(tables), **(options or {}))
    return built


def rows(model: nn.Module, batch: Batch, count: int) -> Tensor:
    """The batch's first `count` candidates as the model's input matrix, one row each."""
    items = batch.items
    of = {
        "item": items.item_U,
        "brand": items.brand_U,
        "shop": items.shop_U,
        "category": items.category_U,
        "tag": items.tags_UG[:, 0],
    }
    moment_C, cand_C = batch.cand_moment_C[:count], batch.cand_C[:count]
    named = {name: of[name][cand_C][:, None] for name in NAMES}
    named |= {f"hist_{name}": of[name][batch.seq_BT[moment_C]] for name in NAMES}
    named["length"] = batch.length_B[moment_C][:, None]
    index: dict[str, Any] = model.feature_index  # type: ignore[assignment]  # a plain attribute
    return torch.from_numpy(np.concatenate([named[name].numpy() for name in index], axis=1)).float()


def _package() -> ModuleType:
    """`deepctr_torch.models` without the package's own start, which asks the internet for news."""
    if "deepctr_torch" not in sys.modules:
        sys.modules["deepctr_torch"] = importlib.util.module_from_spec(require())
    return importlib.import_module("deepctr_torch.models")


def require() -> ModuleSpec:
    """Where deepctr-torch lies.

    Raises:
        ConfigError: it is not installed.
    """
    found = importlib.util.find_spec("deepctr_torch")
    if found is None:
        raise ConfigError(
            "deepctr-torch is not installed, so there is nothing to measure against. "
            "Install it: pip install deepctr-torch (in a checkout: pip install -e '.[bench]')."
        )
    return found
