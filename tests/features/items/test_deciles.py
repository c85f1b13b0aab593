from dataclasses import replace

import numpy as np

from features.items import deciles
from features.items.counts import COUNTED, Counts, Overall

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
