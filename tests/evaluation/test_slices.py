"""Which candidates stand in which slice, against a look at each of them."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation import metrics, slices
from evaluation.comparison import COMPARED, compare
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from features.schemas import Scenario
from infra.config import build, overrides
from tests.evaluation import synthetic

EDGES = (1, 10, 100)
NEW, GAP = 400, 390
"""The first item that no training day met, and one before it."""
CONTEXT = Context(
    price_level=(np.arange(450) % 8).astype(np.int8),
    known_items=np.arange(NEW) != GAP,
    known_users=np.arange(0, 30_000, 2000, dtype=np.uint64),
)
CONFIG = EvaluateConfig(replicates=20, activity_edges=EDGES, min_positives=5, min_users=5)


@pytest.fixture(scope="module")
def drawn():
    """Histories at and beside every edge, items at and beside the first new one."""
    asked, truth = synthetic.questions(users=40)
    history = np.array([0, 1, 2, 9, 10, 11, 99, 100])[np.arange(len(asked.moments.user)) % 8]
    asked = replace(asked, moments=replace(asked.moments, history=history))
    asked.candidates.item[:4] = GAP, NEW - 1, NEW, NEW + 1
    return asked, truth


def activity(history: int) -> str:
    if history == 0:
        return "0 behaviours"
    if history < 10:
        return "1-9 behaviours"
    return "10-99 behaviours" if history < 100 else "100 or more behaviours"


def described(asked, k) -> dict[str, str]:
    """The part of each dimension in which candidate `k` stands."""
    m, item = asked.candidates.moment[k], int(asked.candidates.item[k])
    known = int(asked.moments.user_hash[m]) in CONTEXT.known_users.tolist()
    level = int(CONTEXT.price_level[min(item, 449)])  # the last row stands for later ones
    return {
        "scenario": Scenario(asked.moments.scenario[m]).name.lower(),
        "activity": activity(asked.moments.history[m]),
        "user": "seen in training" if known else "new",
        "item": "new on the day" if item >= NEW or item == GAP else "known before the day",
        "price level": str(level) if level else "unknown",
    }


def test_a_candidate_stands_in_one_part_of_every_dimension(drawn):
    asked, _ = drawn
    count = len(asked.candidates.item)
    found: list[dict[str, str]] = [{} for _ in range(count)]
    for part in slices.candidate_parts(asked, CONTEXT, EDGES):
        for k in np.flatnonzero(part.keep):
            assert part.dimension not in found[k]
            found[k][part.dimension] = part.name
    assert found == [described(asked, k) for k in range(count)]


def test_without_edges_users_of_every_activity_are_one_slice(drawn):
    asked, truth = drawn
    parts = slices.candidate_parts(asked, CONTEXT, ())
    (one,) = [part for part in parts if part.dimension == "activity"]
    assert one.name == "0 or more behaviours"
    assert one.keep.all()
    config = build(EvaluateConfig, overrides(["activity_edges=[]", "replicates=20"]))
    good, bad = (synthetic.predictions(asked, truth, noise=noise) for noise in (0.2, 2.0))
    found = compare(good, bad, CONTEXT, config)
    assert f"ctr_auc[activity={one.name}]" in [other.name for other in found.others]


def test_the_gate_is_shown_every_guarded_slice_and_no_other(drawn):
    asked, truth = drawn
    good, bad = (synthetic.predictions(asked, truth, noise=noise) for noise in (0.2, 2.0))
    found = compare(good, bad, CONTEXT, CONFIG)
    parts = {
        f"ctr_auc[{part.dimension}={part.name}]": part.keep
        for part in slices.candidate_parts(asked, CONTEXT, EDGES)
        if part.dimension in ("scenario", "activity", "item") and part.keep.any()
    }
    assert [one.name for one in found.others] == [*COMPARED, *parts]
    for one in found.others[len(COMPARED) :]:
        keep = parts[one.name]
        mine, theirs = (
            metrics.auc(model.answers.ctr[keep], asked.candidates.clicked[keep])
            for model in (good, bad)
        )
        assert (one.candidate, one.champion) == pytest.approx((mine, theirs))
        assert one.value == pytest.approx(mine - theirs)
        assert one.low < one.value < one.high
