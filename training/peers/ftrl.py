"""FTRL-Proximal for sparse logistic regression, a batch at a time (McMahan, the paper's [19]).

Every coordinate keeps z, the sum of its gradients less the pull towards where it has been, and n,
the sum of their squares; the weight follows from both in closed form, and is exactly zero while
|z| stays under l1. Examples are rows of coordinate numbers with value one (hashed features), so a
batch is a gather, a sum and one count by the coordinates that it has, never a loop over rows.
"""

import io

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from training.peers.config import FtrlConfig

Doubles = NDArray[np.float64]
ABSENT = 0
"""The coordinate of "no feature here": its weight is zero and is never learnt."""


class Ftrl:
    """Weights of a logistic regression.

    Args:
        config: of the learning.
        z: by coordinate, `ABSENT` included.
        n: the same.
    """

    def __init__(self, config: FtrlConfig, z: Doubles, n: Doubles) -> None:
        self.config = config
        self.z, self.n = z, n
        self.weights = self._weights(slice(None))

    @classmethod
    def new(cls, coordinates: int, config: FtrlConfig) -> "Ftrl":
        """Nothing learnt yet."""
        return cls(config, np.zeros(coordinates), np.zeros(coordinates))

    def logits(self, rows: NDArray[np.int32]) -> Doubles:
        """Sum of the weights of each row's coordinates.

        Args:
            rows: (..., features) coordinate numbers, `ABSENT` where there is none.
        """
        return self.weights.take(rows).sum(axis=-1)

    def learn(
        self, rows: NDArray[np.int32], label: Doubles, weight: Doubles | None = None
    ) -> float:
        """One step on a batch; its mean log loss before the step.

        Args:
            rows: as for `logits`.
            label: 0 or 1.
            weight: of each example; 1 where absent.
        """
        logit = self.logits(rows)
        error = 1 / (1 + np.exp(-logit)) - label
        loss = float(np.logaddexp(0, np.where(label > 0, -logit, logit)).mean())
        self.move(rows, error if weight is None else error * weight)
        return loss

    def move(self, rows: NDArray[np.int32], error: Doubles) -> None:
        """One step by what the loss says of each logit.

        Args:
            rows: as for `logits`; (..., features).
            error: (...): derivative of an example's own loss by its logit. Of a mean over
                examples it is that times their number: the algorithm adds examples up.
        """
        each = np.broadcast_to(error[..., None], rows.shape)
        coded = pa.array(rows.ravel()).dictionary_encode()  # by hashing: a step costs its batch
        met = coded.dictionary.to_numpy()
        g = np.bincount(coded.indices.to_numpy(), each.ravel(), minlength=len(met))
        met, g = met[met != ABSENT], g[met != ABSENT]
        n = self.n[met]
        sigma = (np.sqrt(n + g * g) - np.sqrt(n)) / self.config.alpha
        self.z[met] += g - sigma * self.weights[met]
        self.n[met] = n + g * g
        self.weights[met] = self._weights(met)

    def saved(self) -> bytes:
        """All that is learnt."""
        sink = io.BytesIO()
        np.savez_compressed(sink, z=self.z, n=self.n)
        return sink.getvalue()

    @classmethod
    def load(cls, archive: bytes, config: FtrlConfig) -> "Ftrl":
        """What `saved` wrote."""
        with np.load(io.BytesIO(archive)) as arrays:
            return cls(config, arrays["z"], arrays["n"])

    def _weights(self, which: NDArray[np.int32] | slice) -> Doubles:
        config, z = self.config, self.z[which]
        size = np.maximum(np.abs(z) - config.l1, 0)
        own = (config.beta + np.sqrt(self.n[which])) / config.alpha + config.l2
        return -np.sign(z) * size / own
