"""What a model answered: its scores beside the questions, in the same order.

`predict` asks a model through the training reader, in the order of `samples`; the labels that come
back with its batches must equal those of the questions, so a reader that dropped or reordered a
row is caught instead of scored. Small enough to keep: saved as a partition under `reports/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from evaluation.metrics import AnyArray
from evaluation.questions import Candidates, Icons, Moments, Prices, Questions, Shops
from infra.errors import TrainingError
from infra.store import FileEntry, Partition

BLOCKS = {
    "moments": Moments,
    "candidates": Candidates,
    "prices": Prices,
    "icons": Icons,
    "shops": Shops,
}


@dataclass(frozen=True)
class Answers:
    """A model's scores, each aligned with its block of questions."""

    ctr: NDArray[np.float32]  # probability of a click, per candidate
    l2r: NDArray[np.float32]  # score of equation (9), per candidate
    ppp: NDArray[np.float32]  # probabilities of the price levels (questions x 7)
    fifp: NDArray[np.float32]  # probability of a follow, per icon
    spp: NDArray[np.float32]  # probability that the shop is preferred, per shop


PLACES = {
    "ctr": "candidates",
    "l2r": "candidates",
    "ppp": "prices",
    "fifp": "icons",
    "spp": "shops",
}
"""Which block of questions each answer belongs to."""


@dataclass(frozen=True)
class Predictions:
    """Questions of a day and one model's answers."""

    questions: Questions
    answers: Answers
    lineage: Mapping[str, Any] = field(default_factory=dict)
    """Which model, which day, what was shuffled."""

    def __post_init__(self) -> None:
        for name, place in PLACES.items():
            asked = len(getattr(self.questions, place).moment)
            given = len(getattr(self.answers, name))
            if asked != given:
                raise TrainingError(
                    f"the model answered {given:,} of {asked:,} {name} questions. The samples "
                    "changed while they were read: run `dupn evaluate` again."
                )

    def select(self, keep: NDArray[np.bool_]) -> "Predictions":
        """Only the moments in `keep` (a mask over moments), users and moments numbered anew."""
        asked, answers = self.questions, {}
        old = np.flatnonzero(keep)
        number = np.cumsum(keep) - 1
        blocks: dict[str, Any] = {"moments": _take(asked.moments, old)}
        _, user = np.unique(blocks["moments"].user, return_inverse=True)
        blocks["moments"] = replace(blocks["moments"], user=user.astype(np.int64))
        for place in dict.fromkeys(PLACES.values()):
            block = getattr(asked, place)
            rows = np.flatnonzero(keep[block.moment])
            taken = _take(block, rows)
            blocks[place] = replace(taken, moment=number[taken.moment].astype(np.int64))
            for name in (name for name, where in PLACES.items() if where == place):
                answers[name] = getattr(self.answers, name)[rows]
        return Predictions(Questions(**blocks), Answers(**answers), self.lineage)


def save(predictions: Predictions, partition: Partition) -> None:
    """Publish as a partition: one small Parquet file a block."""
    with partition.publish(**predictions.lineage) as out:
        entries: list[FileEntry] = []
        for place, kind in BLOCKS.items():
            block = getattr(predictions.questions, place)
            columns = {f.name: pa.array(getattr(block, f.name)) for f in fields(kind)}
            for name in (name for name, where in PLACES.items() if where == place):
                columns[f"answer_{name}"] = _to_arrow(getattr(predictions.answers, name))
            entries.append(out.write_table(place, pa.table(columns)))
        out.record(entries)


def load(partition: Partition) -> Predictions:
    """What `save` published."""
    manifest = partition.manifest()
    blocks, answers = {}, {}
    for place, kind in BLOCKS.items():
        entry = next(e for e in manifest.files if e.name.startswith(f"{place}-"))
        table = partition.table(entries=[entry]).combine_chunks()
        blocks[place] = kind(**{f.name: table[f.name].to_numpy() for f in fields(kind)})
        for name in (name for name, where in PLACES.items() if where == place):
            answers[name] = _from_arrow(table[f"answer_{name}"])
    return Predictions(Questions(**blocks), Answers(**answers), manifest.lineage)


def _take(block: Any, rows: NDArray[np.int64]) -> Any:
    return replace(block, **{f.name: getattr(block, f.name)[rows] for f in fields(block)})


def _to_arrow(values: AnyArray) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


def _from_arrow(column: pa.ChunkedArray) -> AnyArray:
    if pa.types.is_fixed_size_list(column.type):
        flat = column.combine_chunks().flatten().to_numpy()
        return flat.reshape(-1, column.type.list_size)
    return column.to_numpy()
