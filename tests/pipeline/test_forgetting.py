"""A person taken out of the raw log is nowhere in the data after a backfill and a sweep.

docs/operations.md ("Forgetting a person") says how, and what a version keeps.
"""

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.buckets import hash_ids
from pipeline import steps
from tests import chain as chains
from tests.chain import DAYS

KEPT = {"bundles", "mlflow", "reports/offline"}
"""What a version was judged by and is checked with goes with the version."""
OURS = {"truth"}
"""The simulator's own; no shop has it."""

pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    home = tmp_path_factory.mktemp("forgetting") / "home"
    shutil.copytree(chain.settings.home, home)
    return chains.smoke(home, "retention.attempt_hours=1e-9")


@pytest.fixture(scope="module")
def person(chain):
    """One of whom the bundle holds a question, and who is in a follow moment that was judged."""
    asked = [one["question"]["user_id"] for one in chains.recorded_questions(chain)]
    return next(one for one in asked if places(chain.settings.home, one) >= KEPT)


def places(home, person):
    """Stages of the store whose files hold the id, or its hash."""
    names = person, str(hash_ids(pa.array([person]))[0])
    found = set()
    for file in Path(home).rglob("*"):
        if file.is_file() and any(name in _text(file) for name in names):
            first, second, *_ = file.relative_to(home).parts
            found.add(f"{first}/{second}" if first == "reports" else first)
    return found


def _text(file):
    if file.suffix == ".parquet":
        return str(pq.read_table(file).to_pydict())
    return file.read_bytes().decode("latin-1")


def test_who_is_taken_out_of_raw_is_in_no_table_after_a_backfill_and_a_sweep(settings, person):
    before = places(settings.home, person)
    assert {"raw", "events", "sequences", "samples", *KEPT} <= before
    for day in DAYS:
        for name in settings.store.partition("raw", day).names():
            part = settings.store.partition("raw", day, name)
            rows = part.table()
            if "user_id" in rows.column_names:
                other = pc.fill_null(pc.not_equal(rows["user_id"], person), True)
                lineage = part.manifest().lineage
                with part.publish(**lineage) as out:
                    out.record([out.write_table("rows", rows.filter(other))])
    steps.backfill(settings, DAYS[0], DAYS[-1])
    steps.sweep(settings, DAYS[-1])
    assert places(settings.home, person) == KEPT | OURS
