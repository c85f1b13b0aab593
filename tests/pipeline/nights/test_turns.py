"""A night's turn, what others do meanwhile, and the hours that are set."""

from datetime import timedelta

import pytest

from infra.errors import PartitionMissing
from pipeline.nights import nightly
from pipeline.nights.nightly import State
from pipeline.settings import load
from tests import first_night
from tests.first_night import DAY, published


def test_a_night_that_ended_while_its_lateness_was_told_stays_ended(tmp_path):
    settings = first_night.home(tmp_path)
    nightly.begin(settings, DAY, "r1")
    nightly.tell_late(settings, DAY, lambda: bool(nightly.end(settings, DAY, "r1", "promote")))
    assert nightly.read(settings, DAY).state is State.ENDED


def test_a_day_that_another_lines_training_has_learnt_has_its_night(tmp_path):
    settings = first_night.home(tmp_path)
    published(settings, None, "checkpoints", f"another-{DAY}", "final", days=[DAY.isoformat()])
    nightly.begin(settings, DAY, "r1")
    assert nightly.read(settings, DAY).state is State.BEGUN


def test_a_night_is_late_and_gives_up_after_the_hours_that_are_set(tmp_path):
    first_night.home(tmp_path)
    hours = ("nightly.deadline_hours=2", "nightly.give_up_hours=5")
    mine = load("smoke", str(tmp_path), ["dataset=rees46", *hours])
    late = [nightly.look(mine, DAY, timedelta(hours=h)).late for h in (1.9, 2, 4.9)]
    assert late == [False, True, True]
    with pytest.raises(PartitionMissing, match="gave up after 5 h"):
        nightly.look(mine, DAY, timedelta(hours=5))
