"""Live profiles, in the columns of the version that reads them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from infra.store import Store
from serving import snapshot
from serving.http_contracts import Asking
from serving.shown import Chosen
from serving.user_part import TorchPart
from tests.serving.world import BEFORE, open_shop

COLUMNS = ("profile_a", "profile_b", "profile_c")


@pytest.fixture(scope="module")
def known():
    """One user, 7, whose rows are 5, 6 and 4."""
    return replace(
        snapshot.empty(BEFORE), known=np.array([7], np.uint64),
        profiles=np.array([[5, 6, 4]], np.int32), columns=COLUMNS,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (COLUMNS, [5, 6, 4]),
        (("profile_a", "profile_c"), [5, 4]),
        (("profile_a", "profile_aa", "profile_b", "profile_c"), [5, 1, 6, 4]),
        (("profile_c", "profile_b", "profile_a"), [4, 6, 5]),
        (("profile_z",), [1]),
        ((), []),
    ],
    ids=["the same", "fewer", "more", "reordered", "others", "none"],
)
def test_rows_are_those_of_the_columns_asked_and_unknown_where_there_is_none(known, asked, rows):
    assert known.profile(7, asked).tolist() == rows
    assert known.profile(8, asked).tolist() == []


@pytest.fixture(scope="module")
def shop(chain, tmp_path_factory):
    return open_shop(chain, tmp_path_factory.mktemp("shop"))


@pytest.fixture
def home(chain, tmp_path):
    """All that a snapshot of the day is built from, to be changed."""
    for stage in ("events", "vocabulary", "catalog", "sequences"):
        for folder in Path(chain.settings.home, stage).iterdir():
            shutil.copytree(folder, tmp_path / "home" / stage / folder.name)
    return Store(tmp_path / "home")


def add(store, column):
    """A profile column that the shop did not have."""
    users = store.latest("events", BEFORE, "users")
    table = users.table()
    with users.publish() as out:
        more = table.append_column(column, pa.array(["x", "y"] * len(table))[: len(table)])
        out.record([out.write_table("all", more)])
    words = pa.table({"id": ["x", "y"], "row": pa.array([2, 3], pa.int32()), "count": [9, 9]})
    with store.partition("vocabulary", BEFORE, f"profile_{column}").publish() as out:
        out.record([out.write_table("all", words)])


def moments(shop, store, folder):
    """What the service makes of everybody, with a snapshot of that store; and that it answers."""
    snapshot.build(store, BEFORE, folder)
    shop.histories.snapshot = snapshot.load(folder)
    chosen = Chosen(shop.served, "champion")
    people = shop.chain.store.partition("samples", BEFORE).table(["user_id"])["user_id"]
    found = []
    for user in people.unique().to_pylist()[:20]:
        moment, _ = shop.service._moment(Asking(user_id=user), chosen)
        ranker = shop.served.ranker
        mine, whole = ranker.hear(moment), TorchPart(ranker.model).hear(ranker.inputs(moment))
        np.testing.assert_allclose(mine.representation, whole.representation, atol=1e-5)
        found.append(moment.profile.tolist())
    return found


def test_columns_that_the_shop_got_later_change_nothing(shop, home, tmp_path):
    before = moments(shop, shop.chain.store, tmp_path / "before")
    add(home, "a0")
    add(home, "zz")
    assert moments(shop, home, tmp_path / "after") == before
    assert max(map(max, before)) > 1


def test_a_column_that_the_shop_has_no_more_is_unknown(shop, home, tmp_path):
    before = moments(shop, shop.chain.store, tmp_path / "before")
    first, *_ = shop.served.profile_columns
    home.partition("vocabulary", BEFORE, first).remove()
    closing = Path(home.partition("catalog", BEFORE).path, "_manifest.json")
    told = json.loads(closing.read_text())
    told["lineage"]["columns"].remove(first)  # else it is lost
    closing.write_text(json.dumps(told))
    add(home, "zz")  # as many columns as the network has
    after = moments(shop, home, tmp_path / "after")
    assert after == [[1, *rows[1:]] for rows in before]
