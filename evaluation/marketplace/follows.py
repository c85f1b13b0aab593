"""Follow pages: icons shown at a session's start, followed for the same reasons as items are liked.

An icon has a style and a department. Who clicks sporty items follows sporty icons; who shops for
shoes follows icons of shoes: tasks share latent causes. Nobody remembers whom one follows: an icon
may be shown to, and followed by, somebody who follows it already, which a real log lacks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace.needs import cooled
from evaluation.marketplace.people import NEEDS, Minds, People
from evaluation.marketplace.world import World

SHOWN = 5
"""Icons on a page: a row on a phone."""
ASKED = 0.3
"""Share of sessions that open with one."""
BASE = -2.6
"""Log odds of following somebody who means nothing to one."""
STYLE, SECOND_STYLE = 2.2, 1.0
"""One's own style, and one's second: taste is what icons are about."""
DEPARTMENT = 1.2
"""An icon of a department one is shopping in, at heat one."""
TASTE_SHARE = 0.35
"""The same per lasting taste in the department."""
FAME = 0.5
"""Per unit of log fame."""


@dataclass(frozen=True)
class FollowPages:
    """What follow pages need of the world; one per block and day."""

    world: World
    everybody: People
    low: int
    day: int

    def shown(
        self, rng: np.random.Generator, minds: Minds, user: NDArray[np.int64],
        now: NDArray[np.int64],
    ) -> dict[str, NDArray[Any]]:  # fmt: skip
        """The icons shown to the users who get a page, who followed, and with what probability."""
        asked = np.flatnonzero(rng.random(len(user)) < ASKED)
        user, now = user[asked], now[asked]
        if not len(user):
            return {}
        icon = self._draw(rng, len(user))
        chance = self.chance(minds, user, now, icon)
        return {
            "user": np.repeat(user + self.low, SHOWN),
            "ts": np.repeat(now, SHOWN),
            "icon": icon.reshape(-1),
            "chance": chance.reshape(-1).astype(np.float32),
            "followed": (rng.random(icon.shape) < chance).reshape(-1),
        }

    def chance(
        self, minds: Minds, user: NDArray[np.int64], now: NDArray[np.int64],
        icon: NDArray[np.int64],
    ) -> NDArray[np.floating[Any]]:  # fmt: skip
        """(pages, SHOWN) probabilities of following."""
        world, person = self.world, user + self.low
        style, department = world.icon_style[icon], world.icon_department[icon]
        log_odds = BASE + FAME * world.icon_fame[icon]
        log_odds = log_odds + STYLE * (style == self.everybody.style[person][:, None])
        log_odds += SECOND_STYLE * (style == self.everybody.second_style[person][:, None])
        heat = cooled(minds, user, now)
        for slot in range(NEEDS):
            need = minds.need[user, slot]
            mine = np.where(need >= 0, world.category_department[need], -1)
            log_odds += DEPARTMENT * heat[:, slot, None] * (department == mine[:, None])
        tastes = world.category_department[minds.taste[user]]
        shared = (tastes[:, None, :] == department[:, :, None]).sum(axis=2)
        log_odds += TASTE_SHARE * np.minimum(shared, 3)
        return 1 / (1 + np.exp(-log_odds))

    def _draw(self, rng: np.random.Generator, pages: int) -> NDArray[np.int64]:
        """Distinct icons per page, the famous more often: evenly spaced steps of a ring."""
        count = len(self.world.icon_style)
        share = np.cumsum(np.exp(self.world.icon_fame.astype(np.float64)))
        first = np.searchsorted(share, rng.random(pages) * share[-1]).clip(max=count - 1)
        step = rng.integers(1, max(2, count // SHOWN), pages)
        return (first[:, None] + step[:, None] * np.arange(SHOWN)) % count
