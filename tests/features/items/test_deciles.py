from dataclasses import replace

import numpy as np

from features.items import deciles
from features.items.counts import COUNTED, Counts, Overall
from features.items.statistics import StatisticsConfig

DECAY = StatisticsConfig().decay
FIRST = 2
"""Of the tag vocabulary; eleven rows a statistic: none, and ten deciles."""


def tags(**values):
    size = len(next(iter(values.values())))
    counts = Counts(**{n: np.array(values.get(n, [0] * size), np.float32) for n in COUNTED})
    market = Overall(ctr=0.2, cvr=0.1)
    market = replace(market, edges=deciles.edges(counts, market))
    return (deciles.tag_rows(counts, market) - FIRST - [0, 11, 22]).T.tolist()


def test_ten_items_are_ten_deciles_of_each_statistic():
    up = np.arange(10)
    popularity, ctr, cvr = tags(
        impressions=[50] * 10, page_clicks=up, clicks=[20] * 10, purchases=up, carts=90 - 9 * up
    )
    assert ctr == cvr == list(range(1, 11))
    assert popularity == ctr[::-1]


def test_without_evidence_there_is_no_decile():
    """Of displays for click-through, of clicks for conversion, of anything for popularity."""
    shown, bought, clicked = 1, 2, 3
    popularity, ctr, cvr = tags(
        impressions=[0, 9, 0, 0],
        page_clicks=[0, 0, 0, 3],
        clicks=[0, 0, 0, 9],
        purchases=[0, 0, 5, 0],
    )
    assert [at for at, decile in enumerate(popularity) if decile] == [bought, clicked]
    assert [at for at, decile in enumerate(ctr) if decile] == [shown]
    assert [at for at, decile in enumerate(cvr) if decile] == [clicked]


def test_before_there_are_statistics_there_are_no_tags():
    assert not deciles.tag_rows(Counts.zeros(3), Overall()).any()


def test_one_event_within_the_half_life_is_evidence_and_one_long_ago_is_none():
    """So the first fortnight of a home leaves nothing out."""
    ages = np.array([0, 1, 13, 20, 400])
    once = (DECAY**ages).astype(np.float32)
    popularity, ctr, cvr = tags(impressions=once, clicks=once)
    for found in (popularity, ctr, cvr):
        assert [decile > 0 for decile in found] == [True, True, True, False, False]


def test_what_is_no_longer_sold_leaves_the_deciles_to_what_is():
    """Ten items come and go a day, each sold for a hundred days; by now there were 4,650."""
    today, lives, rng = 365, 100, np.random.default_rng(4)
    born = np.repeat(np.arange(-lives, today), 10)
    died = np.minimum(born + lives, today)
    of_a_day = DECAY ** (today - died) * (1 - DECAY ** (died - born)) / (1 - DECAY)
    clicks = rng.lognormal(0, 1, len(born)) * of_a_day
    rate = rng.uniform(0.5, 1.5, (2, len(born))) * [[0.2], [0.1]]  # of the market's
    found = tags(
        clicks=clicks,
        impressions=20 * clicks,
        page_clicks=20 * clicks * rate[0],
        purchases=clicks * rate[1],
    )
    for deciles_of in found:
        of = np.bincount(np.array(deciles_of)[died == today], minlength=11)[1:]
        share = of[of > 0] / of.sum()
        assert -(share * np.log2(share)).sum() > 2.9, of  # bits, of 3.32
