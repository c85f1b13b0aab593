from datetime import date

import pytest

from pipeline.raw import accounting

DAY = date(2026, 3, 2)


def counts(read, kept):
    told = accounting.nothing_read("behaviors") + accounting.ignored("behaviors", {"5": 2, "6": 1})
    return {**told, "behaviors_read": read, "behaviors_kept": kept}


def test_a_row_that_nobody_accounts_for_and_one_from_nowhere_are_noticed():
    accounting.check(counts(read=10, kept=7), ["behaviors"], DAY)
    for kept in (6, 8):
        with pytest.raises(AssertionError, match="behaviors of 2026-03-02: read 10"):
            accounting.check(counts(read=10, kept=kept), ["behaviors"], DAY)
