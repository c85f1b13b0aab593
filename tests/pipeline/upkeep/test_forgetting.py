"""A person taken out of the raw log is nowhere in the data after a backfill and a sweep.

docs/operations.md ("Forgetting a person") says how, what a version keeps, and how that goes, too.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest

from pipeline import steps
from pipeline.represent import represented
from pipeline.upkeep import whereis
from tests import chain as chains
from tests.chain import DAYS

KEPT = {"bundles", "mlflow", "reports/offline"}
"""What a version was judged by and is checked with goes with the version."""
OURS = {"truth"}
"""The simulator's own; no shop has it."""
SETTINGS = ("retention.attempt_hours=1e-9", "retention.state_days=3", "represent.keep_days=2")
PAGE = Path(__file__).parents[3] / "docs" / "operations.md"

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A chain of its own, since files go that MLflow knows by their address; and who is in it.

    One of whom the bundle holds a question, and who is in a follow moment that was judged.
    """
    chain = chains.run(tmp_path_factory.mktemp("forgetting"))
    settings = chains.smoke(chain.settings.home, *SETTINGS)
    asked = [one["question"]["user_id"] for one in chains.recorded_questions(chain)]
    return settings, next(one for one in asked if places(settings, one) >= KEPT)


def places(settings, person):
    """Stages of the store whose files hold the id, or its hash."""
    parts = [one["place"].split("/") for one in whereis.run(settings, person)]
    return {"/".join(one[: 1 + (one[0] == "reports")]) for one in parts}


def take_out(settings, person):
    for day in DAYS:
        for name in settings.store.partition("raw", day).names():
            part = settings.store.partition("raw", day, name)
            rows = part.table()
            if "user_id" in rows.column_names:
                other = pc.fill_null(pc.not_equal(rows["user_id"], person), True)
                lineage = part.manifest().lineage
                with part.publish(**lineage) as out:
                    out.record([out.write_table("rows", rows.filter(other))])


def test_who_is_taken_out_of_raw_is_in_no_table_nor_after_a_rollback_nor_in_mlflow(home):
    settings, person = home
    assert {"raw", "events", "sequences", "samples", *KEPT} <= places(settings, person)
    steps.represent(settings, DAYS[0])
    assert "representations" in places(settings, person)
    parent = chains.with_child(settings)

    take_out(settings, person)
    steps.backfill(settings, DAYS[0], DAYS[-1])
    steps.represent(settings, DAYS[-1])
    steps.sweep(settings, DAYS[-1])
    assert places(settings, person) == KEPT | OURS | {"representations"}  # that of `previous`

    steps.rollback(settings, "worse")
    assert represented.current(settings.store).key == f"representations/{parent}/dt={DAYS[-1]}"
    assert places(settings, person) == KEPT | OURS

    as_the_page_says(settings, [parent])
    assert places(settings, person) == OURS


def as_the_page_says(settings, keys):
    """Delete versions, models and runs, then what MLflow keeps of them, then our folders."""
    section = PAGE.read_text().partition("## Forgetting a person")[2].partition("\n## ")[0]
    python, shell = (
        re.search(rf"^```{one}\n(.*?)^```$", section, re.M | re.S)[1] for one in ("python", "sh")
    )
    there = {"DUPN_HOME": settings.home, "KEYS": " ".join(keys)}
    tools = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for command in ([sys.executable, "-c", python], ["sh", "-ec", shell]):
        subprocess.run(command, env={**os.environ, **there, **tools}, check=True)
