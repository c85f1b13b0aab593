"""Wide's features of every task: what each reads, and that padding is nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from features import ranking
from features.schemas import PRICE_LEVELS
from training.config import Task
from training.peers import crosses
from training.peers.crosses import CLICKS, OF_TASK, last_clicks
from training.peers.ftrl import ABSENT

QUESTIONS = {
    Task.CTR: "cand_C",
    Task.L2R: "cand_C",
    Task.PPP: "price_level_K",
    Task.FIFP: "icon_I",
    Task.SPP: "shop_S",
}


def questions(batch, task):
    return len(getattr(batch, QUESTIONS[task]))


@pytest.mark.parametrize("task", Task)
def test_a_question_is_a_row(task, asked, wide):
    rows = OF_TASK[task](asked, wide)
    leading = (PRICE_LEVELS,) if task is Task.PPP else ()
    assert rows.shape[:-1] == (questions(asked, task), *leading)
    assert rows.min() >= ABSENT
    assert rows.max() < 1 << wide.bits


@pytest.mark.parametrize("task", Task)
def test_padding_adds_nothing(task, asked, wide, more_padding):
    one, other = (OF_TASK[task](b, wide) for b in (asked, more_padding(asked)))
    for before, after in zip(one.reshape(-1, one.shape[-1]), other.reshape(-1, other.shape[-1]),
                             strict=True):  # fmt: skip
        assert sorted(before[before > ABSENT]) == sorted(after[after > ABSENT])


@pytest.mark.parametrize("task", Task)
@pytest.mark.parametrize("name", ["profile_BP", "seq_BT"])
def test_profile_and_last_clicks_are_read(task, name, asked, wide):
    other = replace(asked, **{name: getattr(asked, name).roll(1, 0)})
    assert not np.array_equal(OF_TASK[task](asked, wide), OF_TASK[task](other, wide))


def test_no_clicks_before_the_last_three_are_crossed(asked):
    nothing = replace(asked, seq_BT=asked.seq_BT[:, :0], type_BT=asked.type_BT[:, :0])
    assert len(last_clicks(asked)) == len(last_clicks(nothing)) == CLICKS == 3


@pytest.mark.parametrize(("task", "name"), [(Task.FIFP, "icon_I"), (Task.SPP, "shop_S")])
def test_what_is_asked_about_is_read(task, name, asked, wide):
    other = replace(asked, **{name: getattr(asked, name) % 5 + 1})
    assert not np.array_equal(OF_TASK[task](asked, wide), OF_TASK[task](other, wide))


@pytest.mark.parametrize("name", ranking.NAMES[1:])
def test_ranking_knows_every_ranking_feature_and_clicks_only_the_items(name, asked, wide):
    given = asked.cand_features_CF.clone()
    given[:, ranking.NAMES.index(name)] += 1.0
    other = replace(asked, cand_features_CF=given)

    def read(task):
        return not np.array_equal(OF_TASK[task](asked, wide), OF_TASK[task](other, wide))

    assert read(Task.L2R)
    assert read(Task.CTR) == (name not in crosses.HISTORY)


@pytest.mark.parametrize("name", ranking.NAMES[1:])
def test_clicks_without_statistics_see_the_price_level_alone(name, asked, wide):
    bare = wide.model_copy(update={"statistics": False})
    given = asked.cand_features_CF.clone()
    given[:, ranking.NAMES.index(name)] += 1.0
    other = replace(asked, cand_features_CF=given)
    read = not np.array_equal(OF_TASK[Task.CTR](asked, bare), OF_TASK[Task.CTR](other, bare))
    assert read == (name == crosses.LEVEL)


def test_price_levels_have_weights_of_their_own(asked, wide):
    rows = OF_TASK[Task.PPP](asked, wide.model_copy(update={"bits": 26}))
    missing = rows == ABSENT
    assert (missing == missing[:, :1]).all()
    for feature in rows.transpose(0, 2, 1).reshape(-1, PRICE_LEVELS):
        assert len(set(feature)) == (1 if feature[0] == ABSENT else PRICE_LEVELS)


def test_price_questions_see_the_tags_of_the_last_click(asked, wide):
    """A price level is a tag: that is all a network knows of what somebody pays."""
    tags = torch.where(asked.items.tags_UG > 0, asked.items.tags_UG % 7 + 1, 0)
    other = replace(asked, items=replace(asked.items, tags_UG=tags))
    assert not np.array_equal(OF_TASK[Task.PPP](asked, wide), OF_TASK[Task.PPP](other, wide))
