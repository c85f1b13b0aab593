"""Questions that bring their own history, and how far a version is from what was recorded of it."""

import copy
import json
from datetime import timedelta

import numpy as np
import pytest

from serving import served
from serving.asking import samples_of
from serving.bundle import RECORDED
from serving.contracts import PastBehavior, question
from tests.chain import logged_bundle, recorded_questions


@pytest.fixture(scope="module")
def recorded(shop):
    return recorded_questions(shop.chain)


def test_a_question_is_heard_as_the_sample_that_it_is(shop, recorded, ids):
    """In no order, with equal times, longer than a hundred, some of it at the moment or after."""
    asked = question(max(recorded, key=lambda one: len(one["question"]["history"]))["question"])
    rng = np.random.default_rng(0)
    minutes = rng.integers(-3, 60, 200)
    assert {0, -1} < set(minutes.tolist())
    given = [
        PastBehavior(item_id=ids[n % 40], type="cart", ts=asked.ts - timedelta(minutes=int(late)))
        for n, late in enumerate(minutes)
    ]
    asked = asked.model_copy(update={"history": given})
    world = shop.served.bundle
    (sample,) = samples_of([asked], world.world, world.profile).to_pylist()
    moment = shop.served.moment_of(asked)
    assert moment.history.item.tolist() == sample["seq_item"]
    assert len(moment.history.item) == 100
    assert moment.history.type.tolist() == sample["seq_type"]
    assert moment.query.tolist() == sample["query"]
    assert moment.profile.tolist() == sample["profile"]


@pytest.mark.parametrize("name", ["ctr", "l2r"])
@pytest.mark.parametrize(("by", "found"), [(0.25, 0.25), (float("nan"), np.inf)])
def test_the_worst_difference_is_of_all_scores_of_all_questions(
    shop, recorded, tmp_path, name, by, found
):
    bundle = logged_bundle(shop.chain)
    assert served.worst_difference(shop.served, bundle) < 1e-5
    changed = copy.deepcopy(recorded[:3])
    changed[-1][name][-1] += by
    (tmp_path / RECORDED).write_text(json.dumps(changed))
    assert served.worst_difference(shop.served, tmp_path) == pytest.approx(found, abs=1e-4)
