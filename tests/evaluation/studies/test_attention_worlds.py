"""What is told of single worlds: Figure 8's histories, and the spread of Figure 9."""

import pytest

from evaluation.bootstrap import Interval
from evaluation.studies import attention_report, attention_worlds
from evaluation.studies.attention import Example, Seen
from evaluation.studies.attention_map import BUCKETS, TYPES
from evaluation.studies.cells import figure

EXAMPLE = Example(
    user="00ff",
    queries=("red shoes", "bags"),
    categories=("c1", "c2"),
    place=(0, 1, -1, 0),
    weights=((0.1, 0.5, 0.2, 0.2), (0.25, 0.6, 0.05, 0.1)),
)


def seen(seed, heat=1.0, oldest=None, example=None):
    """A world whose map is `heat` everywhere but for the oldest behaviours."""
    cells = [(kind, bucket) for kind in TYPES for bucket in BUCKETS]
    figures = tuple(
        figure(
            f"attention_heat_{kind.name.lower()}_{bucket.key}",
            Interval(oldest if bucket is BUCKETS[-1] and oldest is not None else heat),
            "x uniform",
            "",
        )
        for kind, bucket in cells
    )
    return Seen(settings="", seed=seed, judged={}, moments=1, users=1, known=1, matched=1,
                figures=figures, behaviours=(), example=example)  # fmt: skip


def test_shares_are_of_the_whole_history_and_its_whole_weight():
    held, given = attention_worlds.shares(EXAMPLE)
    assert held.tolist() == [0.5, 0.25], "one of four behaviours is in neither"
    assert given.tolist() == [pytest.approx([0.3, 0.5]), pytest.approx([0.35, 0.6])]


def test_a_query_whose_category_is_not_the_heaviest_is_told_beside_what_guessing_gives():
    grid = attention_worlds.examples([seen(1, example=EXAMPLE), seen(2), seen(3, example=EXAMPLE)])
    one = ["1", "red shoes", "50%", "30%", "no"], ["1", "bags", "25%", "60%", "yes"]
    assert grid.rows[:2] == list(one)
    assert [row[0] for row in grid.rows] == ["1", "1", "3", "3"]
    assert "the query's in 2 of 4; guessing gives 2." in grid.note


def test_figure_8_tells_categories_apart_by_letters_too(monkeypatch):
    monkeypatch.setattr(attention_report, "png", lambda figure: figure.axes[0])
    ax = attention_report._figure_8(EXAMPLE)
    assert [letter.get_text() for letter in ax.texts] == ["A", "B", "", "A"]
    rows = [tick.get_text() for tick in ax.get_yticklabels()]
    assert rows == ["A  red shoes", "B  bags", "categories"]
    told = [words.get_text() for words in ax.get_legend().get_texts()]
    assert told == ["A  c1", "B  c2", "another"]


def test_a_world_unlike_the_others_is_seen_in_the_range():
    grid = attention_worlds.ranges([seen(1, 0.002), seen(2, 0.004), seen(3, 0.436)])
    assert set(grid.rows[-1][1:]) == {"0.002 to 0.436"}
    assert set(attention_worlds.ranges([seen(1, 5.71), seen(2, 6.06)]).rows[0][1:]) == {
        "5.71 to 6.06"
    }


def test_a_cell_that_is_blank_in_one_world_has_the_range_of_the_others():
    blank = seen(1, float("nan"))
    assert attention_worlds.ranges([blank, seen(2, 2.0)]).rows[0][1] == "2.00 to 2.00"
    assert attention_worlds.ranges([blank]).rows[0][1] == "-"


def test_the_oldest_behaviours_are_held_against_those_before_them_world_by_world():
    worlds = [seen(seed, 0.2, oldest) for seed, oldest in ((1, 0.5), (2, 0.6), (3, 0.7))]
    told = attention_worlds.oldest(worlds).rows[0]
    assert told == ["click", "+0.400 (+0.152 to +0.648)"]
    unsure = [seen(1, 0.2, 0.1), seen(2, 0.2, 0.6)]
    assert attention_worlds.oldest(unsure).rows[0] == ["click", "+0.150"], "two have no interval"
    blank = seen(4, 0.2, float("nan"))
    assert attention_worlds.oldest([*worlds, blank]).rows[0] == ["click", "-"], "of all, or of none"
