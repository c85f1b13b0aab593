import resource
from datetime import date

import pyarrow as pa
import pytest

from features.items import counts, tally
from features.items.statistics import ITEM, StatisticsConfig


def rows(*found):
    user, item, kind, request = zip(*found, strict=True)
    return pa.table(
        {
            "user_hash": pa.array(user, pa.uint64()),
            "item_id": pa.array(item).dictionary_encode(),
            "type": pa.array(kind, pa.int8()),
            "request_id": pa.array(request, pa.string()),
        }
    )


def pages(*found):
    user, request, items = zip(*found, strict=True)
    return pa.table(
        {
            "user_hash": pa.array(user, pa.uint64()),
            "request_id": pa.array(request, pa.string()),
            "item_ids": pa.array(items, pa.list_(pa.string())),
        }
    )


def counted(table):
    return dict(zip(*(table[name].to_pylist() for name in ("item_id", "page_clicks")), strict=True))


def test_a_click_counts_where_its_users_page_of_that_name_has_its_item():
    """Pages may be logged in samples, and a request id need be unique for its user only."""
    clicks = [(1, "a", 1, "p"), (1, "c", 1, "p"), (1, "a", 1, "unlogged"), (1, "a", 1, None)]
    others = [(2, "c", 1, "p"), (2, "a", 1, "p"), (1, "b", 4, "p"), (3, "a", 1, "p")]
    logged = pages((1, "p", ["a", "b"]), (2, "p", ["c", "c"]), (3, "q", ["a"]), (3, None, []))
    found = tally.clicked(rows(*clicks, *others), logged)
    assert counted(tally.page_clicks([found])) == {"a": 1, "c": 1}


def test_a_display_that_is_clicked_again_and_again_counts_once():
    """Also one whose page is logged on both days; but on another page it is another."""
    clicks = rows(*[(1, "a", 1, "p")] * 3, *[(1, "a", 1, "q")] * 2)
    days = pages((1, "p", ["a"])), pages((1, "p", ["a", "b"]), (1, "q", ["a"]))
    assert counted(tally.page_clicks([tally.clicked(clicks, day) for day in days])) == {"a": 2}


def test_where_nothing_was_clicked_nothing_is_counted():
    found = tally.clicked(rows((1, "a", 1, None)), pages((1, "p", ["a"])))
    none = tally.clicked(rows((1, "a", 1, "p")).slice(0, 0), pages((1, "p", ["a"])).slice(0, 0))
    assert tally.page_clicks([found, none]).equals(tally.TALLY.empty_table())


def test_a_request_that_stands_on_many_pages_takes_no_more_memory_by_their_square():
    """A program may give all that it does one name: 4,000 pages by 4,000 clicks are no pairs."""
    clicks = rows(*[(1, f"i{n}", 1, "p") for n in range(4_000)])
    shown = pages(*[(1, "p", [f"i{n}", f"j{n}"]) for n in range(4_000)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(tally.clicked(clicks, shown)) == 4_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize("half_life", [1, 3, 14, 60, 365])
def test_one_event_of_just_a_half_life_ago_is_evidence_and_of_a_night_more_is_none(half_life):
    day, decay = date(2026, 3, 2), StatisticsConfig(half_life_days=half_life).decay
    state = tally.merge(ITEM.empty_table(), [tally.behaviors(rows((1, "a", 1, "p")))], day, decay)
    for _ in range(half_life):
        state = tally.merge(state, [], day, decay)
    later = tally.merge(state, [], day, decay)
    found = [counts.of_table(one).clicks >= counts.EVIDENCE for one in (state, later)]
    assert found == [True, False]
