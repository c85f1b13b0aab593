"""A day of an experiment whose pages are lost, of all arms alike."""

import re
import shutil
from datetime import timedelta

import pytest

from infra.errors import PartitionMissing
from pipeline import steps
from pipeline.abtest import experiments, looks, reporting, verdicts
from tests import experiment_log as logs
from tests.experiment_log import FIRST, Shop

ID, SHOP, NEXT = "new-for-old", Shop(effect=2.0), FIRST + timedelta(days=1)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """The night of the first day went on without its impressions."""
    made = logs.settings(tmp_path_factory.mktemp("lost"))
    logs.live(made, logs.experiment(), SHOP, 0)
    logs.lines(made)
    experiments.start(made, logs.experiment())
    logs.write(logs.Path(made.home), FIRST, logs.experiment(), SHOP)
    shutil.rmtree(logs.Path(made.home, "raw", f"dt={FIRST}", "impressions"))
    for step in (steps.events, steps.vocabulary, steps.statistics):
        step(made, FIRST)
    return made


def test_a_day_without_pages_is_read_out_where_the_settings_do_not_wait_for_them(mine):
    said = f"`dupn --set 'nightly.tables=[\"behaviors\"]' abtest readout --id {ID} --day {FIRST}`"
    for tables in ([], ["nightly.tables=['behaviors', 'impressions']"]):
        with pytest.raises(PartitionMissing, match=re.escape(said)):
            looks.readout(logs.settings(mine.home, *tables), ID, FIRST)
    without = logs.settings(mine.home, "nightly.tables=['behaviors']")
    told = looks.readout(without, ID, FIRST)
    assert told["rows"] == 0
    assert told["note"].startswith(
        f"events/dt={FIRST} has no impressions, for which nightly.tables"
    )
    alone = verdicts.verdict(mine, ID, FIRST)
    assert alone["reasons"][0].startswith(f"no page of arm old was logged on {FIRST}.")


def test_it_breaks_no_experiment_that_has_other_pages_and_the_page_says_so(mine):
    logs.live(mine, logs.experiment(), SHOP, 2, since=1)
    looks.readout(mine, ID, NEXT)
    told = verdicts.verdict(mine, ID, NEXT)
    assert (told["outcome"], told["trusted"]) == ("ship", True), told["reasons"]
    page = reporting.made(mine, experiments.find(mine.store, ID), NEXT)
    assert page.lineage["Without pages"] == f"{FIRST}: those of all arms are lost"


def test_where_its_pages_come_after_all_it_is_read_out_again(mine):
    logs.write(logs.Path(mine.home), FIRST, logs.experiment(), SHOP)
    steps.events(mine, FIRST)
    with pytest.raises(PartitionMissing, match=f"rests on events/dt={FIRST}/impressions as it was"):
        verdicts.conclude(mine, ID, NEXT)
    for day in (FIRST, NEXT):  # whose pages before midnight are there now
        assert "note" not in looks.readout(mine, ID, day)
    page = reporting.made(mine, experiments.find(mine.store, ID), NEXT)
    assert "Without pages" not in page.lineage
