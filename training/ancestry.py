"""What a model has learnt from, all its ancestors' training included, down to the moment.

A **part** is some of a day's moments: the whole day, all but the users held out on it (`rest`), or
just those (`holdout`). A version's ancestry is kept in its checkpoint's lineage and answers what
an update may learn, what is still missing, and on what a candidate may be judged.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.holdout import held_out


class Share(StrEnum):
    """Which of a day's moments."""

    ALL = "all"
    REST = "rest"
    """All but those of the users held out on the day."""
    HOLDOUT = "holdout"
    """Only those of the users held out on the day."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of a day's moments, as they were learnt (or will be)."""

    day: date
    share: Share = Share.ALL
    held: float = 0.0
    """Share of the users that the day held out; says who `rest` and `holdout` are."""
    digest: str = ""
    """Of the day's samples."""
    moments: int = 0
    weight: float = 1.0
    """Of each moment in the loss."""
    forced: str = ""
    """Why it was learnt against a rule; empty where no rule was in the way."""

    def mask(self, user_hash: NDArray[np.uint64]) -> NDArray[np.bool_] | None:
        """Which moments of the day are in it, by their users; None for all of them."""
        if self.share is Share.ALL:
            return None
        held = held_out(user_hash, self.day, self.held)
        return held if self.share is Share.HOLDOUT else ~held

    def plain(self) -> dict[str, Any]:
        """As JSON has it; what is at its default is left out."""
        found = {"day": self.day.isoformat(), "share": self.share.value, "moments": self.moments}
        optional = {
            "held": self.held,
            "digest": self.digest,
            "weight": self.weight,
            "forced": self.forced,
        }
        return found | {k: v for k, v in optional.items() if v != getattr(Part, k)}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> "Part":
        """The inverse of `plain`."""
        day, share = date.fromisoformat(plain["day"]), Share(plain["share"])
        return cls(**{**plain, "day": day, "share": share})


@dataclass(frozen=True)
class Ancestry:
    """Every part that a model and its ancestors have learnt, in the order of learning."""

    parts: tuple[Part, ...] = ()

    @classmethod
    def of_lineage(cls, lineage: Mapping[str, Any]) -> "Ancestry":
        """Of a checkpoint's lineage; one that has none is of days learnt whole."""
        if "ancestry" in lineage:
            return cls.of_plain(lineage["ancestry"])
        inputs = lineage.get("recipe", {}).get("inputs", {})
        return cls(
            tuple(
                Part(day=date.fromisoformat(day), digest=inputs.get(day, ""))
                for day in lineage["days"]
            )
        )

    @classmethod
    def of_plain(cls, plain: Iterable[Mapping[str, Any]]) -> "Ancestry":
        """The inverse of `plain`."""
        return cls(tuple(Part.of_plain(part) for part in plain))

    def plain(self) -> list[dict[str, Any]]:
        """As JSON has it."""
        return [part.plain() for part in self.parts]

    def grown(self, parts: Iterable[Part]) -> "Ancestry":
        """With newly learnt parts behind."""
        return Ancestry((*self.parts, *parts))

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any part."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()[:12]

    @property
    def days(self) -> tuple[date, ...]:
        """Every day that something was learnt of, oldest first."""
        return tuple(sorted({part.day for part in self.parts}))

    @property
    def watermark(self) -> date | None:
        """The newest day that something was learnt of."""
        return max((part.day for part in self.parts), default=None)

    @property
    def moments(self) -> int:
        """Of all parts."""
        return sum(part.moments for part in self.parts)

    def of(self, day: date) -> tuple[Part, ...]:
        """The parts of a day."""
        return tuple(part for part in self.parts if part.day == day)

    def has(self, day: date) -> bool:
        """Whether anything of a day was learnt."""
        return bool(self.of(day))

    def held(self, day: date) -> float | None:
        """The share of the users of `day` whose moments were left out; None if nobody's were.

        None too for a day of which nothing was learnt: all its moments are unknown.
        """
        parts = self.of(day)
        if any(part.share is not Share.REST for part in parts):
            return None
        # learnt again with another share, only the users of the smallest one are still unknown
        return min((part.held for part in parts), default=None)

    def learnt(self, day: date, user_hash: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Which moments of a day were learnt, by their users."""
        found = np.zeros(len(user_hash), np.bool_)
        for part in self.of(day):
            mask = part.mask(user_hash)
            found |= True if mask is None else mask
        return found

    def missing(self, until: date) -> tuple[date, ...]:
        """Days from the first one learnt up to `until` of which nothing was learnt."""
        days = self.days
        if not days:
            return ()
        known, span = set(days), (until - days[0]).days + 1
        every = (days[0] + timedelta(days=i) for i in range(span))
        return tuple(day for day in every if day not in known)

    def waiting(self, until: date) -> tuple[Part, ...]:
        """What may be learnt up to `until`, oldest first: whole missing days, and held-out users.

        The digests and counts of the parts are not filled in.
        """
        whole = [Part(day=day) for day in self.missing(until)]
        held = [
            Part(day=day, share=Share.HOLDOUT, held=share)
            for day in self.days
            if day <= until and (share := self.held(day)) is not None
        ]
        return tuple(sorted([*whole, *held], key=lambda part: part.day))
