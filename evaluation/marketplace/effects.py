"""What a day's pages earned: as expectations under the truth, and as it happened.

The expectation of a page, given who sees it and what it shows: the chance of a look at the place
where an item stands, times that of a click, times that of a purchase. A sum of expected orders, or
sales, has far less noise than one of those that happened, so two worlds that differ in nothing but
the ranking can be told apart where an experiment of the same size could not. Of clicks, and CTR, it
has not less: what was clicked decides by chance what everybody sees and wants next, and what that
is expected to earn moves along. Purchases from the cart page name no page and count in neither
column.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace import choice
from evaluation.marketplace.day import BUY, CLICK, DayLog
from evaluation.marketplace.policies import WIDEST
from evaluation.marketplace.world import Items

Totals = NDArray[np.float64]
LEVELS = 8
"""Price levels 1..7; 0: not known, or not said."""
NAMES = ("pages", "shown", "clicks", "orders", "sales", "clicked", "ordered", "sold")
"""Columns of `by_user`: pages and items shown; clicks, orders and sales (price of what is bought)
as expected; the same three as they happened."""


@dataclass
class Effects:
    """Sums over a day, logged pages or not."""

    by_user: dict[str, Totals]
    """Per user number, by name."""
    bought: NDArray[np.float64]
    """(arms, said level, level bought): expected orders; zero for an arm that says no levels."""

    @classmethod
    def none(cls, users: int, arms: int = 1) -> "Effects":
        """Of nothing yet."""
        return cls({name: np.zeros(users) for name in NAMES}, np.zeros((arms, LEVELS, LEVELS)))

    def add(self, log: DayLog, items: Items) -> None:
        """The pages and actions of one block."""
        pages, actions = DayLog.columns(log.pages), DayLog.columns(log.actions)
        shown = np.arange(WIDEST) < pages["size"][:, None]
        click = pages["click"] * choice.look(WIDEST) * shown
        order = click * pages["buy"]
        expected = {
            "pages": np.ones(len(shown)),
            "shown": shown.sum(axis=1),
            "clicks": click.sum(axis=1),
            "orders": order.sum(axis=1),
            "sales": (order * items.price[pages["item"]]).sum(axis=1),
        }
        for name, values in expected.items():
            self._sum(name, pages["user"], values)
        if "level" in pages:
            arm = pages.get("arm", np.zeros(len(shown), np.int8)).astype(np.int64)
            cell = ((arm * LEVELS + pages["price_level"]) * LEVELS)[:, None] + pages["level"]
            counted = np.bincount(cell.ravel(), order.ravel(), minlength=self.bought.size)
            self.bought += counted.reshape(self.bought.shape)
        on_page = actions["page"] >= 0
        for name, kind in (("clicked", CLICK), ("ordered", BUY)):
            mine = on_page & (actions["type"] == kind)
            self._sum(name, actions["user"][mine], np.ones(int(mine.sum())))
        self._sum("sold", actions["user"][mine], items.price[actions["item"][mine]])

    def _sum(self, name: str, user: NDArray[np.int64], values: NDArray[np.generic]) -> None:
        total = self.by_user[name]
        total += np.bincount(user, values, minlength=len(total))
