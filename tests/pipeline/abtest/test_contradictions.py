"""What the counts of an experiment's read-outs say about the log itself."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from evaluation.abtest.experiment import Experiment
from infra.store import Store
from pipeline.abtest import contradictions

FIRST = date(2026, 3, 2)
TRIAL = Experiment(id="e", first_day=FIRST, arms={"old": 0.5, "new": 0.5})
SOUND = {
    "pages_old": 300, "pages_new": 200, "all_pages": 900, "without_arm": 400,
    "armless_old": 200, "armless_new": 200,
}  # fmt: skip


def broken(root, *counts):
    """The sentences about days with these counts."""
    store, days = Store(root), []
    for number, counted in enumerate(counts):
        part = store.partition("readout", FIRST + timedelta(days=number))
        with part.publish() as out:
            out.record([out.write_table("part", pa.table({"a": [1]}), counts=counted)])
        days.append(part)
    return list(contradictions.broken(days, TRIAL))


def test_a_sound_log_says_nothing(tmp_path):
    assert broken(tmp_path, SOUND, SOUND) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("misassigned", "carry another arm than the hash"),
        ("other_line", "were answered by another line"),
        ("too_late", "arrived after the day"),
        ("repeated_pages", "carry a request id that another page has"),
    ],
)
def test_more_than_one_page_in_a_thousand_of_the_arms_is_told(tmp_path, name, said):
    assert broken(tmp_path, SOUND | {name: 1}, SOUND) == []
    (told,) = broken(tmp_path, SOUND | {name: 1}, SOUND | {name: 1})
    assert told.startswith(f"2 of 1,000 pages {said}")


def test_pages_of_one_arm_that_lost_it_are_told_and_those_of_another_surface_are_not(tmp_path):
    even = {"armless_old": 190, "armless_new": 210}
    squares = {"armless_squares_old": 380, "armless_squares_new": 420}
    assert broken(tmp_path, SOUND | even | squares, SOUND | even | squares) == []
    (told,) = broken(tmp_path, SOUND | even | squares | {"armless_new": 310})
    assert told == (
        "310 pages without an arm are of users whom the hash gives new, where 250 of the 500 would "
        "be by its share: pages of new lost their arm."
    )


def test_a_read_out_of_before_lost_arms_were_counted_is_to_be_made_again(tmp_path):
    older = {name: count for name, count in SOUND.items() if not name.startswith("armless")}
    (told,) = broken(tmp_path, SOUND, older)
    assert told.startswith("2026-03-03: read out by an earlier release")
    assert "`dupn abtest readout --id e --day 2026-03-03` again" in told
    assert broken(tmp_path / "other", SOUND, older | {"without_arm": 0}) == []


def test_one_heavy_user_without_an_arm_is_no_proof_of_a_loss(tmp_path):
    """A monitor's pages fall on one arm, however many; its share of a small arm is no chance."""
    trial = TRIAL.model_copy(update={"arms": {"old": 0.95, "new": 0.05}})
    counts = {"armless_old": 100, "armless_squares_old": 200, "armless_new": 900}
    counts |= {"armless_squares_new": 890**2 + 10, "armless_largest_new": 890}
    store = Store(tmp_path)
    part = store.partition("readout", FIRST)
    with part.publish() as out:
        out.record([out.write_table("part", pa.table({"a": [1]}), counts=SOUND | counts)])
    assert list(contradictions.broken([part], trial)) == []


def test_many_pages_of_few_users_are_no_proof_of_a_loss(tmp_path):
    few = {"armless_new": 310, "armless_old": 190, "armless_squares_new": 310**2}
    assert broken(tmp_path, SOUND | few) == []


def test_a_loss_is_told_however_many_files_the_read_out_has(tmp_path):
    """Each file has a user with one page, the most of any; 64 of them are no user with 64 pages."""
    per = {"armless_old": 4, "armless_squares_old": 4, "armless_largest_old": 1}
    per |= {"armless_new": 7, "armless_squares_new": 7, "armless_largest_new": 1}
    part = Store(tmp_path).partition("readout", FIRST)
    with part.publish() as out:
        rows = pa.table({"a": [1]})
        first = out.write_table("first", rows, counts={"pages_old": 300, "pages_new": 300})
        out.record([first, *(out.write_table(f"{n}", rows, counts=per) for n in range(64))])
    (told,) = contradictions.broken([part], TRIAL)
    assert told.endswith("pages of new lost their arm.")


def test_a_day_on_which_an_arm_showed_nothing_is_named(tmp_path):
    dry = {name: count for name, count in SOUND.items() if name != "pages_new"}
    assert broken(tmp_path, SOUND, dry, SOUND) == ["no page of arm new was logged on 2026-03-03."]


def test_a_log_without_pages_says_so_and_counts_against_none(tmp_path):
    assert broken(tmp_path, {}) == [
        "no page of arm old was logged on 2026-03-02.",
        "no page of arm new was logged on 2026-03-02.",
    ]
