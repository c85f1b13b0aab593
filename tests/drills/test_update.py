"""Killed at any write, an update done again ends in the weights of an undisturbed night."""

from typing import Any

import pytest

from tests.chain import EVALUATED
from tests.drills.drill import Told, Warm, killed, picture
from tests.drills.homes import Homes, tracked

STEP = ("update", {"day": EVALUATED})
KEY = f"dupn-{EVALUATED}"
PAIRS = ("train.checkpoint_every_s=0.2", "train.batch_size=512")
"""Several checkpoints on the way, even where the update takes a second."""


class Night:
    """The update of the last day, from the champion of the smoke chain."""

    def __init__(self, warm: Warm, homes: Homes) -> None:
        self.warm, self.homes = warm, homes
        homes.back("chain")
        self.told = self.run()
        assert self.told.code == 0, self.told.sentence
        self.after = self.seen()

    def run(self, **options: Any) -> Told:
        return self.warm.run(self.homes.work, STEP, pairs=PAIRS, **options)

    def seen(self) -> dict[str, Any]:
        final = f"checkpoints/{KEY}/final"
        return {"final": picture(self.homes.work, final), **tracked(self.homes.work)}

    def survives(self, kill_at: int) -> None:
        self.homes.back("chain")
        died = self.run(kill_at=kill_at)
        if not killed(died):  # how many checkpoints there are depends on the clock
            assert died.code == 0
            return
        final = picture(self.homes.work, f"checkpoints/{KEY}/final")
        assert final in ({}, self.after["final"])
        again = self.run()
        assert again.code == 0, (kill_at, again.sentence)
        assert self.seen() == self.after, (kill_at, self.told.passed[kill_at])


@pytest.fixture(scope="module")
def night(warm, homes):
    return Night(warm, homes)


def test_killed_when_the_model_is_half_published(night):
    night.survives(max(n for n, name in enumerate(night.told.passed) if "half of model-" in name))


@pytest.mark.drill
@pytest.mark.timeout(1_800)
def test_killed_at_every_write(night):
    for number in range(len(night.told.passed)):
        night.survives(number)


def test_the_same_night_twice_changes_nothing(night):
    night.homes.back("chain")
    assert night.run().code == 0
    before = night.seen()
    assert night.run().code == 0
    assert night.seen() == before
