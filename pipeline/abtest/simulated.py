"""`dupn abtest simulate`: the marketplace lives some days with users split between arms.

Effects are said twice: estimated by the experiment's own statistics from the log of the split
world, and, in twin worlds (everybody in one arm), as expectations under the truth. The two answer
different questions where arms interfere, and the result says in what they share.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from evaluation import filed
from evaluation.marketplace import own, state
from evaluation.marketplace.play import Marketplace
from evaluation.results import finite
from evaluation.studies import uplift
from evaluation.studies.uplift import Lived
from features.abtest import traffic as turns
from features.abtest.traffic import Traffic
from features.carry import ONE_DAY
from infra.errors import ConfigError
from infra.progress import Progress, track
from infra.scratch import scratch_folder
from pipeline import chain
from pipeline.abtest import arm_sources, closed_loop, estimating
from pipeline.abtest.closed_loop import INTERFERENCE, World
from pipeline.days import span
from pipeline.settings import Settings

MEASURES = ("ctr", "sales", "orders", "price_precision")
SPLIT = "split"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is to be lived."""

    days: int
    first: date | None = None
    """The day after the newest with histories, if absent."""
    arms: Mapping[str, str]
    """Arm -> source (`arm_sources`); the first is the control."""
    shares: Mapping[str, float]
    salt: str
    nightly: bool = False
    """Whether every night is that of the setting `line`, release and all."""
    twins: bool = False
    """Whether the twin worlds live, too."""


def running(settings: Settings) -> Mapping[str, Any]:
    """Arms, shares and salt of the experiment that runs; else the policy against the champion."""
    found = turns.running(settings.store)
    if found is None:
        arms = {"policy": "policy", "champion": "champion"}
        return {"arms": arms, "shares": dict.fromkeys(arms, 0.5), "salt": "simulated"}
    arms = {line: f"line:{line}" for line in found.shares}
    return {"arms": arms, "shares": found.shares, "salt": found.salt}


def run(settings: Settings, wanted: Wanted) -> Mapping[str, Any]:
    """Live the days; the effects, also under `reports/abtest/simulated/`.

    Raises:
        ConfigError: the log is not the marketplace's or another marketplace's, an arm has no
            source, there are not two arms that somebody sees, or other arms ranked the first of
            days that a later one went on from (those after it are told when they are reached).
        InputError: raw data of the days, or of the day before, is somebody else's.
        PartitionMissing: there are no histories of the day before the first.

    All of them before anybody lives, which takes minutes.
    """
    if settings.dataset != "marketplace":
        raise ConfigError(
            f"data set {settings.dataset} is a log of the past: nobody can live on in it. "
            "`dupn abtest simulate` needs the marketplace."
        )
    if len(wanted.arms) < 2 or min(wanted.shares.values()) <= 0:
        raise ConfigError(
            "an effect is that of one arm over another. Give two arms or more (--arm NAME=SOURCE), "
            "each with a share above 0."
        )
    closed_loop.divided(settings, wanted.shares, wanted.salt)
    first = wanted.first or _next(settings)
    days = span(first, wanted.days)
    own.require_own(settings.store, [first - ONE_DAY, *days])
    market = Marketplace.build(settings.marketplace, settings.seed)
    state.require_place(settings.store, days, market)
    closed_loop.require_histories(settings, first)
    worlds = 1 + (len(wanted.arms) if wanted.twins else 0)
    with (
        scratch_folder() as scratch,
        track("days", total=worlds * len(days), unit="days") as progress,
    ):
        made = _Simulated(settings, wanted, days, scratch, progress)
        made.require_place()
        twins = made.twins() if wanted.twins else []
        split = made.split()
    content = _content(settings, wanted, days, [*split, *twins])
    name = f"{days[0]}-{days[-1]}.json"
    address = settings.store.put(
        f"{filed.EXPERIMENTS}/simulated/{name}", json.dumps(content, indent=1)
    )
    return {**content, "report": address}


