from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

from evaluation import ceiling
from evaluation.questions import Candidates, Icons, Moments, Prices, Questions, Shops
from features import catalog
from features.questions.moments import page_ids
from infra.store import Store
from tests.training.conftest import FIRST, write_store

NONE = np.empty(0, np.int64)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    """Items i0.. have catalog rows 2..; their price level is 1 + number % 7; icons likewise."""
    store = write_store(tmp_path_factory.mktemp("truth"), days=1, moments=4)
    write(store, FIRST - timedelta(days=1), ["late"], [["i0", "i1"]], [[0.1, 0.2]])
    write(
        store,
        FIRST,
        ["a", "b"],
        [["i3", "i4", "i4", "i10", "i10", "i10"], ["i5", "lost"]],
        [[0.3, 0.4, 0.5, 0.1, 0.1, 0.1], [0.6, 0.7]],
    )
    follows = pa.table(
        {
            "user_id": ["u", "u"],
            "icon_id": ["icon3", "icon4"],
            "ts": pa.array([77, 77], pa.int64()),
            "p_follow": [0.8, 0.9],
        }
    )
    with store.partition("truth", FIRST, "follows").publish() as out:
        out.record([out.write_table("part", follows)])
    return store


def write(store: Store, day: date, requests, items, chances) -> None:
    pages = pa.table(
        {
            "request_id": requests,
            "item_ids": pa.array(items, pa.list_(pa.string())),
            "p_click": chances,
            "p_purchase": [[p / 10 for p in page] for page in chances],
            "p_click_seen": [[p / 2 for p in page] for page in chances],
        }
    )
    with store.partition("truth", day, "pages").publish() as out:
        out.record([out.write_table("part", pages)])


def asked() -> Questions:
    pages = pa.chunked_array([["b", "a", "late", "gone"]])
    moments = [*page_ids(np.arange(4, dtype=np.uint64), pages).to_pylist(), "follow-u-77"]
    candidate = [(0, 7), (0, 1), (1, 5), (1, 6), (1, 9), (2, 3), (3, 5)]  # (moment, catalog row)
    count = len(candidate)
    zeros = np.zeros(count, np.int8)
    return Questions(
        moments=Moments(
            sample_id=np.array(moments, object),
            user=np.zeros(5, np.int64),
            user_hash=np.zeros(5, np.uint64),
            ts=np.zeros(5, np.int64),
            scenario=np.ones(5, np.int8),
            query_tokens=np.zeros(5, np.int64),
            history=np.zeros(5, np.int64),
        ),
        candidates=Candidates(
            moment=np.array([m for m, _ in candidate]),
            item=np.array([row for _, row in candidate], np.int32),
            clicked=zeros,
            label=zeros,
            weight=zeros,
            purchased=zeros,
            origin=zeros,
        ),
        prices=Prices(moment=np.array([1, 3]), level=np.array([0, 0], np.int8)),
        icons=Icons(
            moment=np.array([4, 4, 0]),
            icon=np.array([6, 5, 5], np.int32),
            followed=np.zeros(3, np.int8),
        ),
        shops=Shops(moment=NONE, shop=NONE.astype(np.int32), preferred=NONE.astype(np.int8)),
    )


def test_the_truth_is_joined_by_request_and_item(store):
    found = ceiling.scores(store, FIRST, asked(), catalog.load(store, FIRST))
    nan = float("nan")
    # i5; an item nobody knows; i3; i4 twice on the page; not on it; the day before; no such page
    click = [0.6, nan, 0.3, nan, nan, 0.2, nan]
    assert found.best["ctr_auc"] == pytest.approx(click, nan_ok=True)
    assert found.best["l2r_purchase_auc"] == pytest.approx(np.array(click) / 10, nan_ok=True)
    assert found.visible["ctr_auc"] == pytest.approx(np.array(click) / 2, nan_ok=True)


def test_the_likeliest_level_sums_over_the_page(store):
    found = ceiling.scores(store, FIRST, asked(), catalog.load(store, FIRST))
    assert found.best["ppp_precision"] == pytest.approx(
        [4, float("nan")], nan_ok=True
    )  # twice i4: 1 + 4; i10 is shown thrice, and seldom bought


def test_follows_are_joined_by_user_time_and_icon(store):
    found = ceiling.scores(store, FIRST, asked(), catalog.load(store, FIRST))
    assert found.best["fifp_auc"] == pytest.approx([0.9, 0.8, float("nan")], nan_ok=True)


def test_a_real_log_has_no_truth(tmp_path):
    store = write_store(tmp_path, days=1, moments=4)
    found = ceiling.scores(store, FIRST, asked(), catalog.load(store, FIRST))
    assert not found.best
    assert not found.visible
