"""A ranked request before it becomes JSON or Arrow, and what of it is logged if a user sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.exposures import Exposure
from serving.http_contracts import Asking
from serving.ranker import Floats, Ranked
from serving.served import Answered, Served


@dataclass(frozen=True)
class Chosen:
    """The version that answers a user, and the arm that it answers as."""

    served: Served
    variant: str


@dataclass(frozen=True)
class Page:
    """A ranked request."""

    request_id: str
    chosen: Chosen
    ts: int
    """The moment that was answered, in UTC milliseconds."""
    rows: NDArray[np.int32]
    """Catalog rows of the candidates."""
    order: NDArray[np.int64]
    """Positions of the best candidates, best first."""
    answered: Answered
    unknown: int
    """Candidates that the version's catalog has not."""

    @property
    def ranked(self) -> Ranked:
        """Scores in the order of the candidates."""
        return self.answered.ranked

    @property
    def ctr(self) -> list[float]:
        """Click probabilities, best item first."""
        return self._shown(self.ranked.ctr)

    @property
    def l2r(self) -> list[float]:
        """Scores, best item first."""
        return self._shown(self.ranked.l2r)

    @property
    def price_preference(self) -> list[float]:
        """Probabilities of the price levels, cheapest first."""
        found: list[float] = self.answered.heard.price_preference.astype(float).tolist()
        return found

    def _shown(self, scores: Floats) -> list[float]:
        found: list[float] = scores[self.order].astype(float).tolist()
        return found


def exposure(asking: Asking, page: Page, item_ids: Sequence[str], latency_ms: float) -> Exposure:
    """A page as it is logged.

    Args:
        asking: who asked.
        page: what was answered.
        item_ids: of the page, in the caller's words, best first.
        latency_ms: from when the request came in.
    """
    name = page.chosen.served.name
    return Exposure(
        request_id=page.request_id,
        user_id=asking.user_id,
        ts=page.ts,
        scenario=asking.scenario,
        query=asking.query,
        item_ids=item_ids,
        variant=page.chosen.variant,
        model_version=name.version,
        line=name.line,
        ctr=page.ctr,
        l2r=page.l2r,
        price_level=int(page.answered.heard.price_preference.argmax()) + 1,
        latency_ms=round(latency_ms, 3),
    )