class _Simulated:
    """The worlds of one command."""

    def __init__(
        self, settings: Settings, wanted: Wanted, days: list[date], work: Path, progress: Progress
    ) -> None:
        self.settings, self.wanted, self.days = settings, wanted, days
        self.work, self.progress = work, progress
        self.contenders = {  # a source that there is not is refused before anybody lives
            name: arm_sources.contender(settings, source, work / "sources" / name)
            for name, source in wanted.arms.items()
        }

    def twins(self) -> list[Lived]:
        """Everybody in one arm: before the split world, since twins begin where it does."""
        found: list[Lived] = []
        for name, contender in self.contenders.items():
            home = closed_loop.copy_home(self.settings, self.work / "twins" / name)
            world = World.twin(home, name, contender)
            found += self._lived(world, name, nightly=False)
        return found

    def require_place(self) -> None:
        """Refuse days that a later one could not have gone on from; twins are thrown away."""
        self._divided().require_place(self.days[0], self.days[-1])

    def split(self) -> list[Lived]:
        """The users in their arms, in the home itself."""
        until = self.days[-1]
        return self._lived(self._divided(), SPLIT, nightly=self.wanted.nightly, until=until)

    def _divided(self) -> World:
        wanted = self.wanted
        return World.split(self.settings, self.contenders, wanted.shares, wanted.salt)

    def _lived(
        self, world: World, name: str, *, nightly: bool, until: date | None = None
    ) -> list[Lived]:
        found: list[Lived] = []
        for number, day in enumerate(self.days, start=1):
            effects = world.live(day, until).effects
            found += uplift.of_effects(effects, world.arm_of, list(world.contenders), name, number)
            if nightly:
                chain.nightly(self.settings, day)
            world.night(day, stages=not nightly)
            self.progress.advance(1)
        return found


def _next(settings: Settings) -> date:
    known = settings.store.days("sequences", "history")
    if not known:
        raise ConfigError(
            f"no histories are published under {settings.home}. Run `dupn run initial` first: an "
            "experiment begins with models and with people who have done something before."
        )
    return known[-1] + ONE_DAY


def _content(
    settings: Settings, wanted: Wanted, days: list[date], lived: list[Lived]
) -> dict[str, Any]:
    control, *others = wanted.arms
    traffic = Traffic(
        experiment=f"simulated-{days[0]}", salt=wanted.salt, shares=dict(wanted.shares)
    )
    seen = estimating.looks(settings, traffic, days)
    return {
        "days": [day.isoformat() for day in days],
        "arms": dict(wanted.arms),
        "shares": dict(wanted.shares),
        "salt": wanted.salt,
        "exploration": settings.living.exploration,
        "interference": INTERFERENCE,
        "lived": [_plain(one) for one in lived],
        "expected": {
            other: {
                "split": _gains(lived, SPLIT, control, other),
                "twins": _gains(lived, "", control, other) if wanted.twins else None,
            }
            for other in others
        },
        "estimated": {
            other: [one.model_dump() for one in estimating.figures(look)]
            for other, look in seen.items()
        },
        "trusted": all(look.trusted for look in seen.values()),
    }


def _plain(one: Lived) -> dict[str, Any]:
    """A day of an arm in a few numbers."""
    plain = {"world": one.world, "day": one.day, "arm": one.arm, "users": one.users}
    figures = {"ctr": finite(one.ctr), "price_precision": finite(one.price_precision)}
    return {**plain, **one.sums, **figures}


def _gains(lived: list[Lived], world: str, control: str, other: str) -> list[dict[str, Any]]:
    """Uplift under the truth by day, then over all days (day 0)."""

    def of(arm: str) -> list[Lived]:
        return [one for one in lived if one.arm == arm and one.world == (world or arm)]

    pairs = [
        *zip(of(other), of(control), strict=True),
        (uplift.total(of(other)), uplift.total(of(control))),
    ]
    found = []
    for place, (new, old) in enumerate(pairs):
        gains = {what: uplift.uplift(new, old, what) for what in MEASURES}
        known = {what: finite(gain) for what, gain in gains.items()}
        found.append({"day": place + 1 if place < len(pairs) - 1 else 0, **known})
    return found
