"""A rival line beside the champion, by a person: what the gate kept back may be challenger."""

import re

import pytest

from infra.errors import RegistryError
from pipeline import steps
from pipeline.release import incumbent, standing
from pipeline.release.incumbent import registry_of
from serving import published
from tests.chain import DAYS, smoke, with_champion

DAY, KEY = DAYS[3], f"rival-{DAYS[0]}"
PAIRS = ("line=rival", "train.epochs=1", "evaluate.shuffles=false")


@pytest.fixture(scope="module")
def champion(chain, tmp_path_factory):
    """A home with one champion, of the line `dupn`."""
    return with_champion(chain, tmp_path_factory.mktemp("challenger"))


@pytest.fixture(scope="module")
def rival(champion):
    """Another line, that the gate kept back."""
    mine = smoke(champion.home, *PAIRS)
    steps.train(mine, DAYS[0], 1)
    for step in (steps.evaluate, steps.bundle):
        step(mine, DAY)
    verdict = steps.gate(mine, DAY)
    assert (verdict["promoted"], verdict["role"]) == (False, "")  # the first of its line
    return mine


@pytest.fixture(scope="module")
def number(rival):
    return steps.register(rival, DAY)["version"]


def aliases(settings):
    return standing.status(settings)["aliases"]


def test_whom_the_gate_kept_is_told_how_it_becomes_challenger(rival, number):
    said = (
        f"To make it challenger all the same: `dupn promote --version {number} --challenger "
        "--why ...` (without --challenger it would be champion, in place of the line in production)"
    )
    with pytest.raises(RegistryError, match=re.escape(said)):
        steps.promote(rival, DAY)
    assert aliases(rival) == {"champion": "1"}


def test_a_person_makes_it_challenger_and_the_champion_stays(rival, number):
    registry = registry_of(rival)
    place = published.place(rival.store, KEY, number)
    place.remove()
    told = steps.promote(rival, DAY, number, "to be compared", challenger=True)
    assert (told["champion"], told["challenger"]) == ("1", number)
    assert told["why"] == "to be compared"
    assert aliases(rival) == {"champion": "1", "challenger": number}
    assert published.is_whole(place, registry.version(number).tags["model_uri"])
    entry = registry.look()[-1]
    assert (entry.action, entry.why, entry.done) == ("challenge", "to be compared", True)
    assert steps.check(rival, DAY)["challenger"] == number
    again = steps.promote(rival, DAY, number, "once more", challenger=True)
    assert again["note"].startswith(f"version {number} is challenger already: nothing moved")


def test_a_challenger_whose_checkpoint_is_another_models_is_warned_of_and_the_champion_is_not(
    rival, number, monkeypatch
):
    for module in (incumbent, standing):
        monkeypatch.setattr(module, "replaced", lambda _, key, __: f"{key} was trained anew.")
    told = steps.promote(rival, DAY, number, "once more", challenger=True)
    assert told["warning"].startswith(f"{KEY} was trained anew. Restore checkpoints/{KEY} from a ")
    assert "`dupn promote --version N --challenger --why ...`" in told["warning"]
    assert "rollback" not in told["warning"]  # it would move the champion


def test_the_champions_own_line_does_not_challenge_it(champion):
    before = aliases(champion)
    with pytest.raises(
        RegistryError, match=r"version 1 .* the champion's own line, dupn, .* --why"
    ):
        steps.promote(champion, DAY, "1", "twice", challenger=True)
    assert aliases(champion) == before


def test_what_dupn_did_not_register_does_not_challenge(champion):
    stranger = registry_of(champion).register("file:///stranger", "", {}).number
    with pytest.raises(RegistryError, match="was not registered by dupn, so it is of no line"):
        steps.promote(champion, DAY, stranger, "as it is there", challenger=True)
    registry_of(champion).client.delete_model_version("dupn", stranger)


def test_where_nobody_is_champion_nobody_is_challenged(champion, number):
    registry = registry_of(champion)
    for alias in aliases(champion):
        registry.client.delete_registered_model_alias("dupn", alias)
    with pytest.raises(RegistryError, match=r"nobody is champion whom it could challenge. To make"):
        steps.promote(champion, DAY, number, "beside nobody", challenger=True)
