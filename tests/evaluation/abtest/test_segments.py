import numpy as np

from evaluation.abtest import segments
from evaluation.abtest.always_valid import Mixture
from evaluation.abtest.effect import compare
from evaluation.abtest.ratios import METRICS
from evaluation.abtest.sufficient import exposed
from tests.evaluation.abtest.rows import ARMS, readout

RULE = Mixture(0.05)
CTR = METRICS["ctr"]


def test_thirds_are_of_the_known_and_by_the_pre_period():
    users = exposed(readout(users=3000), ARMS).users
    names = segments.by_activity(users)
    known = users.seen_before > 0
    assert set(names[~known]) == {"new"}
    counts = [np.sum(names == name) for name in ("light", "middle", "heavy")]
    assert min(counts) > 0.25 * known.sum()
    light, heavy = users.pre_impressions[names == "light"], users.pre_impressions[names == "heavy"]
    assert light.max() < heavy.min()


def test_a_part_is_compared_as_if_it_were_alone():
    users = exposed(readout(users=4000, effect=0.3), ARMS).users
    names = segments.by_activity(users)
    found = segments.effects(users, names, CTR, RULE)
    assert [one.name for one in found] == ["heavy", "light", "middle", "new"]
    assert found[0].effect == compare(users.take(names == "heavy"), CTR, RULE)
    assert found[0].holm >= found[0].effect.p_always
    assert all(one.found == (one.holm < 0.05) for one in found)
    assert any(one.found for one in found)
