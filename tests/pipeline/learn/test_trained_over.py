"""A version whose night was trained anew by force: its checkpoint is another model's."""

import pytest

from infra.errors import RegistryError, TrainingError
from infra.registry import MODEL
from pipeline import steps
from pipeline.learn.learning import of_run
from pipeline.release import evaluating, incumbent
from pipeline.upkeep import sweeping
from tests.six_days import DAYS, NEXT, NIGHT, changed, overtaken, promote, registry

KEY = f"dupn-{NIGHT}"
SLOW = "update.learning_rate=0.005"


def rolled_back(settings):
    """Version 2, the night's, which was champion; its key is trained anew by force."""
    steps.update(settings, NIGHT)
    promote(settings, KEY)
    registry(settings).rollback("it learnt too fast")
    steps.update(changed(settings, SLOW), NIGHT, forced="slower")


def replaced(settings):
    """Version 2 was champion until a hand made another one; its key is trained on from that one."""
    overtaken(settings, champion=True)
    for number in ("1", "3"):  # else it would be `previous`
        registry(settings).promote(number, "a rollback shall go to the first")
    steps.update(settings, NIGHT, forced="the new parent shall learn it now")


@pytest.mark.parametrize("decided", [rolled_back, replaced])
def test_the_night_of_a_model_trained_anew_by_force_goes_on_to_its_gate(settings, decided):
    decided(settings)
    told = steps.update(settings, NIGHT)
    assert (told["run"], told["outcome"]) == (KEY, "finished before")
    assert told["why"] == f"{KEY} was trained anew by force, and is no version yet"


def test_so_it_does_once_the_model_trained_anew_has_a_version_of_its_own(settings):
    rolled_back(settings)
    anew = of_run(settings.store, KEY).run_id
    tags = {"run_key": KEY, "line": "dupn"}
    assert registry(settings).register(f"file:///anew/{KEY}", anew, tags).number == "3"
    told = steps.update(settings, NIGHT)
    assert (told["run"], told["outcome"]) == (KEY, "finished before")
    assert told["why"] == f"{KEY} was trained anew by force, and is version 3"


def test_a_model_trained_over_a_champion_is_held_against_that_champion(settings):
    rolled_back(settings)
    registry(settings).promote("2", "it was good after all")
    assert incumbent.of(settings, KEY).version.number == "2"


def test_a_night_does_not_go_on_from_the_weights_of_another_model_than_the_champion(settings):
    rolled_back(settings)
    registry(settings).promote("2", "it was good after all")
    said = (
        rf"version 2 is promoted, and checkpoints/{KEY}/final is another model's: {KEY} was "
        r"trained anew by force since, .* `dupn rollback --why \.\.\.`"
    )
    for why in ("", "by force neither"):
        with pytest.raises(RegistryError, match=said):
            steps.update(settings, NEXT, forced=why)
    assert sweeping._unlearnt(settings, DAYS) == set(DAYS)  # which it has learnt, nobody knows
    found = incumbent.of(settings, f"dupn-{NEXT}")
    assert evaluating._misfit(settings.store, found).startswith("was trained anew by force since")
    registry(settings).rollback("its checkpoint is another model's")
    assert sweeping._unlearnt(settings, DAYS) != set(DAYS)
    assert steps.update(settings, NEXT)["parent"] == "dupn-2026-03-05"


def succeeded(settings, by):
    """Version 2, the night's, was champion until the next night's model was made it."""
    steps.update(settings, NIGHT)
    promote(settings, KEY)
    key = steps.update(settings, NEXT)["run"]
    by(settings, key)
    return key


def by_hand(settings, key):
    """In MLflow, and that alias alone: `previous` is one too old."""
    promote(settings, key, alias="champion-to-be")
    registry(settings).client.set_registered_model_alias(MODEL, "champion", "3")


@pytest.mark.parametrize("by", [promote, by_hand])
def test_the_checkpoint_of_whom_a_rollback_goes_to_is_not_trained_over_by_force(settings, by):
    succeeded(settings, by)
    before = of_run(settings.store, KEY).run_id
    said = (
        rf"^{KEY} is version 2 of the registry, to which `dupn rollback` goes \(previous\): .* "
        r"Nothing was trained\. .* let another version have that place first"
    )
    with pytest.raises(TrainingError, match=said):
        steps.update(changed(settings, SLOW), NIGHT, forced="its labels were mended")
    assert of_run(settings.store, KEY).run_id == before
    registry(settings).rollback("the newest is bad")
    assert steps.update(settings, NEXT)["parent"] == KEY


def test_once_a_rollback_goes_to_another_it_is_and_who_forces_it_is_told_what_is_lost(
    settings, caplog
):
    succeeded(settings, promote)
    registry(settings).client.set_registered_model_alias(MODEL, "previous", "1")
    told = steps.update(settings, NIGHT, forced="its labels were mended")
    assert told["warning"].startswith(f"{KEY} was version 2 of the registry, whose checkpoint ")
    assert told["warning"] in caplog.text
    again = steps.update(settings, NIGHT, forced="its labels were mended")  # nothing more is lost
    assert "warning" not in again
