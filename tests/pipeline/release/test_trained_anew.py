"""The night of a version that somebody decided against: run again, and trained anew by force."""

import shutil
from pathlib import Path

import pytest

from infra.errors import RegistryError
from pipeline import steps
from pipeline.learn import learning
from pipeline.release import bundling, incumbent, standing
from pipeline.release.incumbent import registry_of
from pipeline.represent import representing
from tests.chain import DAYS, smoke, with_champion

pytestmark = pytest.mark.drill

NIGHT, KEY = DAYS[3], f"dupn-{DAYS[3]}"
LENIENT = (
    "evaluate.shuffles=false",
    "update.holdout_share=0.4",
    "evaluate.min_positives=5",
    "evaluate.min_users=5",
    "gate.min_ctr_margin=1.0",
    "gate.max_ctr_margin=1.0",
    "gate.alpha=1e-9",
    "compatibility.max_drop=1.0",
)


@pytest.fixture(scope="module")
def night(chain, tmp_path_factory):
    """A home whose night's candidate is version 2, and champion."""
    mine = smoke(with_champion(chain, tmp_path_factory.mktemp("anew")).home, *LENIENT)
    for step in (steps.update, steps.evaluate, steps.bundle, steps.gate, steps.promote):
        step(mine, NIGHT)
    return mine


def judged(settings):
    for step in (steps.evaluate, steps.bundle):
        step(settings, NIGHT)
    return steps.gate(settings, NIGHT)


def test_a_champion_that_a_hand_replaced_is_kept_back_when_its_night_is_run_again(night):
    parent, other = f"dupn-{DAYS[1]}", f"dupn-{DAYS[0]}"
    folder = Path(night.home, "checkpoints")
    shutil.copytree(folder / parent, folder / other)
    registry = registry_of(night)
    tags = {"run_key": other, "line": "dupn", "representation": "1"}
    number = registry.register("file:///other", "", tags).number
    registry.promote(number, "a person likes it better")
    assert steps.update(night, NIGHT)["run"] == KEY
    found = judged(night)
    assert (found["promoted"], found["champion"]) == (False, other)
    assert "(promote: a person likes it better)" in found["failed"][-1]
    with pytest.raises(RegistryError, match=r"did not let .* pass") as refused:
        steps.promote(night, NIGHT)
    assert str(refused.value).count("`dupn promote --version") == 1
    registry.promote("2", "as it was")
    registry.client.delete_model_version("dupn", number)
    shutil.rmtree(folder / other)


def test_a_version_that_was_rolled_back_passes_the_gate_once_it_is_trained_anew_by_force(night):
    assert standing.status(night)["aliases"]["champion"] == "2"
    steps.rollback(night, "it learnt too fast")
    slow = smoke(night.home, *LENIENT, "train.learning_rate=0.0005")
    done = steps.update(slow, NIGHT, forced="slower")
    assert (done["outcome"], done["run"]) == ("trained", KEY)
    assert judged(slow)["promoted"]
    steps.promote(slow, NIGHT)
    champion = incumbent.of(slow, "dupn-none")
    assert (champion.key, champion.version.run_id) == (KEY, learning.candidate(slow, NIGHT).run_id)


def test_who_makes_a_version_champion_that_was_trained_over_by_force_is_warned(night):
    """It is served and represents users all the same: its bundle is its own."""
    registry = registry_of(night)
    version, others = registry.version("2"), registry.champion()
    assert others.tags["run_key"] == version.tags["run_key"] == KEY
    before = representing._network(night, version).state_dict()
    told = steps.promote(night, NIGHT, version="2", why="it was good after all")
    warned = f"checkpoints/{KEY}/final is another model's: {KEY} was trained anew by force since"
    assert told["warning"].startswith(warned)
    place = bundling.whole(night, version)
    Path(place.path, place.manifest().files[0].name).write_bytes(b"")
    again = representing._network(night, version).state_dict()
    assert all(weights.equal(again[name]) for name, weights in before.items())
    back = steps.rollback(night, "no night can go on from it")
    assert (back["champion"], "warning" in back) == (others.number, False)


def test_a_model_trained_over_whom_a_person_chose_waits_for_a_person(night):
    """It was compared with the champion of before, and took the place of the one who was chosen."""
    assert steps.rollback(night, "it learnt too fast, too")["run"] != KEY
    slower = smoke(night.home, *LENIENT, "train.learning_rate=0.0002")
    steps.update(slower, NIGHT, forced="slower yet")
    steps.promote(night, NIGHT, version="2", why="it was good after all")
    found = judged(slower)
    assert (found["promoted"], found["outcome"]) == (False, "not enough evidence")
    assert found["champion"] == KEY
    with pytest.raises(RegistryError, match=r"were not compared .* `dupn register --day"):
        steps.promote(slower, NIGHT)
    assert standing.status(night)["aliases"]["champion"] == "2"
