"""Which days the marketplace lives of its own accord: those that are missing among days of its own.

The data set `marketplace` may be a real log as well. Its next day is late, not missing, so nothing
is invented beside or after what somebody else has sent; what is there is kept, whoever made it.
"""

from collections.abc import Sequence
from datetime import date
from itertools import groupby

from features.carry import ONE_DAY
from pipeline.raw import arrival
from pipeline.settings import Settings


def is_next(settings: Settings, day: date) -> bool:
    """Whether a night's day is the marketplace's: it lived the day before, and this is missing."""
    from evaluation.marketplace import state

    store, eve = settings.store, day - ONE_DAY
    missing = settings.dataset == "marketplace" and not arrival.is_there(store, day)
    return missing and state.saved(store, eve) and _alone(settings, (eve, day))


def stretches(settings: Settings, wanted: Sequence[date]) -> list[tuple[date, int]]:
    """First day and length of each stretch of `wanted` that an initial run has to simulate.

    None where a wanted day, or the nearest one before or after, is somebody else's; nor what
    would go on from a day whose end the marketplace has not kept, or begin again after a gap.
    """
    from evaluation.marketplace import state

    if settings.dataset != "marketplace" or not _alone(settings, _around(settings, wanted)):
        return []
    store, found = settings.store, []
    for there, group in groupby(wanted, lambda day: arrival.is_there(store, day)):
        days = list(group)
        goes_on = state.saved(store, days[0] - ONE_DAY)
        if not there and (goes_on or not _lived_before(settings, days[0])):
            found.append((days[0], len(days)))
    return found


def _lived_before(settings: Settings, day: date) -> bool:
    known = (one for one in settings.store.dates("raw") if one < day)
    return any(arrival.is_there(settings.store, one) for one in known)


def _alone(settings: Settings, days: Sequence[date]) -> bool:
    from evaluation.marketplace import own

    return not any(own.strangers(settings.store, day) for day in days)


def _around(settings: Settings, wanted: Sequence[date]) -> list[date]:
    """The wanted days, and on either side the nearest that raw has a folder of."""
    known = settings.store.dates("raw")
    before = [day for day in known if day < wanted[0]][-1:]
    return [*before, *wanted, *[day for day in known if day > wanted[-1]][:1]]
