"""What the network knows of every item, computed once a bundle: the item half of the network.

Section 7, "network disassembly": an item's vector e_i and its share W_i e_i of the CTR head's first
layer are the same for every user, so they are read from a table. The table is one file, row by
catalog row, memory-mapped: processes share its pages, and only rows that are asked for are read.
Its size grows with the catalog: 1 KB an item at the paper's dimensions.
"""

import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from features.catalog import FIRST_ROW, CatalogArrays
from infra.errors import PartitionCorrupt
from training.batch import Items, VocabularySizes
from training.collate import known
from training.model.dupn import Dupn

FILE = "items.npy"
AT_ONCE = 65_536
"""Items computed at a time: bounds the memory of a build."""


@dataclass(frozen=True)
class ItemTable:
    """`rows[i]` = [W_i e_i, e_i] of catalog row i."""

    rows: NDArray[np.float32]
    hidden_dim: int
    """Of the CTR head's first layer."""
    _scratch: threading.local = field(default_factory=threading.local)

    def of(self, catalog_rows: NDArray[np.int32]) -> tuple[torch.Tensor, torch.Tensor]:
        """(W_i e_i, e_i) of some items; an item that the table has not is the unknown one.

        Valid until this thread's next call: the memory is used again, since fresh pages for ten
        thousand items cost more than the copy.
        """
        count = len(catalog_rows)
        room: NDArray[np.float32] | None = getattr(self._scratch, "room", None)
        if room is None or len(room) < count:
            room = np.empty((count, self.rows.shape[1]), np.float32)
            self._scratch.room = room
        places = known(catalog_rows, len(self.rows))
        np.take(self.rows, places, axis=0, out=room[:count], mode="clip")
        found = torch.from_numpy(room[:count])
        return found[:, : self.hidden_dim], found[:, self.hidden_dim :]


def build(model: Dupn, catalog: CatalogArrays, file: Path) -> None:
    """Write the table of a catalog."""
    hidden_dim = model.ctr.first_of_other.out_features
    width = hidden_dim + model.config.e_dim
    table = np.lib.format.open_memmap(
        file, mode="w+", dtype=np.float32, shape=(catalog.num_rows, width)
    )
    with torch.inference_mode():
        for start in range(0, catalog.num_rows, AT_ONCE):  # blocks of items
            block = slice(start, start + AT_ONCE)
            e_UE = model.item_part(vocabulary_rows(catalog, model.sizes, block)).float()
            table[block, :hidden_dim] = model.ctr.first_of_other(e_UE).numpy()
            table[block, hidden_dim:] = e_UE.numpy()
    table[: FIRST_ROW - 1] = 0  # padding
    table.flush()


def load(model: Dupn, file: Path) -> ItemTable:
    """The table, memory-mapped.

    Raises:
        PartitionCorrupt: it is absent, or of another network.
    """
    hidden_dim = model.ctr.first_of_other.out_features
    if not file.exists():
        raise PartitionCorrupt(f"{file} is absent. Run `dupn bundle` again.")
    rows = np.load(file, mmap_mode="r")
    width = hidden_dim + model.config.e_dim
    if rows.shape[1] != width:
        raise PartitionCorrupt(
            f"{file} has rows of {rows.shape[1]} numbers, this network needs {width}. "
            "Run `dupn bundle` again."
        )
    return ItemTable(rows, hidden_dim)


def vocabulary_rows(
    catalog: CatalogArrays, sizes: VocabularySizes, catalog_rows: NDArray[np.int32] | slice
) -> Items:
    """What the embedding tables are asked for, for some items of a catalog."""

    def rows(name: str) -> torch.Tensor:
        mine = getattr(catalog, name)[catalog_rows]
        return torch.from_numpy(known(mine, getattr(sizes, name)).astype(np.int64))

    tags = known(catalog.tags[catalog_rows], sizes.tag).astype(np.int64)
    return Items(
        item_U=rows("item"),
        brand_U=rows("brand"),
        shop_U=rows("shop"),
        category_U=rows("category"),
        tags_UG=torch.from_numpy(tags),
        price_U=torch.from_numpy(catalog.price_level[catalog_rows].astype(np.int64)),
    )
