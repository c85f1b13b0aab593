"""What was learnt, what is missing, what is held back."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from features.holdout import held_out
from training.ancestry import Ancestry, Part, Share


def d(day: int) -> date:
    return date(2026, 3, day)


WHOLE = [Part(day=d(i), moments=10, digest=f"x{i}") for i in (1, 2, 3)]
NIGHT = Part(day=d(5), share=Share.REST, held=0.1, moments=9)
USERS = np.random.default_rng(2).integers(0, 2**64, 500, np.uint64)


def described(parts):
    return [(part.day.day, part.share.value, part.held) for part in parts]


def test_what_is_missing_is_every_day_of_which_nothing_was_learnt():
    found = Ancestry((*WHOLE, NIGHT))
    assert found.missing(d(7)) == (d(4), d(6), d(7))
    assert Ancestry().missing(d(7)) == ()
    assert (found.watermark, found.moments) == (d(5), 39)


def test_a_day_that_is_learnt_late_is_no_watermark():
    late = Ancestry((NIGHT, Part(day=d(3))))
    assert (late.days, late.watermark) == ((d(3), d(5)), d(5))
    assert late.missing(d(6)) == (d(4), d(6))


def test_missing_days_and_held_out_users_wait_oldest_first():
    found = Ancestry((*WHOLE, NIGHT))
    assert described(found.waiting(d(6))) == [(4, "all", 0), (5, "holdout", 0.1), (6, "all", 0)]
    assert described(found.waiting(d(4))) == [(4, "all", 0)]


def test_held_out_users_who_were_learnt_wait_no_longer():
    joined = Ancestry((NIGHT, Part(day=d(5), share=Share.HOLDOUT, held=0.1, moments=1)))
    assert joined.waiting(d(5)) == ()
    assert (joined.held(d(5)), Ancestry((NIGHT,)).held(d(5))) == (None, 0.1)


def test_of_a_day_learnt_again_with_a_larger_share_only_the_smaller_one_is_unknown():
    again = Ancestry((NIGHT, Part(day=d(5), share=Share.REST, held=0.3)))
    assert again.held(d(5)) == 0.1
    assert described(again.waiting(d(5))) == [(5, "holdout", 0.1)]
    assert np.array_equal(~again.learnt(d(5), USERS), held_out(USERS, d(5), 0.1))


def test_rest_and_holdout_split_the_users_of_a_day():
    rest, holdout = (Part(day=d(5), share=s, held=0.1) for s in (Share.REST, Share.HOLDOUT))
    assert (rest.mask(USERS) ^ holdout.mask(USERS)).all()
    assert np.array_equal(holdout.mask(USERS), held_out(USERS, d(5), 0.1))
    assert Part(day=d(5)).mask(USERS) is None


def test_what_was_learnt_of_a_day_is_known_by_user():
    held = held_out(USERS, d(5), 0.1)
    assert np.array_equal(Ancestry((NIGHT,)).learnt(d(5), USERS), ~held)
    joined = Ancestry((NIGHT,)).grown([Part(day=d(5), share=Share.HOLDOUT, held=0.1)])
    assert joined.learnt(d(5), USERS).all()
    assert not joined.learnt(d(6), USERS).any()


def test_an_ancestry_comes_back_from_the_lineage_as_it_was():
    sale = Part(day=d(6), share=Share.REST, held=0.2, digest="y", moments=3, weight=0.5)
    forced = Part(day=d(7), moments=4, forced="the report was wrong")
    found = Ancestry((*WHOLE, NIGHT, sale, forced))
    again = Ancestry.of_lineage({"ancestry": found.plain()})
    assert again == found
    assert again.digest == found.digest != Ancestry((*WHOLE, NIGHT)).digest


@pytest.mark.parametrize(
    "other",
    [
        {"day": d(6)},
        {"share": Share.HOLDOUT},
        {"held": 0.2},
        {"digest": "y"},
        {"moments": 8},
        {"weight": 0.5},
        {"forced": "by hand"},
    ],
)
def test_whatever_was_learnt_otherwise_is_another_ancestry(other):
    parts = *WHOLE, replace(NIGHT, **other)
    assert Ancestry(parts).digest != Ancestry((*WHOLE, NIGHT)).digest
    assert Ancestry.of_plain(Ancestry(parts).plain()).parts == parts


def test_a_digest_that_an_earlier_release_put_in_a_version_s_tags_is_today_s():
    sale = replace(NIGHT, weight=0.5, digest="y", forced="by hand")
    assert Ancestry((WHOLE[0], sale)).digest == "bbc9318d1836"


def test_a_checkpoint_from_before_there_were_updates_learnt_its_days_whole():
    lineage = {"days": ["2026-03-01"], "recipe": {"inputs": {"2026-03-01": "x1"}}}
    assert Ancestry.of_lineage(lineage).parts == (Part(day=d(1), digest="x1"),)


@pytest.mark.parametrize("share", Share)
def test_a_part_says_only_what_is_not_usual(share):
    plain = Part(day=d(1), share=share, moments=5).plain()
    assert plain == {"day": "2026-03-01", "share": share.value, "moments": 5}
