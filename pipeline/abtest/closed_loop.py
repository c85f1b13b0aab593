"""The marketplace lives some days with pages ranked by real rankers: the closed loop.

A day: everybody's pages are ranked by the own arm's ranker, which hears what its users do; raw
partitions are written as by any shop, with the arm on every page; then the night's stages read them
(histories of the next day need them), and whoever learns, learns. What arms of one world share is
stated with every result: `INTERFERENCE`. Twin worlds share nothing but the days before.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.marketplace import arms as splitting
from evaluation.marketplace import state
from evaluation.marketplace.arms import Arm, Split
from evaluation.marketplace.play import Carried, Marketplace, Played, play
from evaluation.marketplace.run import Writer
from features.carry import ONE_DAY
from infra.errors import ConfigError, PartitionMissing
from infra.scratch import scratch_folder
from pipeline import steps
from pipeline.abtest.contenders import Contender
from pipeline.abtest.page_rankers import Audience
from pipeline.settings import Settings
from serving import snapshot

INTERFERENCE = (
    "Arms of one world share item statistics, recall and the shop's click counters, and what they "
    "learn from is the log of all arms: a good arm teaches the other. Twin worlds do not share."
)
STATE = steps.DATA[:-1]
"""What the next day's rankers look into."""
LEFT_BEHIND = ("mlflow", "airflow", "serving", "reports", "ledger")
"""Folders of a home that a twin does not take along."""


@dataclass(frozen=True)
class World:
    """A marketplace that goes on from what its home holds.

    Args:
        settings: of the home.
        contenders: by arm.
        arm_of: number of each user's arm, in the order of `contenders`.
        read_out: whether the log is read out, which needs the events of its days.
    """

    settings: Settings
    contenders: Mapping[str, Contender]
    arm_of: NDArray[np.int8]
    read_out: bool = False

    @classmethod
    def split(
        cls,
        settings: Settings,
        contenders: Mapping[str, Contender],
        shares: Mapping[str, float],
        salt: str,
    ) -> "World":
        """Users are split by the hash that serving uses.

        Args:
            settings: of the home.
            contenders: by arm.
            shares: share of the users by arm; adds up to 1.
            salt: of the experiment.

        Raises:
            ConfigError: as `divided`.
        """
        ordered = {name: contenders[name] for name in shares}
        return cls(settings, ordered, divided(settings, shares, salt), read_out=True)

    @classmethod
    def twin(cls, settings: Settings, name: str, contender: Contender) -> "World":
        """Everybody is in one arm."""
        nobody_else = np.zeros(settings.marketplace.users, np.int8)
        return cls(settings, {name: contender}, nobody_else)

    def day(self, today: date) -> Played:
        """One day and its night."""
        played = self.live(today)
        self.night(today)
        return played

    def live(self, today: date, until: date | None = None) -> Played:
        """One day: played, and written as raw partitions; the night is somebody else's.

        Args:
            today: the day.
            until: the last of the days that are lived. Days after it must have gone on from this
                one as it is ranked now; None: nobody looks, as in a twin's home.

        Raises:
            ConfigError: they went on from other pages; nothing of the day has been written.
        """
        store = self.settings.store
        market = Marketplace.build(self.settings.marketplace, self.settings.seed)
        carried = state.restore(store, today, market)
        with scratch_folder() as scratch:
            arms = self._arms(market, carried, today, scratch / "snapshot")
            ranked = splitting.ranking(self.arm_of, arms)
            if until is not None:
                state.require_ranked(store, [today], until, ranked)
            split = Split.of(self.arm_of, arms)
            played = play(market, carried, today, split, [arm.stamp for arm in arms])
        Writer(store, today, market, ranked).write(played)
        return played

    def require_place(self, today: date, until: date) -> None:
        """Refuse now what `live` would refuse of the first day, if days may have gone on from it.

        Raises:
            ConfigError: see `live`.
        """
        store = self.settings.store
        if not state.goes_on(store, until):
            return
        market = Marketplace.build(self.settings.marketplace, self.settings.seed)
        carried = state.restore(store, today, market)
        with scratch_folder() as scratch:
            arms = self._arms(market, carried, today, scratch / "snapshot")
        state.require_ranked(store, [today], until, splitting.ranking(self.arm_of, arms))

    def night(self, today: date, *, stages: bool = True) -> None:
        """The stages that the next day needs (unless somebody else has run them), and learning."""
        learning = [one for one in self.contenders.values() if one.learns]
        wanted = STATE if stages and (self._needs_histories or self.read_out) else ()
        for stage in (*wanted, "samples") if learning and stages else wanted:
            getattr(steps, stage)(self.settings, today)
        for contender in learning:
            contender.learn(today)

    @property
    def _needs_histories(self) -> bool:
        return any(one.needs_histories for one in self.contenders.values())

    def _arms(self, market: Marketplace, carried: Carried, today: date, folder: Path) -> list[Arm]:
        """The arms of a day; `folder` holds what they look into while it is played."""
        audience = self._audience(market, carried, today, folder)
        return [one.arm(name, audience, today) for name, one in self.contenders.items()]

    def _audience(
        self, market: Marketplace, carried: Carried, today: date, folder: Path
    ) -> Audience | None:
        if not self._needs_histories:
            return None
        require_histories(self.settings, today)
        snapshot.build(self.settings.store, today - ONE_DAY, folder)
        return Audience.of(market, carried, snapshot.load(folder))


def divided(settings: Settings, shares: Mapping[str, float], salt: str) -> NDArray[np.int8]:
    """The number of each user's arm, in the order of `shares`.

    Raises:
        ConfigError: the shares do not add up to 1, or nobody is in an arm.
    """
    users = settings.marketplace.users
    arm_of = splitting.assignment(users, salt, shares)
    empty = [name for number, name in enumerate(shares) if not (arm_of == number).any()]
    if empty:
        raise ConfigError(
            f"none of {users:,} users is in arm {empty[0]}, whose share is {shares[empty[0]]:g}. "
            "Give it a larger one, or the marketplace more users (marketplace.users)."
        )
    return arm_of


def require_histories(settings: Settings, today: date) -> None:
    """See that the stages of the day before have run.

    Raises:
        PartitionMissing: there are no histories of it.
    """
    eve = today - ONE_DAY
    if not settings.store.partition("sequences", eve, "history").exists():
        raise PartitionMissing(
            f"sequences/dt={eve} are not published under {settings.home}, and {today} needs the "
            f"histories of the day before. Run the stages of {eve} first."
        )


def copy_home(settings: Settings, target: Path) -> Settings:
    """Settings of a twin home that holds the days so far; files are linked, never changed.

    Raises:
        ConfigError: the home is not on a local disk.
    """
    if not settings.store.is_local:
        raise ConfigError(f"twin worlds work on a local disk. Give --home, not {settings.home}.")
    if not target.exists():
        scratch = target.with_name(f".{target.name}.partial")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        for folder in sorted(Path(settings.home).iterdir()):
            if (
                folder.is_dir()
                and folder.name not in LEFT_BEHIND
                and not folder.name.startswith(".")
            ):
                shutil.copytree(folder, scratch / folder.name, copy_function=_linked)
        scratch.rename(target)
    return settings.model_copy(update={"home": str(target)})


def _linked(source: str, target: str) -> str:
    """A hard link where the disk allows: partitions are replaced whole, never written into."""
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
    return target
