"""What the page of Table 2 says beside its figures, from cells that are made up."""

import pytest

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.studies import table2_report
from evaluation.studies.contest import Table
from evaluation.studies.neighbours import TOO_FEW
from evaluation.studies.protocol import Plan
from evaluation.studies.table2_report import Heading
from infra.store import Store
from tests.evaluation.studies.test_contest import GOOD, MODELS, fit, score, table
from training.config import Task

PLAN = Plan(network="as is", market=MarketplaceConfig(), learnt=3, judges=1, asked=2)
HEADING = Heading({name: f"Row {name}" for name in MODELS})


def answering():
    """All rows answer clicks, one answers everything."""
    found = table(GOOD)
    rest = [
        fit("all", task, world.seed, 0.7)
        for task in (Task.L2R, Task.FIFP, Task.PPP)
        for world in found.worlds
    ]
    return Table(found.worlds, [*found.fits, *rest], MODELS)


def written(folder, found):
    store = Store(folder)
    table2_report.write(store, "table2", found, [], HEADING, PLAN)
    return store.get("reports/study/table2/report.md").decode()


@pytest.fixture
def page(tmp_path):
    return written(tmp_path, answering())


def test_every_row_has_its_headroom_on_every_task_that_it_answers(page):
    _, _, grid = page.partition("## Headroom")
    rows = [line for line in grid.partition("\n## ")[0].splitlines() if line.startswith("| Row")]
    share = table(GOOD).headroom("all", Task.CTR)
    assert [row.split(" | ")[0] for row in rows] == [f"| Row {name}" for name in MODELS]
    assert rows[-1] == (
        f"| Row all | - | {share.value:.2f} ({share.low:.2f} to {share.high:.2f}) | - | - |"
    )


def test_what_is_asked_is_counted(page):
    assert "Asked in a world: l2r, ctr: 100 candidates; fifp: 100 icons; ppp: 100 purchases" in page
    assert (
        "Data.** simulated marketplaces of the seeds 1, 2, 3, a world each of 2,500 users" in page
    )


def test_one_score_for_clicks_and_ranks_says_how_near_the_two_questions_are(tmp_path, page):
    assert "l2r asks the candidates of ctr" not in page  # nothing answers both
    found = answering()
    worlds = [
        world.model_copy(update={"others": {
            **world.others,
            "ceiling": (*world.others["ceiling"], score(Task.L2R, 0.9 - 0.00004, world.seed)),
        }})
        for world in found.worlds
    ]  # fmt: skip
    page = written(tmp_path, Table(worlds, found.fits, MODELS))
    assert "has the same AUC there to within 0.00004 in each world" in page


def test_no_p_is_corrected_where_none_was_computed(tmp_path):
    whole = answering()
    two = Table(whole.worlds[:2], [one for one in whole.fits if one.seed < 3], MODELS)
    assert "corrected for all 2" in written(tmp_path / "three", whole)
    few = written(tmp_path / "two", two)
    assert "corrected for all" not in few
    assert few.count(f"none has a p: {TOO_FEW}") == 2
