"""What happened to an item (or shop, brand, category), as decayed counts, and the rates in them.

Rates are smoothed towards the rate of the whole market (`Overall`), because an item shown twice
and clicked once does not have a click-through rate of one half.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Floats = NDArray[np.float32]
EVIDENCE = 0.4999
"""Fewer events than one of a half-life ago say nothing. Counts fade and are never 0 again: without
a floor, all that was ever sold would stand among what is, and in time be most of it. A little under
one half: counts are rounded to float32 night by night, and one event is 0.49999997 of 14 nights."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """One float32 array per kind of event, all of one length; old events weigh less than new."""

    impressions: Floats
    """Times shown on a page."""
    page_clicks: Floats
    """Displays on logged pages that were clicked, each once a day; 0 where the log has no pages."""
    clicks: Floats
    bookmarks: Floats
    carts: Floats
    purchases: Floats
    sales: Floats
    """Sales volume: buyers a day, so that one user's ten orders on one day count once."""

    @property
    def behaviors(self) -> Floats:
        """Of any type."""
        return self.clicks + self.bookmarks + self.carts + self.purchases

    @classmethod
    def zeros(cls, length: int) -> "Counts":
        """Nothing has happened yet."""
        return cls(**{name: np.zeros(length, np.float32) for name in COUNTED})

    def take(self, rows: NDArray[np.integer]) -> "Counts":
        """The counts at `rows`; zeros for rows beyond the end."""
        length = len(self.clicks)
        at = np.minimum(rows, length)
        return Counts(
            **{name: np.append(getattr(self, name), np.float32(0))[at] for name in COUNTED}
        )

    def summed(self, groups: NDArray[np.integer], length: int) -> "Counts":
        """Sums by group; `groups` holds a group number below `length` per entry."""
        return Counts(
            **{
                name: np.bincount(groups, getattr(self, name), length).astype(np.float32)
                for name in COUNTED
            }
        )

    def arrays(self) -> dict[str, pa.Array]:
        """Columns for a table."""
        return {name: pa.array(getattr(self, name)) for name in COUNTED}


COUNTED = tuple(field.name for field in fields(Counts))
"""Column names, in order."""

COUNT_FIELDS = [(name, pa.float32()) for name in COUNTED]


def of_table(table: pa.Table) -> Counts:
    """The counts that stand in the columns of a table."""
    return Counts(**{name: table.column(name).to_numpy().astype(np.float32) for name in COUNTED})


@dataclass(frozen=True, kw_only=True)
class Overall:
    """The whole market: the rates that smoothing leans on, and edges of deciles."""

    ctr: float = 0.0
    cvr: float = 0.0
    prior_impressions: float = 20.0
    prior_clicks: float = 20.0
    edges: Mapping[str, NDArray[np.float64]] | None = None
    """Nine inner decile edges per tag statistic, over items with evidence."""

    def click_through(self, counts: Counts) -> Floats:
        """Clicks a display, smoothed; never over 1."""
        shown = counts.impressions + self.prior_impressions
        rate = (counts.page_clicks + self.ctr * self.prior_impressions) / shown
        return np.minimum(rate, 1).astype(np.float32)

    def conversion(self, counts: Counts) -> Floats:
        """Purchases a click, smoothed; never over 1."""
        clicked = counts.clicks + self.prior_clicks
        rate = (counts.purchases + self.cvr * self.prior_clicks) / clicked
        return np.minimum(rate, 1).astype(np.float32)
