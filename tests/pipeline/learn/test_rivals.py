"""What is said of a rival line's night leaves the champion alone."""

import re
import shutil
from pathlib import Path

import pytest

from infra.errors import PartitionMissing, QualityFailed, RegistryError, TrainingError
from pipeline import steps
from pipeline.abtest import rivals
from pipeline.learn.learning import of_run
from pipeline.release import incumbent
from tests.six_days import DAYS, NEXT, NIGHT, changed, judge, overtaken, promote, registry, tagged

KEY, FIRST = f"rival-{NIGHT}", "rival-2026-03-05"
CHALLENGED = (
    "from a backup, or let a version of its line be challenger whose own checkpoint is there: "
    "`dupn promote --version N --challenger --why ...` (without --challenger it would be champion, "
    "in place of the line in production)."
)


def copied(settings, name):
    """A checkpoint under another run key."""
    folder = Path(settings.home, "checkpoints")
    shutil.copytree(folder / "dupn-2026-03-05", folder / name)


@pytest.fixture
def rival(settings):
    """The settings of a line that challenges the champion's."""
    mine = changed(settings, "line=rival")
    copied(mine, FIRST)
    promote(mine, FIRST, line="rival", alias="challenger")
    return mine


def test_who_trained_a_challenger_over_is_told_how_another_one_challenges(rival):
    steps.update(rival, NIGHT)
    tags = {"run_key": KEY, "line": "rival"}
    known = registry(rival)
    number = known.register("file:///rival", of_run(rival.store, KEY).run_id, tags).number
    slow = changed(rival, "line=rival", "update.learning_rate=0.005")
    steps.update(slow, NIGHT, forced="slower")
    known.challenge(number, "to be compared")
    with pytest.raises(RegistryError, match=f"version {number} is promoted, and .* anew") as told:
        steps.update(rival, NEXT)
    assert str(told.value).endswith(f"Restore checkpoints/{KEY} {CHALLENGED}")


def test_so_is_who_lost_its_checkpoint(rival):
    tagged(rival, FIRST)
    shutil.rmtree(Path(rival.home, "checkpoints", FIRST))
    with pytest.raises(PartitionMissing, match=f"checkpoints/{FIRST}/final is gone") as told:
        steps.update(rival, NIGHT)
    assert str(told.value).endswith(f"Restore checkpoints/{FIRST} {CHALLENGED}")
    with pytest.raises(TrainingError, match=re.escape(CHALLENGED)):
        steps.train(rival, DAYS[3], 3)


def test_the_version_of_a_rivals_night_that_was_overtaken_is_promoted_beside_the_champion(rival):
    promote(rival, steps.update(rival, NIGHT)["run"], line="rival", alias="challenger")
    tagged(rival, KEY)
    copied(rival, f"{FIRST}-by-hand")
    promote(rival, f"{FIRST}-by-hand", line="rival", alias="challenger")
    told = steps.update(rival, NIGHT)
    assert (told["run"], told["outcome"]) == ("", "skipped")
    assert "`dupn promote --version 3 --challenger --why ...`" in told["why"]


def test_a_day_that_is_refused_to_a_rival_is_forced_upon_its_own_line(rival):
    """The command without its line would update the champion's."""
    forced = f"`dupn --set line=rival update --day {NIGHT} --force --why"
    judge(rival.store, NIGHT, passed=False)
    with pytest.raises(QualityFailed, match=forced):
        steps.update(rival, NIGHT)
    judge(rival.store, NIGHT)
    promote(rival, steps.update(rival, NEXT)["run"], line="rival", alias="challenger")
    with pytest.raises(TrainingError, match=forced):
        steps.update(rival, NIGHT)
    assert rivals.learnt_since(rival, NIGHT).startswith(f"rival-{NEXT} is promoted and has learnt")
    assert rivals.learnt_since(rival, NEXT) == ""  # its own night, which is done
    assert steps.update(rival, NEXT)["outcome"] == "finished before"


def test_of_a_night_with_two_versions_that_was_overtaken_the_newest_is_named(settings):
    key = overtaken(settings)
    registry(settings).register("file:///anew", "", {"run_key": key, "line": "dupn"})
    tagged(settings, key)
    assert "`dupn promote --version 4 --why ...`" in steps.update(settings, NIGHT)["why"]


def test_what_a_candidate_would_take_the_place_of_is_told_by_line(rival):
    known, first = registry(rival), "dupn-2026-03-05"
    assert incumbent.role(known, first, "dupn") == "champion"
    assert incumbent.role(known, FIRST, "rival") == "challenger"
    assert incumbent.role(known, first, "wide") == ""  # nobody of its line challenges yet
    assert incumbent.role(known, "", "dupn") == ""
    promote(rival, first, line="copied", alias="challenger")  # a line that began as the champion's
    assert incumbent.role(known, first, "copied") == "challenger"
