"""DUPN-w2v (Section 6.1): item vectors that are not learnt end to end, but before and for good.

"We treat each user's behavior sequence as a sentence, and the sentences from all the user compose
the word2vec learning document": skip-gram over the histories of all users, as they are carried when
the last learnt day has ended (the last hundred behaviours before that evening, and the evening's).
A vector is e_i as a whole, so nothing of an item but who was seen beside it reaches the network; an
item that stands in no history has zeros.
"""

import importlib.util
import sys
from datetime import date

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from features import vocabulary
from features.schemas import UNKNOWN_ROW
from infra.errors import ConfigError
from infra.store import Store
from training.batch import Items, VocabularySizes
from training.config import ModelConfig
from training.model.dupn import Dupn
from training.model.embedding import rows_of

WINDOW = 5
"""Behaviours on either side that an item is learnt from."""
EPOCHS = 10
"""Passes over all histories."""


class Word2vecDupn(Dupn):
    """`Dupn` on frozen item vectors.

    Args:
        config: dimensions.
        sizes: rows of the other tables.
        vectors: (rows of the item vocabulary, E), as `pretrain` makes them.

    Raises:
        ConfigError: the vectors do not fit.
    """

    vectors: Tensor

    def __init__(self, config: ModelConfig, sizes: VocabularySizes, vectors: Tensor) -> None:
        super().__init__(config, sizes)
        if vectors.shape != (sizes.item, config.e_dim):
            raise ConfigError(
                f"item vectors are {tuple(vectors.shape)}, the network needs "
                f"{(sizes.item, config.e_dim)}. Train them on the last learnt day, {config.e_dim} "
                "dimensions each."
            )
        self.register_buffer("vectors", vectors.clone())
        for name in ("item", "brand", "category", "tag"):  # SPP asks about shops
            delattr(self.item, name)

    def item_part(self, items: Items) -> Tensor:
        """`e_UE`: the vectors, which no gradient reaches."""
        return rows_of(self.vectors, items.item_U)


def require() -> None:
    """Ask for gensim.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("gensim") is not None:
        return
    how = "Install it: pip install gensim."
    if sys.version_info >= (3, 14):
        how = (
            "It has no wheel for Python 3.14 and newer: make the environment anew with an older "
            "one (make clean; make setup PYTHON=/usr/bin/python3.13)."
        )
    raise ConfigError(f"gensim is not installed, so DUPN-w2v has no item vectors. {how}")


def pretrain(store: Store, day: date, dim: int, seed: int) -> Tensor:
    """(rows of the item vocabulary, `dim`); the same seed gives the same vectors.

    Args:
        store: with the sequences and the vocabulary of `day`.
        day: the last that is learnt from.
        dim: of a vector.
        seed: of first vectors and negatives.

    Raises:
        PartitionMissing: `sequences` or `vocabulary` has not run for that day.
        ConfigError: gensim is not installed.
    """
    require()
    from gensim.models import Word2Vec

    vectors = torch.zeros(vocabulary.size(store, day, "item"), dim)
    told = sentences(store, day)
    if not told:
        return vectors
    model = Word2Vec(
        told,
        vector_size=dim,
        window=WINDOW,
        epochs=EPOCHS,
        min_count=1,
        sg=1,
        seed=seed,
        workers=1,  # with more, the order of steps is the scheduler's
    )
    rows = np.array(model.wv.index_to_key, np.int64)
    vectors[torch.from_numpy(rows)] = torch.from_numpy(model.wv.vectors)
    return vectors


def sentences(store: Store, day: date) -> list[list[str]]:
    """Each user's history, oldest first: item rows as words; items without a row are left out."""
    history = store.partition("sequences", day, "history").require()
    table = history.table(["user_hash", "item_id"])
    if not table.num_rows:
        return []
    row = vocabulary.load(store, day, "item").rows_of(table.column("item_id"))
    known = row > UNKNOWN_ROW
    user: NDArray[np.uint64] = table.column("user_hash").to_numpy()[known]
    starts = np.flatnonzero(user[1:] != user[:-1]) + 1
    words = np.split(row[known].astype(str), starts)
    return [sentence.tolist() for sentence in words if len(sentence)]
