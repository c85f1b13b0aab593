"""The way to a champion and back, on a copy of the smoke chain's data.

Version 1 learns from two days and is judged on the third; then a model that learns nothing is
trained on the third and judged, beside version 1, on the fourth.
"""

import json
import shutil
from contextlib import contextmanager
from datetime import date

import pytest

from evaluation import compatibility, filed, predictions, report
from features.holdout import held_out
from infra.errors import PartitionMissing, RegistryError, TrainingError
from infra.ledger import LedgerTaken
from pipeline import steps
from pipeline.learn import learning
from pipeline.quality import judged
from pipeline.release import incumbent, promotion, standing, verdicts
from pipeline.release.incumbent import registry_of
from pipeline.represent import representing
from serving.versions import FromRegistry
from tests.chain import DAYS, smoke, with_champion

FIRST_JUDGED, THEN_JUDGED = DAYS[2], DAYS[3]
HOPELESS = ("train.learning_rate=1e-12", "train.epochs=1")
LENIENT = (
    "gate.min_ctr_margin=1.0",
    "gate.max_ctr_margin=1.0",
    "gate.alpha=1e-9",
    "compatibility.max_drop=1.0",
)


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """A home with one champion."""
    return with_champion(chain, tmp_path_factory.mktemp("release"))


@pytest.fixture(scope="module")
def worse(settings):
    """A second candidate that learnt nothing: evaluated and judged, not promoted."""
    mine = smoke(settings.home, "evaluate.shuffles=false", *HOPELESS)
    steps.train(mine, DAYS[2], 1)
    steps.evaluate(mine, THEN_JUDGED)
    steps.bundle(mine, THEN_JUDGED)
    steps.gate(mine, THEN_JUDGED)
    return mine


def champion(settings):
    return standing.status(settings)["aliases"]


