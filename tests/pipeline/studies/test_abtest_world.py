"""A cell of the A/B study: a tiny world, a day learnt from, and a day lived in every world."""

import pytest

from evaluation.abtest import effect
from evaluation.studies import abtest
from evaluation.studies.abtest import BEFORE, DUPN, SPLIT, TWINS, Shape
from infra.progress import quiet
from pipeline.settings import load
from pipeline.studies.abtest_world import AbtestWorld
from tests.pipeline.studies.test_studying import TINY

pytestmark = pytest.mark.drill
SHAPE = Shape(trained=1, lived=1)


@pytest.fixture(scope="module")
def cell(tmp_path_factory):
    home = str(tmp_path_factory.mktemp("abtest"))
    pairs = ["train.threads=1", "train.epochs=1", "train.batch_size=64", "update.epochs=1"]
    small = TINY | {"users": 150}  # of sixty, an arm's pages of one day are too few to judge by
    tiny = [f"marketplace.{name}={value}" for name, value in small.items()]
    settings = load("abtest", home, [*pairs, *tiny])
    with quiet("abtest", total=SHAPE.steps) as progress, pytest.MonkeyPatch.context() as patch:
        patch.setattr(effect, "FEWEST", 10)  # an interval that keeps its promise needs more users
        patch.setattr(effect, "FEWEST_HAVING", 1)
        return AbtestWorld(settings, SHAPE, progress).cell("x")


def test_every_world_lives_with_its_arms(cell):
    lived = {(one.world, one.arm) for one in cell.lived}
    assert lived == {*((name, name) for name in TWINS), (SPLIT, BEFORE), (SPLIT, DUPN)}


def test_the_split_world_is_estimated_by_the_experiments_own_statistics(cell):
    estimated = {figure.name: figure for figure in cell.estimated}
    assert set(estimated) == {"ctr", "sales", "orders", "price_precision"}
    assert estimated["ctr"].low < estimated["ctr"].value < estimated["ctr"].high
    assert "dupn over predecessor minus 1" in estimated["ctr"].protocol
    found = {figure.name: figure for figure in abtest.headline([cell])}
    assert found["uplift_split_estimated_ctr"].value == estimated["ctr"].value
