"""A champion of other inputs than today's cannot be asked: a person decides who follows it."""

import json

import pytest

from evaluation import filed
from features.ranking import NAMES
from infra.errors import RegistryError, TrainingError
from infra.registry import MODEL
from pipeline import steps
from pipeline.learn import learning
from pipeline.release import promotion, verdicts
from pipeline.release.incumbent import registry_of
from tests.chain import DAYS, smoke, with_champion
from tests.other_inputs import learnt_with
from training import checkpoint as checkpoints

DAY = DAYS[3]


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """The champion weighs a feature that is gone; the line was trained anew and judged."""
    home = tmp_path_factory.mktemp("other-inputs")
    before = with_champion(chain, home)
    learnt_with(champion(before), ranking_names=["unseen", *NAMES[1:]])
    mine = smoke(home, "train.epochs=1", "evaluate.shuffles=false")
    steps.train(mine, DAYS[2], 1)
    steps.evaluate(mine, DAY)
    steps.bundle(mine, DAY)
    steps.gate(mine, DAY)
    return mine


def champion(settings):
    return checkpoints.final(settings.store, f"dupn-{DAYS[1]}")


def test_the_report_says_why_it_was_not_asked(settings):
    key = learning.candidate(settings, DAY).key
    report = json.loads(settings.store.get(filed.report(key)))
    assert report["champion"] == f"dupn-{DAYS[1]}"
    assert report["comparison"] is None
    assert report["notes"][0] == (
        f"dupn-{DAYS[1]} weighs other ranking features than this version of dupn computes "
        f"(then unseen; now {NAMES[0]}): it was not asked, and the two are not compared."
    )


def test_the_gate_leaves_it_to_a_person(settings):
    key = learning.candidate(settings, DAY).key
    verdict = json.loads(settings.store.get(verdicts.key(key)))
    assert verdict["outcome"] == "not enough evidence"
    with pytest.raises(RegistryError, match=r"were not compared .* `dupn register --day"):
        steps.promote(settings, DAY)


def test_its_successor_has_dimensions_of_its_own(settings):
    assert promotion.register(settings, DAY)["representation"] == "2"


def test_its_own_evaluation_is_refused(settings):
    with pytest.raises(TrainingError, match=r"then unseen; .* train the line anew"):
        steps.evaluate(settings, DAY, f"dupn-{DAYS[1]}")


@pytest.mark.parametrize("step", ["evaluate", "bundle", "gate", "canary", "register", "promote"])
def test_where_it_is_the_newest_every_step_says_how_the_new_one_is_named(settings, step):
    versions = len(registry_of(settings).versions())
    with pytest.raises(TrainingError, match=r"train the line anew .* the new one with `--run KEY`"):
        getattr(steps, step)(settings, DAYS[2])
    assert len(registry_of(settings).versions()) == versions


def test_a_night_passes_it_over_with_a_note(settings):
    said = steps.watch(settings, DAY)
    assert said["notes"][-1].startswith(f"dupn-{DAYS[1]} weighs other ranking features")
    assert not [one for one in said["figures"] if one["name"].startswith("watch_age_2")]


def test_it_is_not_registered_again(settings):
    registry, key = registry_of(settings), f"dupn-{DAYS[1]}"
    registry.client.delete_model_version(MODEL, "1")
    there = len(registry.versions())
    with pytest.raises(TrainingError, match=f"{key}/final weighs other ranking features"):
        steps.register(settings, DAYS[2], key)
    assert len(registry.versions()) == there