@contextmanager
def another_move(settings):
    """Somebody enters a move between the look on which a promotion rests and its own move."""
    of = incumbent.of

    def of_late(*arguments):
        registry = registry_of(settings)
        entries = registry.look()
        registry.move(entries, "promote", entries[-1].aliases, "meanwhile", "somebody")
        return of(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(incumbent, "of", of_late)
        yield


def verdict(settings, day):
    key = learning.candidate(settings, day).key
    return json.loads(settings.store.get(verdicts.key(key)))


def test_the_first_model_faces_floors_only(settings):
    found = verdict(settings, FIRST_JUDGED)
    assert found["outcome"] == "promote"
    assert {check["name"] for check in found["checks"]} == {"evidence", "quality", "calibration"}


def test_who_learnt_from_a_day_that_did_not_pass_quality_is_not_let_pass(settings):
    key = judged.report(DAYS[0], "events")
    before = settings.store.get(key).decode()
    settings.store.put(key, json.dumps({**json.loads(before), "passed": False}))
    try:
        found = steps.gate(settings, FIRST_JUDGED)
    finally:
        settings.store.put(key, before)
    assert not found["promoted"]
    assert any(f"events of {DAYS[0]} did not pass" in sentence for sentence in found["failed"])
    assert steps.gate(settings, FIRST_JUDGED)["promoted"]


@pytest.mark.parametrize(
    "step", [steps.evaluate, steps.bundle, steps.gate, steps.register, steps.promote]
)
def test_a_step_done_twice_is_done_once(settings, step):
    before = standing.status(settings), standing.log(settings)
    once, again = (dict(step(settings, FIRST_JUDGED)) for _ in range(2))
    sizes = once.pop("bytes", 0), again.pop("bytes", 0)  # a bundle holds how long copying took
    assert once == again
    assert sizes[0] == pytest.approx(sizes[1], abs=100)
    assert (standing.status(settings), standing.log(settings)) == before


def test_a_person_is_asked_with_the_sentences_of_the_gate(settings):
    asked = promotion.question(settings, FIRST_JUDGED)
    assert f"dupn-{DAYS[1]} passed the gate on {FIRST_JUDGED} against nobody" in asked
    for check in verdict(settings, FIRST_JUDGED)["checks"]:
        assert f"- {check['sentence']}" in asked
    assert f"reports/offline/dupn-{DAYS[1]}/report.html" in asked


def test_training_again_is_the_same_run(settings):
    before = learning.candidate(settings, FIRST_JUDGED)
    steps.train(settings, DAYS[1], 2)
    assert learning.candidate(settings, FIRST_JUDGED) == before


def test_evaluation_compares_with_the_champion_on_the_same_moments(worse):
    key = learning.candidate(worse, THEN_JUDGED).key
    beside = json.loads(worse.store.get(filed.comparison(key)))
    assert beside["champion"] == learning.candidate(worse, FIRST_JUDGED).key
    assert beside["comparison"]["ctr"]["value"] is not None
    assert {"l2r_auc", "fifp_auc"} <= {other["name"] for other in beside["comparison"]["others"]}


def test_a_worse_candidate_keeps_the_champion_and_says_why(worse):
    found = verdict(worse, THEN_JUDGED)
    assert found["outcome"] == "keep the champion"
    assert any("significantly worse" in sentence for sentence in found["failed"])
    assert champion(worse)["champion"] == "1"


def test_what_the_gate_refused_is_promoted_only_by_name(worse):
    with pytest.raises(RegistryError, match=r"did not let .* --version N --why") as caught:
        steps.promote(worse, THEN_JUDGED)
    assert verdict(worse, THEN_JUDGED)["failed"][0] in str(caught.value)
    assert champion(worse)["champion"] == "1"


def test_by_name_it_is_promoted_and_rolled_back(worse):
    number = steps.register(worse, THEN_JUDGED)["version"]
    assert registry_of(worse).version(number).tags["representation"] == "2"  # it froze no head
    steps.promote(worse, THEN_JUDGED, number, "to see it in production")
    assert champion(worse) == {"champion": number, "previous": "1"}
    with pytest.raises(RegistryError, match=r"was judged against nobody, and now .* is in place"):
        steps.promote(worse, FIRST_JUDGED, run=f"dupn-{DAYS[1]}")
    again = steps.promote(worse, THEN_JUDGED, number, "once more")
    assert again["note"].startswith(f"version {number} is champion already: nothing moved")
    steps.rollback(worse, "it is worse")
    assert champion(worse) == {"champion": "1"}
    moves = [(move["action"], move["why"]) for move in standing.log(worse)[-2:]]
    assert moves == [("promote", "to see it in production"), ("rollback", "it is worse")]
    assert "it is worse" in standing.status(worse)["last move"]


@pytest.mark.parametrize("step", ["register", "canary", "check"])
def test_a_day_on_which_nothing_was_evaluated_is_refused(settings, step):
    with pytest.raises(PartitionMissing, match=r"was evaluated on .*, not on 2027-01-01"):
        getattr(steps, step)(settings, date(2027, 1, 1))
    key = f"dupn-{DAYS[1]}"
    with pytest.raises(PartitionMissing, match=rf"`dupn evaluate --day 2027-01-01 --run {key}`"):
        getattr(steps, step)(settings, date(2027, 1, 1), run=key)


def test_status_says_what_is_there(settings):
    found = standing.status(settings)
    assert found["home"] == settings.home
    assert found["samples days"] == f"{DAYS[0]} to {DAYS[-1]} ({len(DAYS)})"
    assert all(address.startswith(settings.home) for address in found["reports"])


def test_the_ledger_says_what_the_champion_was_trained_on(settings):
    assert standing.log(settings)[0]["trained_on"] == f"{DAYS[0]}..{DAYS[1]}"


def test_a_version_that_is_none_is_refused(settings):
    with pytest.raises(RegistryError, match="version 99 of dupn does not exist"):
        steps.promote(settings, FIRST_JUDGED, "99", "why not")


NEEDS = {"bundle": "evaluate", "canary": "bundle", "register": "bundle", "promote": "gate"}


def test_with_a_model_only_each_step_names_the_one_before_it(settings):
    mine = smoke(settings.home, "line=plain", "train.epochs=1")
    steps.train(mine, DAYS[0], 1)
    for step, needed in NEEDS.items():
        with pytest.raises(PartitionMissing, match=f"Run `dupn {needed}"):
            getattr(steps, step)(mine, DAYS[1])


def test_who_was_not_trained_for_clicks_is_known_to_the_gate(settings):
    assert learning.candidate(settings, FIRST_JUDGED).untrained == {"spp"}
    mine = smoke(settings.home, "line=ranks", "train.epochs=1", 'train.tasks=["l2r"]')
    steps.train(mine, DAYS[0], 1)
    assert learning.candidate(mine, FIRST_JUDGED).untrained == {"ctr", "ppp", "fifp", "spp"}


def test_what_was_trained_again_since_the_gate_is_not_promoted_by_its_old_verdict(settings):
    common = ("line=again", "train.epochs=1", "evaluate.shuffles=false", *LENIENT)
    common += ("gate.tolerance=1.0", "gate.slice_tolerance=1.0")
    first, second = (smoke(settings.home, *common, seed) for seed in ("seed=7", "seed=8"))
    before = champion(settings), len(registry_of(settings).versions())
    for mine in (first, second):
        steps.train(mine, DAYS[0], 1)
        steps.evaluate(mine, DAYS[2])
        if mine is first:
            steps.bundle(mine, DAYS[2])
            assert steps.gate(mine, DAYS[2])["promoted"]
    stale = rf"evaluated again since .* `dupn gate --day {DAYS[2]} --run again-{DAYS[0]}` again"
    for step in (steps.promote, promotion.question):
        with pytest.raises(RegistryError, match=stale):
            step(second, DAYS[2])
    assert steps.gate(second, DAYS[2])["promoted"]
    with pytest.raises(RegistryError, match="packed from other weights than the gate judged"):
        steps.promote(second, DAYS[2])
    assert (champion(settings), len(registry_of(settings).versions())) == before
    steps.bundle(second, DAYS[2])
    promotion._require_judged(
        second, DAYS[2], learning.candidate(second, DAYS[2]), verdict(second, DAYS[2])
    )


@pytest.fixture(scope="module")
def rival(settings):
    """Another line, evaluated and let pass beside the champion."""
    mine = smoke(settings.home, "line=rival", "train.epochs=1", "evaluate.shuffles=false", *LENIENT)
    steps.train(mine, DAYS[0], 1)
    steps.evaluate(mine, DAYS[2])
    return mine


def test_nobody_is_judged_on_what_the_champion_has_learnt(rival):
    learnt = learning.candidate(rival, FIRST_JUDGED, f"dupn-{DAYS[1]}").key
    with pytest.raises(TrainingError, match=f"{learnt} has learnt every moment of {DAYS[1]}"):
        steps.evaluate(rival, DAYS[1])


def test_a_verdict_holds_for_the_day_that_was_evaluated(rival):
    with pytest.raises(PartitionMissing, match=f"evaluated on {DAYS[2]}, not on {DAYS[3]}. Run"):
        steps.gate(rival, DAYS[3])
    steps.gate(rival, DAYS[2])
    with pytest.raises(PartitionMissing, match=f"on {DAYS[2]}, not on {DAYS[3]}. Run `dupn gate"):
        steps.promote(rival, DAYS[3])


def test_another_line_stands_beside_the_champion_with_dimensions_of_its_own(rival):
    known = [version.tags["representation"] for version in registry_of(rival).versions()]
    steps.bundle(rival, DAYS[2])
    assert steps.gate(rival, DAYS[2])["promoted"]
    steps.register(rival, DAYS[2])
    with another_move(rival), pytest.raises(LedgerTaken):
        steps.promote(rival, DAYS[2])
    told = steps.promote(rival, DAYS[2])
    assert champion(rival) == {**champion(rival), "champion": "1", "challenger": told["challenger"]}
    newest = max(int(number) for number in known)
    assert steps.register(rival, DAYS[2])["representation"] == str(newest + 1)
    assert steps.check(rival, DAYS[2])["run"] == f"rival-{DAYS[0]}"
    assert standing.status(rival)["champion"] == f"dupn-{DAYS[1]}"


@pytest.fixture(scope="module")
def night(settings):
    """The champion, updated with a day but for its held-out users, and judged by those."""
    share = ("update.holdout_share=0.4", "evaluate.min_positives=5", "evaluate.min_users=5")
    mine = smoke(settings.home, "evaluate.shuffles=false", *share, *LENIENT)
    steps.update(mine, THEN_JUDGED)
    steps.evaluate(mine, THEN_JUDGED)
    steps.bundle(mine, THEN_JUDGED)
    steps.gate(mine, THEN_JUDGED)
    return mine


def test_a_night_is_judged_by_the_users_that_it_held_out(night):
    mine = learning.candidate(night, THEN_JUDGED)
    assert mine.key == f"dupn-{THEN_JUDGED}"
    assert mine.parent == f"dupn-{DAYS[1]}"
    asked = predictions.load(learning.answers(night.store, mine.key)).questions.moments
    assert len(asked.user) > 0
    assert held_out(asked.user_hash, THEN_JUDGED, 0.4).all()
    assert not mine.ancestry.learnt(THEN_JUDGED, asked.user_hash).any()


def test_a_night_says_how_frozen_heads_do_and_whom_it_was_held_against(night):
    key = f"dupn-{THEN_JUDGED}"
    made = report.read(night.store, key)
    assert made.champion == f"dupn-{DAYS[1]}"
    assert {"frozen_ctr_auc_drop", "representation_change"} <= set(made.metrics)
    assert "frozen ctr_auc" in {check["name"] for check in verdict(night, THEN_JUDGED)["checks"]}
    page = night.store.get(filed.page(key)).decode()
    for said in (
        "Candidate and champion",
        "Heads that others froze",
        "The gate: ",
        "Learnt tonight",
    ):
        assert said in page


def test_a_night_whose_representation_moved_far_says_so_first(night, tmp_path, monkeypatch):
    monkeypatch.setattr(compatibility, "FAR", 0.0)
    mine = night.model_copy(update={"home": str(shutil.copytree(night.home, tmp_path / "home"))})
    steps.evaluate(mine, THEN_JUDGED)
    made = report.read(mine.store, f"dupn-{THEN_JUDGED}")
    assert compatibility.notes(made.compatibility)[0] in made.notes


def test_a_night_answers_what_was_recorded_of_its_held_out_users(night):
    assert steps.canary(night, THEN_JUDGED)["worst"] <= night.canary.tolerance


def served(settings, folder):
    """Which version a service takes now, and from where in the store."""
    source = FromRegistry(registry_of(settings), ("champion",), folder, folder)
    name, place = source.fetch(source.wanted()["champion"])
    return name.version, place.parent.relative_to(settings.home).as_posix()


def test_a_night_keeps_the_dimensions_and_a_rollback_brings_everything_back(night, tmp_path):
    before = champion(night)["champion"]
    number = steps.register(night, THEN_JUDGED)["version"]
    tags = registry_of(night).version(number).tags
    assert (tags["parent"], tags["representation"]) == (f"dupn-{DAYS[1]}", "1")
    assert tags["watermark"] == str(THEN_JUDGED)
    with another_move(night), pytest.raises(LedgerTaken):
        steps.promote(night, THEN_JUDGED)
    assert champion(night)["champion"] == before
    steps.promote(night, THEN_JUDGED, number, "to see it in production")
    assert standing.status(night)["champion"] == f"dupn-{THEN_JUDGED}"
    steps.represent(night, THEN_JUDGED)
    assert served(night, tmp_path) == (number, f"bundles/dupn-{THEN_JUDGED}/v{number}")
    told = steps.rollback(night, "it is worse")
    assert told["champion"] == before
    assert told["run"] == f"dupn-{DAYS[1]}"
    assert told["bundle"].endswith(f"bundles/dupn-{DAYS[1]}/v{before}")
    assert served(night, tmp_path) == (before, f"bundles/dupn-{DAYS[1]}/v{before}")
    assert told["represented"].endswith(f"representations/dupn-{DAYS[1]}/dt={THEN_JUDGED}")
    table = representing.table_of(night.store, f"dupn-{DAYS[1]}", THEN_JUDGED)
    assert set(table.table()["model"].to_pylist()) == {f"dupn-{DAYS[1]}"}
    with pytest.raises(RegistryError, match=f"was champion until .*version {number} --why"):
        steps.promote(night, THEN_JUDGED)
    assert champion(night)["champion"] == before
    found = steps.gate(night, THEN_JUDGED)  # its night, run again
    assert (found["promoted"], "(rollback: it is worse)" in found["failed"][-1]) == (False, True)
