"""Killed at any write, an update done again ends in the weights of an undisturbed night."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.chain import EVALUATED
from tests.drills.drill import Told, Warm, killed, picture, share_out
from tests.drills.homes import Homes, tracked

STEP = ("update", {"day": EVALUATED})
KEY = f"dupn-{EVALUATED}"
PAIRS = ("train.checkpoint_every_s=0.2", "train.batch_size=512")
"""Several checkpoints on the way, even where the update takes a second."""


class Night:
    """The update of the last day, from the champion of the smoke chain."""

    def __init__(self, warm: Warm, places: Sequence[Homes]) -> None:
        self.warm, self.places, self.homes = warm, places, places[0]
        self.homes.back("chain")
        self.told = self.run(self.homes)
        assert self.told.code == 0, self.told.sentence
        self.after = self.seen(self.homes)

    def run(self, homes: Homes, **options: Any) -> Told:
        return self.warm.run(homes.work, STEP, pairs=PAIRS, **options)

    def seen(self, homes: Homes) -> dict[str, Any]:
        final = f"checkpoints/{KEY}/final"
        return {"final": picture(homes.work, final), **tracked(homes.work)}

    def survives(self, numbers: Sequence[int]) -> None:
        share_out(numbers, self.places, self._survives)

    def _survives(self, homes: Homes, kill_at: int) -> None:
        homes.back("chain")
        died = self.run(homes, kill_at=kill_at)
        if not killed(died):  # how many checkpoints there are depends on the clock
            assert died.code == 0
            return
        final = picture(homes.work, f"checkpoints/{KEY}/final")
        assert final in ({}, self.after["final"])
        again = self.run(homes)
        assert again.code == 0, (kill_at, again.sentence)
        assert self.seen(homes) == self.after, (kill_at, self.told.passed[kill_at])


@pytest.fixture(scope="module")
def night(warm, places):
    return Night(warm, places)


def test_killed_when_the_model_is_half_published(night):
    half = max(n for n, name in enumerate(night.told.passed) if "half of model-" in name)
    night.survives([half])


@pytest.mark.drill
@pytest.mark.timeout(1_800)
def test_killed_at_every_write(night):
    night.survives(range(len(night.told.passed)))


def test_the_same_night_twice_changes_nothing(night):
    night.homes.back("chain")
    assert night.run(night.homes).code == 0
    before = night.seen(night.homes)
    assert night.run(night.homes).code == 0
    assert night.seen(night.homes) == before
