"""Published samples tell which of their moments are of the evening before."""

from datetime import timedelta

import numpy as np

from features.property import LocalClock
from tests.samples_log import DAYS, ZONE
from training.data import Reader, Samples


def test_published_samples_tell_the_midnight_at_which_their_day_began(pages):
    clock = LocalClock(ZONE)
    for day in DAYS:
        begins = pages.partition("samples", day).manifest().lineage["begins_ms"]
        assert begins == clock.midnight_ms(day)
        samples = Samples(pages, [day])
        moments = samples.load(Reader(samples, batch_size=8, buffer=10**6).windows(0)[0])
        own = np.array(samples.catalog_days)[moments.day]
        assert (own[moments.ts >= begins] == day).all()
        assert (own[moments.ts < begins] == day - timedelta(days=1)).all()
    assert (moments.ts < begins).any(), "some waited at midnight"
