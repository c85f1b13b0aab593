"""Days that arms ranked are lived again by the same ones, by nobody else where a day went on."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from evaluation.marketplace import state
from evaluation.marketplace.arms import Arm, Split, Stamp, assignment, ranking
from evaluation.marketplace.play import Marketplace, play
from evaluation.marketplace.policies import PopularityWithNoise
from evaluation.marketplace.run import Writer, simulate
from evaluation.marketplace.spoil import spoil_day
from infra.errors import ConfigError
from infra.store import Store
from tests.evaluation.marketplace.conftest import FIRST
from tests.evaluation.marketplace.test_run import TINY, digests

SECOND, THIRD, FOURTH = (FIRST + timedelta(days=n) for n in (1, 2, 3))
SHARES = {"policy": 0.5, "shuffled": 0.5}
ARMS = (
    Arm(Stamp(variant="policy", line="policy"), PopularityWithNoise),
    Arm(Stamp(variant="shuffled", line="policy"), PopularityWithNoise, shuffled=True),
)
WHO = assignment(TINY.users, "salt", SHARES)


def lived_by_arms(store: Store, today: date) -> str:
    """As `pipeline.abtest.closed_loop.World.live` does; who ranked it."""
    market = Marketplace.build(TINY, 1)
    ranked = ranking(WHO, ARMS)
    played = play(market, state.restore(store, today, market), today, Split.of(WHO, ARMS),
                  [arm.stamp for arm in ARMS])  # fmt: skip
    Writer(store, today, market, ranked).write(played)
    return ranked


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The policy ranked the first and the last of four days, arms those between."""
    made = Store(tmp_path)
    simulate(made, FIRST, 1, TINY, 1)
    for day in (SECOND, THIRD):
        lived_by_arms(made, day)
    simulate(made, FOURTH, 1, TINY, 1)
    return made


@pytest.mark.parametrize(("first", "days"), [(SECOND, 1), (FIRST, 2), (SECOND, 2)])
def test_the_policy_does_not_live_a_day_again_that_a_later_one_went_on_from(store, first, days):
    before = digests(store, 4)
    after = first + timedelta(days=days)
    said = (
        rf"truth/dt={SECOND}/state was left by a day that was ranked by arms policy = policy and "
        rf"shuffled = policy, shuffled \(users \w+\), and {after} goes on from there: "
        rf"ranked by the logging policy, .* up to {FOURTH} anew \(--first {SECOND} --days 3\)"
    )
    with pytest.raises(ConfigError, match=said):
        simulate(store, first, days, TINY, 1)
    assert digests(store, 4) == before


def test_days_are_lived_again_by_whoever_ranked_them(store):
    before = digests(store, 4)
    lived_by_arms(store, SECOND)
    market = Marketplace.build(TINY, 1)
    state.require_ranked(store, [SECOND, THIRD], THIRD, ranking(WHO, ARMS))
    state.require_place(store, [SECOND], market)
    simulate(store, FIRST, 1, TINY, 1)
    simulate(store, FOURTH, 1, TINY, 1)
    assert digests(store, 4) == before


def test_all_days_up_to_the_end_may_be_ranked_by_others(store, tmp_path):
    simulate(store, SECOND, 3, TINY, 1)
    plain = Store(tmp_path / "plain")
    simulate(plain, FIRST, 4, TINY, 1)
    assert digests(store, 4) == digests(plain, 4)
    simulate(store, THIRD, 1, TINY, 1)  # nothing is left of the arms


def test_arms_do_not_live_again_what_others_ranked(store):
    market = Marketplace.build(TINY, 1)
    said = f"dt={FIRST}/state was left by a day that was ranked by the logging policy, and {SECOND}"
    with pytest.raises(ConfigError, match=said):
        state.require_ranked(store, [FIRST], FIRST, ranking(WHO, ARMS))
    state.require_ranked(store, [FOURTH], FOURTH, ranking(WHO, ARMS))  # nothing follows
    assert state.goes_on(store, THIRD)
    state.require_place(store, [FIRST], market)


def test_a_spoilt_day_of_the_policy_is_mended_by_living_it_again(store):
    sound = digests(store, 4)
    simulate(store, FIRST, 1, TINY, 1)
    spoil_day(store, FIRST, 0.3, 1)
    assert digests(store, 4) != sound
    simulate(store, FIRST, 1, TINY, 1)
    assert digests(store, 4) == sound


def test_a_state_says_who_ranked_its_day_unless_it_was_the_policy(store):
    """States of before say nothing, and their bytes and lineage stay as they were."""
    said = [store.partition("truth", day, "state").manifest().lineage for day in (FIRST, SECOND)]
    assert said[0].keys() == {"dataset", "seed", "config", "day", "code", "wall_s"}
    assert said[1].keys() == {*said[0], "ranked"}


def test_who_ranks_differs_where_arms_or_their_users_do():
    others = [
        (WHO, ARMS[::-1]),
        (1 - WHO, ARMS),
        (WHO, (ARMS[0], Arm(ARMS[0].stamp, PopularityWithNoise))),
        (WHO, (ARMS[0], Arm(ARMS[1].stamp, PopularityWithNoise, 0.1, shuffled=True))),
        (WHO, (ARMS[0], Arm(Stamp(variant="shuffled", model_version="7", line="policy"),
                            PopularityWithNoise, shuffled=True))),
    ]  # fmt: skip
    assert len({ranking(np.asarray(who), arms) for who, arms in [(WHO, ARMS), *others]}) == 6
