"""What the service runs today, for `dupn bench runtime`: also with smaller item tables.

The user part is the session that `Ranker.hear` calls; the item part is `serving.pairs.Pairs`, block
by block. Reading ten thousand rows of a kilobyte is most of the item part, so a table of half
or a quarter of the bytes is measured as well: rows are widened to fp32 in the block.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from features.schemas import PROPERTIES
from pipeline.bench.runtime_kinds import Build, Call, Load
from pipeline.bench.runtime_parts import Inputs
from serving import user_graph, user_part
from serving.items import ItemTable
from serving.pairs import Pairs
from serving.user_part import OnnxPart
from training.model.dupn import Dupn
from training.model.heads import MomentPart


class Bf16Table(ItemTable):
    """The item table in bf16."""

    def of(self, catalog_rows: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        """As `ItemTable.of`."""
        found = self._small.index_select(0, torch.from_numpy(catalog_rows)).float()
        return found[:, : self.hidden_dim], found[:, self.hidden_dim :]

    @property
    def _small(self) -> Tensor:
        if not hasattr(self._scratch, "small"):
            self._scratch.small = self.smaller()
        small: Tensor = self._scratch.small
        return small

    def smaller(self) -> Tensor:
        """The rows as they are kept."""
        return torch.from_numpy(self.rows).bfloat16()


class Int8Table(Bf16Table):
    """The item table in int8, with one scale a column."""

    def of(self, catalog_rows: NDArray[np.int32]) -> tuple[Tensor, Tensor]:
        """As `ItemTable.of`."""
        known_CD, e_CE = super().of(catalog_rows)
        scale = self._scratch.scale
        return known_CD * scale[: self.hidden_dim], e_CE * scale[self.hidden_dim :]

    def smaller(self) -> Tensor:
        """See `Bf16Table`."""
        rows = torch.from_numpy(self.rows)
        scale = (rows.abs().amax(dim=0) / 127).clamp(min=1e-12)
        self._scratch.scale = scale
        return torch.round(rows / scale).to(torch.int8)


TABLES = {"fp32": ItemTable, "bf16": Bf16Table, "int8": Int8Table}


def item_kinds(model: Dupn, table: NDArray[np.float32]) -> Mapping[tuple[str, str], Build]:
    """`Pairs` over each of the tables."""

    def of(kind: type[ItemTable]) -> Build:
        def build(module: nn.Module, example: Inputs, file: Path) -> Load:
            del module, example, file

            def load(threads: int) -> Call:
                torch.set_num_threads(threads)
                pairs = Pairs(model, kind(table, model.ctr.first_of_other.out_features))

                def call(inputs: Inputs) -> Tensor:
                    _, rows_C, hidden_1D, match_1E = inputs
                    part = MomentPart(hidden_1D, match_1E)
                    return pairs.ctr(part, rows_C.numpy().astype(np.int32))

                return call

            return load

        return build

    return {("served", precision): of(kind) for precision, kind in TABLES.items()}


def user_kinds(model: Dupn) -> Mapping[tuple[str, str], Build]:
    """The session that answers moments."""

    def build(module: nn.Module, example: Inputs, file: Path) -> Load:
        del module, example
        user_graph.build(model, file)

        def load(threads: int) -> Call:
            part = OnnxPart(model, file, threads)

            def call(inputs: Inputs) -> Tensor:
                return torch.from_numpy(part.hear(_inputs(inputs)).representation)[None]

            return call

        return load

    return {("served", "fp32"): build}


def _inputs(inputs: Inputs) -> user_part.Inputs:
    """Without the padding, as `Ranker.hear` makes it."""
    e_1TE, columns_51T, length_1, words_1Q, profile_1P = inputs
    length = int(length_1)
    columns = zip(PROPERTIES, columns_51T[:, 0, :length].numpy(), strict=True)
    return user_part.Inputs(
        e_TE=e_1TE[0, :length].numpy(),
        price_T=np.zeros(length, np.int8),
        properties={name: column.astype(np.int8) for name, column in columns},
        words_Q=words_1Q[0].numpy().astype(np.int32),
        profile_P=profile_1P[0].numpy(),
    )
