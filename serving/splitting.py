"""How users are split between arms: as the experiment that runs declares, else by the settings.

A new split is announced first (`look`), so that the versions of its arms can be loaded, and takes
over whole once all of them answer (`settle`). Where an arm of the settings has no version, the
champion answers its users and its pages say so (`Service.choose`): a page never says one arm and is
answered by another, and a page of the champion's counts for no experiment, whose arms are lines. So
an experiment that has ended gives its users back as soon as the champion answers.
"""

import logging
from collections.abc import Callable, Collection, Iterator
from datetime import date

import pyarrow as pa

from features.abtest import assignment, traffic
from features.abtest.traffic import Traffic
from infra.store import Store
from serving.settings import ServeConfig
from serving.versions import CHAMPION

logger = logging.getLogger(__name__)


class Splitting:
    """Of one process; iterating gives the arms that are wanted next.

    Args:
        config: the split without an experiment.
        store: where experiments are looked for; None: nowhere.
        today: the day that pages are of now; None: later than every experiment's first.
    """

    def __init__(
        self,
        config: ServeConfig,
        store: Store | None = None,
        today: Callable[[], date] | None = None,
    ) -> None:
        self._today = today
        self._usual = Traffic(experiment="", salt=config.salt, shares=config.shares)
        self._store = store if config.experiments else None
        self.now = self.coming = self._usual

    def __iter__(self) -> Iterator[str]:
        return iter(self.coming.shares)

    def look(self) -> None:
        """Ask the store which experiment runs; while that cannot be read, nothing is announced.

        Versions that come in, and a rollback, do not wait for it.
        """
        if self._store is None:
            return
        try:
            self.coming = self._begun(traffic.running(self._store)) or self._usual
        except Exception as error:  # each store's client has its own
            logger.warning(
                "which experiment runs could not be read under %s (%s: %s): users are split as "
                "before. See to the files there.",
                self._store.address(traffic.FOLDER), type(error).__name__, error,
            )  # fmt: skip

    def _begun(self, running: Traffic | None) -> Traffic | None:
        """It, from its first day on: before that, arms that differ would spoil its pre-period."""
        if running is None or running.first_day is None or self._today is None:
            return running
        return running if running.first_day <= self._today() else None

    def settle(self, answering: Collection[str]) -> bool:
        """Take the announced split over if all of its users are answered; whether it changed.

        Those of an experiment only by their own arms, others by the champion as well. While the
        arms of the next experiment are awaited, nobody is split by one that has ended.
        """
        usual = CHAMPION in answering or set(self._usual.shares) <= set(answering)
        whole = usual if self.coming == self._usual else set(self.coming.shares) <= set(answering)
        ended = self.now.experiment not in ("", self.coming.experiment)
        following = self.coming if whole else self._usual if ended and usual else self.now
        if following == self.now:
            return False
        self.now = following
        logger.info(
            "users are split by %s: %s",
            self.now.experiment or "the settings",
            ", ".join(f"{arm} {share:.0%}" for arm, share in self.now.shares.items()),
        )
        return True

    def variant(self, user_id: str) -> str:
        """The arm of a user, by the stable hash of user and salt."""
        split = self.now
        if len(split.shares) == 1:
            return next(iter(split.shares))
        return str(assignment.arms(pa.array([user_id]), split.salt, split.shares)[0])
