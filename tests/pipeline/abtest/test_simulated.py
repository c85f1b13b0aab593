"""`dupn abtest simulate`: a day that three arms live, said by the truth and by the statistics."""

from dataclasses import replace

import pytest

from evaluation.abtest import effect
from evaluation.marketplace.arms import assignment
from features.carry import ONE_DAY
from infra.errors import ConfigError, PartitionMissing, RegistryError
from pipeline import steps
from pipeline.abtest import arm_sources, closed_loop, simulated
from pipeline.abtest.simulated import Wanted
from pipeline.release import standing
from tests import nights
from tests.chain import FIRST, PAIRS, smoke
from tests.drills.homes import Homes
from tests.pipeline.abtest.test_closed_loop import RAW, TODAY

SOURCES = {"dupn": "champion", "shuffled": "shuffled:champion", "policy": "policy"}
SHARES = {"dupn": 0.4, "shuffled": 0.4, "policy": 0.2}


def wanted(**over):
    return Wanted(**{"days": 1, "arms": SOURCES, "shares": SHARES, "salt": "s", **over})


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """The smoke chain's home with its registry, in which a day more is lived."""
    homes = Homes(tmp_path_factory.mktemp("simulated"), chain.settings.home)
    return smoke(homes.work, "living.exploration=0.0")


@pytest.fixture(scope="module")
def before(settings):
    return standing.log(settings)


@pytest.fixture(scope="module")
def lived(settings, before):
    """The smallest world has too few users for an interval that keeps its promise; here it has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(effect, "FEWEST", 10)
        patch.setattr(effect, "FEWEST_HAVING", 1)
        return simulated.run(settings, wanted(twins=True))


def digests(settings):
    return {name: settings.store.partition("raw", TODAY, name).digest() for name in RAW}


def test_it_goes_on_after_the_newest_day_with_histories(lived):
    assert lived["days"] == [str(TODAY)]
    assert {(one["world"], one["arm"]) for one in lived["lived"]} == {
        *(("split", arm) for arm in SOURCES),
        *((arm, arm) for arm in SOURCES),
    }


def test_scores_dealt_anew_cost_what_the_truth_says(lived):
    """Where everybody meets them; a split of so few users is noisier than the loss."""
    whole = lived["expected"]["shuffled"]["twins"][-1]
    assert whole["day"] == 0
    assert whole["ctr"] < -0.1
    assert whole["orders"] < -0.1
    assert lived["expected"]["shuffled"]["split"][-1]["ctr"] < 0


def test_what_is_expected_is_a_share_of_what_was_lived(lived):
    """By hand, from the day's sums of each twin."""
    of = {one["arm"]: one for one in lived["lived"] if one["world"] == one["arm"]}
    ctr = {arm: one["clicks"] / one["shown"] for arm, one in of.items()}
    for other in ("shuffled", "policy"):
        said = lived["expected"][other]["twins"][0]["ctr"]
        assert said == pytest.approx(ctr[other] / ctr["dupn"] - 1)


def test_users_are_split_by_the_hash_that_serving_uses(settings, lived):
    arm_of = assignment(settings.marketplace.users, "s", SHARES)
    for number, arm in enumerate(SOURCES):
        (mine,) = [o for o in lived["lived"] if (o["world"], o["arm"]) == ("split", arm)]
        assert mine["users"] == (arm_of == number).sum()


def test_every_other_arm_is_estimated_with_intervals(lived):
    assert set(lived["estimated"]) == {"shuffled", "policy"}
    for arm, figures in lived["estimated"].items():
        known = {one["name"]: one for one in figures}
        assert set(known) == set(simulated.MEASURES)
        ctr = known["ctr"]
        assert ctr["low"] < ctr["value"] < ctr["high"]
        assert ctr["protocol"].startswith(f"{arm} over dupn")
        expected = lived["expected"][arm]["split"][-1]["ctr"]
        assert ctr["low"] < expected < ctr["high"]


def test_the_split_world_is_as_it_would_be_without_twins(settings, lived):
    with_twins = digests(settings)
    simulated.run(settings, wanted(first=TODAY))
    assert digests(settings) == with_twins


def test_nobody_is_promoted_by_it(settings, before, lived):
    assert standing.log(settings) == before
    assert settings.store.get(f"reports/abtest/simulated/{TODAY}-{TODAY}.json") is not None


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("somebody", ConfigError, "somebody names no arm. Say policy, predecessor"),
        ("shuffled:", ConfigError, "shuffled: names no arm"),
        ("line:nobody", RegistryError, "no version of line nobody is champion or challenger"),
        ("bundle:nothing", PartitionMissing, "nothing"),
    ],
)
def test_a_source_that_there_is_not_is_refused(settings, lived, source, error, words):
    with pytest.raises(error, match=words):
        simulated.run(settings, wanted(arms={**SOURCES, "policy": source}))
    assert settings.store.days("raw", "behaviors")[-1] == TODAY


def test_only_the_marketplace_can_live_on(settings):
    log = smoke(settings.home, "dataset=taobao_userbehavior")
    with pytest.raises(ConfigError, match="is a log of the past"):
        simulated.run(log, wanted())


def test_somebody_must_have_done_something_before(tmp_path):
    with pytest.raises(ConfigError, match="no histories are published"):
        simulated.run(smoke(tmp_path, *PAIRS), wanted())


