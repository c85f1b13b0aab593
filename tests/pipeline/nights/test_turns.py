"""What another run does meanwhile, or another line, of which a night must not be wrong."""

from pipeline.nights import nightly
from pipeline.nights.nightly import State
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
