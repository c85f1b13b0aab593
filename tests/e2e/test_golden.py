"""The smoke chain gives what it gave (`golden.json`), here, in another home, and again."""

import json

import pytest

from pipeline import steps
from pipeline.release import standing
from tests.chain import DAYS, FIRST, smoke
from tests.e2e import golden

GOLDEN = json.loads(golden.FILE.read_text())
TOLERANCE = 0.002
"""On one machine with one thread the figures are equal; another CPU adds in another order."""
DATA = ("events", "vocabulary", "statistics", "sequences", "samples")
TWO = DAYS[:2]
LEAVES = {
    "raw": ("behaviors", "impressions", "follows", "items"),
    "events": ("behaviors", "impressions", "follows", "items"),
    "rejects": ("",),
    "vocabulary": ("item", "token"),
    "catalog": ("",),
    "statistics": ("item", "price", "lr_ctr"),
    "sequences": ("history", "open", "pool"),
    "samples": ("",),
}


def digests(store, days=TWO):
    """Digest by partition; absent ones are absent in both or the test fails."""
    found = {}
    for stage, names in LEAVES.items():
        for day in days:
            for name in names:
                partition = store.partition(stage, day, *([name] if name else []))
                if partition.exists():
                    found[partition.key] = partition.digest()
    return found


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A second home that lives the first two days only."""
    settings = smoke(tmp_path_factory.mktemp("other"))
    steps.simulate(settings, FIRST, len(TWO))
    for day in TWO:
        for step in DATA:
            getattr(steps, step)(settings, day)
    return settings


def test_every_table_has_its_rows(chain):
    assert golden.rows(chain.store) == GOLDEN["rows"]


def test_the_figures_are_those_of_before(chain):
    now = golden.figures(chain)
    assert set(now) == set(GOLDEN["figures"])
    for name, value in now.items():
        assert value == pytest.approx(GOLDEN["figures"][name], abs=TOLERANCE), name


def test_the_chain_ends_with_a_champion(chain):
    assert chain.result["promoted"]
    assert standing.status(chain.settings)["aliases"] == {"champion": "1"}


def test_another_home_holds_the_same_data(chain, other):
    """And the days that follow change nothing of the days before."""
    mine, theirs = digests(chain.store), digests(other.store)
    assert mine == theirs
    assert {f"samples/dt={day}" for day in TWO} <= set(mine)


def test_a_day_done_again_is_the_same(other):
    before = digests(other.store)
    for step in DATA:
        getattr(steps, step)(other, TWO[-1])
    assert digests(other.store) == before


def test_nothing_is_written_beside_the_home(chain):
    """MLflow's defaults are files in the working directory."""
    assert chain.result
    assert list(chain.ran_in.iterdir()) == []