@pytest.mark.parametrize("shares", [{"champion": 1.0}, {"policy": 1.0, "champion": 0.0}])
def test_an_effect_is_of_two_arms_that_somebody_sees(tmp_path, shares):
    """Refused before anything is lived, not when there is nothing to estimate."""
    alone = wanted(arms={arm: arm for arm in shares}, shares=shares)
    with pytest.raises(ConfigError, match=r"two arms or more .* a share above 0"):
        simulated.run(smoke(tmp_path, *PAIRS), alone)


def test_without_arms_the_policy_is_held_against_the_champion(settings):
    assert simulated.running(settings)["arms"] == {"policy": "policy", "champion": "champion"}


@pytest.mark.parametrize(
    "options",
    [
        ("--arm", "dupn"),
        ("--arm", "dupn=champion", "--arm", "other="),
        ("--arm", "a=champion", "--arm", "b=policy", "--share", "1.0"),
        ("--arm", "a=champion", "--arm", "a=policy"),
    ],
)
def test_an_arm_needs_a_source_and_shares_go_with_arms(at_home, options):
    code, _, said = at_home("abtest", "simulate", *options)
    assert code == 2
    assert "give `--arm NAME=SOURCE` for every arm" in " ".join(said.replace("│", " ").split())


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        (dict.fromkeys(SOURCES, 0.2), "add up to"),
        (
            {"dupn": 0.4, "shuffled": 0.6 - 1e-6, "policy": 1e-6},
            "none of 200 users is in arm policy",
        ),
    ],
)
def test_shares_are_refused_before_anything_else_is_looked_at(tmp_path, shares, said):
    """So nobody lives in vain; this home would not do either."""
    with pytest.raises(ConfigError, match=said):
        simulated.run(smoke(tmp_path, *PAIRS), wanted(shares=shares))


@pytest.fixture(scope="module")
def young(tmp_path_factory):
    """Two days of a world so small that nobody has learnt anything of it yet."""
    settings = nights.settings(tmp_path_factory.mktemp("young"), 1, "marketplace.users=200")
    steps.simulate(settings, FIRST, 2)
    for day in (FIRST, FIRST + ONE_DAY):
        for stage in closed_loop.STATE:
            getattr(steps, stage)(settings, day)
    return settings


POLICIES = {"a": "policy", "b": "shuffled:policy"}
HALVES = dict.fromkeys(POLICIES, 0.5)


def test_arms_that_look_into_no_histories_are_estimated_too(young):
    """The read-out reads the events of the days, whoever has ranked their pages."""
    found = simulated.run(young, wanted(days=2, arms=POLICIES, shares=HALVES))
    assert found["days"] == [str(FIRST + ONE_DAY * n) for n in (2, 3)]
    assert {one["name"] for one in found["estimated"]["b"]} >= {"ctr", "sales"}
    simulated.run(young, wanted(days=1, arms=POLICIES, shares=HALVES))  # and can be gone on from


def ends(settings, *days):
    """What the days' states hold."""
    states = [settings.store.partition("truth", day, "state").manifest() for day in days]
    return [file.sha256 for state in states for file in state.files]


@pytest.mark.parametrize("twins", [False, True])
def test_a_day_that_went_on_is_lived_again_by_its_arms_and_by_no_others(young, monkeypatch, twins):
    """Refused before anybody lives, twins too: a twin's home is thrown away, so none is asked."""
    first, last = FIRST + 2 * ONE_DAY, FIRST + 3 * ONE_DAY
    again = wanted(first=first, days=1, twins=twins, arms=POLICIES, shares=HALVES)
    simulated.run(young, wanted(first=first, days=2, arms=POLICIES, shares=HALVES))
    before = ends(young, first, last)
    simulated.run(young, again)
    monkeypatch.setattr(closed_loop, "play", None)
    with pytest.raises(ConfigError, match="from there: ranked by arms a = policy and b = policy "):
        simulated.run(young, replace(again, arms={"a": "policy", "b": "policy"}))
    with pytest.raises(ConfigError, match=f"{last} goes on from there: ranked by the logging"):
        steps.simulate(young, first, 1, spoil=0.1)
    assert ends(young, first, last) == before


def test_a_later_day_that_other_arms_ranked_is_refused_when_it_is_reached(young):
    """Who ranks it is not known before: a night may promote. Those before it are as they were."""
    first, second, third = (FIRST + n * ONE_DAY for n in (2, 3, 4))
    both = {name: arm_sources.contender(young, of, None) for name, of in POLICIES.items()}
    world = closed_loop.World.split(young, both, HALVES, "s")
    other = closed_loop.World.split(young, {**both, "b": both["a"]}, HALVES, "s")
    for day, one in ((first, world), (second, other), (third, world)):
        one.live(day)
    before = ends(young, first, second, third)
    with pytest.raises(ConfigError, match=f"dt={second}/state was left .* and {third} goes on"):
        simulated.run(young, wanted(first=first, days=2, arms=POLICIES, shares=HALVES))
    assert ends(young, first, second, third) == before


@pytest.mark.parametrize(
    ("over", "first", "error", "said"),
    [
        ({"seed": 8}, FIRST, ConfigError, "another seed or other settings"),
        ({}, FIRST + 40 * ONE_DAY, PartitionMissing, "needs the histories of the day before"),
    ],
)
def test_days_that_nobody_can_live_on_are_refused_before_anybody_lives(
    young, over, first, error, said
):
    known = young.store.days("raw", "behaviors")
    other = young.model_copy(update=over)
    with pytest.raises(error, match=said):
        simulated.run(other, wanted(first=first, arms=POLICIES, shares=HALVES))
    assert young.store.days("raw", "behaviors") == known
