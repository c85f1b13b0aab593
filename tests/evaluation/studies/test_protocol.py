"""What every report says of itself, as HTML, JSON and Markdown have it."""

import pytest

from evaluation.marketplace.config import MarketplaceConfig
from evaluation.results import Figure
from evaluation.studies import page, protocol
from evaluation.studies.asking import Score
from evaluation.studies.cells import Cell
from evaluation.studies.page import Grid, Page, Picture
from evaluation.studies.protocol import NEEDED, Plan, Setup
from infra.store import Store
from pipeline.settings import load
from training.config import Task

CELLS = [Cell(settings="b"), Cell(settings="a")]
SAID = {**dict.fromkeys(NEEDED, "as ever"), "Settings": protocol.settings(fits=CELLS)}


def written(**changed):
    figure = Figure(name="one_auc", value=0.5, unit="AUC", protocol="5 worlds.")
    return Page(**{"study": "some", "title": "Some study", "lead": "It leads.", "protocol": SAID,
                   "figures": [figure], **changed})  # fmt: skip


def scores(*questions):
    return [None if n is None else Score(measure="m", value=0.5, questions=n) for n in questions]


def test_questions_say_days_people_how_many_and_negatives():
    plan = Plan(learnt=10, judges=1, asked=2, network="", market=MarketplaceConfig(),
                shares={Task.CTR: 0.5, Task.SPP: 0.2})  # fmt: skip
    assert plan.questions({Task.CTR: scores(1200, 900), Task.PPP: scores(7, None)}) == (
        "10 days learnt, the next 1 day judging, the next 2 days asked; ctr of 50% of the users, "
        "else all. Asked in a world: ctr: 900 to 1,200 candidates; ppp: 7 purchases. Negatives: "
        "ctr: shown on the page and not clicked; ppp: none, the level of what is bought is asked"
    )
    assert "; all users. Asked in a world: fifp: 8 icons. Negatives: fifp: " in plan.questions(
        {Task.FIFP: scores(8)}
    )


def test_tasks_that_ask_as_many_are_counted_together():
    asked = {Task.L2R: scores(5, 9), Task.CTR: scores(9, 5), Task.SPP: scores(5, 9)}
    assert protocol.counted(asked) == (
        "Asked in a world: l2r, ctr: 5 to 9 candidates; spp: 5 to 9 shops"
    )
    assert set(protocol.ANSWERS) == set(Task)


def test_data_say_how_large_a_world_is():
    setup = Setup(network="", market=MarketplaceConfig(users=6000, items=4500))
    assert setup.data([1, 3]) == (
        "simulated marketplaces of the seeds 1, 3, a world each of 6,000 users and, on its first "
        "day, 4,500 items"
    )


def test_a_network_says_what_it_adds_to_the_paper(tmp_path):
    def said(preset, *changes):
        chosen = load(preset, str(tmp_path), changes)
        return protocol.network(chosen.model, chosen.train, chosen.samples)

    assert said("paper").endswith("Beyond the paper's equations: nothing")
    assert "of 124, states of 64 and a representation of 128 numbers" in said("study")
    for change in (
        "model.ranks_with_ctr=true", "model.ranks_with_query=true", "model.price_memory=true",
        "train.click_prices=0.5", "train.ranks_unseen=true", "samples.weight_of_price=1.3",
        "model.interaction=product",
    ):  # fmt: skip
        words = said("paper", change).rpartition(": ")[2]
        assert words != "nothing", change
        assert words in said("abtest"), change


def test_negatives_of_every_task_are_said():
    assert set(protocol.NEGATIVES) == set(Task)


def test_the_digest_hangs_on_every_cell_and_not_on_their_order():
    before = protocol.digest(CELLS)
    assert protocol.digest(reversed(CELLS)) == before
    assert protocol.digest([*CELLS, Cell(settings="a")]) != before
    assert protocol.settings(fits=CELLS) == f"{before}, of the digests of 2 fits (b, a)"


def test_every_figure_ends_with_the_settings_of_its_report(tmp_path):
    said = page.publish(Store(tmp_path), written())
    end = f"5 worlds; settings {protocol.digest(CELLS)}"
    assert [one["protocol"] for one in said["figures"]] == [end]
    assert end in page.html(written())


@pytest.mark.parametrize("name", NEEDED)
def test_a_report_that_leaves_something_out_is_not_published(tmp_path, name):
    rest = {one: words for one, words in SAID.items() if one != name}
    with pytest.raises(AssertionError, match=name):
        page.publish(Store(tmp_path), written(protocol=rest))


def test_what_the_command_says_has_the_protocol_that_its_figures_rest_on(tmp_path):
    assert page.publish(Store(tmp_path), written())["protocol"] == SAID


def test_markdown_links_each_picture_beside_it_with_its_words(tmp_path):
    pictures = {"auc": Picture("Everybody", b"", "Bars: x * y."), "log": Picture("The log", b"")}
    page.publish(Store(tmp_path), written(pictures=pictures))
    text = (tmp_path / "reports/study/some/report.md").read_text()
    links = "- [Everybody](auc.png). Bars: x \\* y.\n- [The log](log.png)\n"
    assert text.endswith(f"\n\n## Pictures\n\n{links}")


def test_markdown_has_all_but_names_of_figures(tmp_path):
    grid = Grid("A table", ["", "a|b"], [["x", "study.*"]], "A note.")
    page.publish(Store(tmp_path), written(grids=[grid], said=["It holds."]))
    text = (tmp_path / "reports/study/some/report.md").read_text()
    assert text.startswith("# Some study\n\nIt leads.\n\n## Protocol\n\n- **Data.** as ever\n")
    assert "## What it shows\n\n- It holds.\n" in text
    table = "|  | a\\|b |\n| --- | --- |\n| x | study.\\* |\n"
    assert text.endswith(f"## A table\n\nA note.\n\n{table}")
    assert "one_auc" not in text
