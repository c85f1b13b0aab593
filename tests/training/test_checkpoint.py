from dataclasses import replace

import pytest

from infra.errors import TrainingError
from training.batch import VocabularySizes
from training.checkpoint import Recipe
from training.config import ModelConfig, TrainConfig

SIZES = VocabularySizes(9, 5, 5, 4, 6, 7, 3, (3, 4), 32)
RECIPE = Recipe(model=ModelConfig(), train=TrainConfig(), sizes=SIZES, seed=7, inputs={"day": "a"})
READ = replace(RECIPE, catalogs={"day": "c", "next": "d"})


def test_a_recipe_comes_back_from_json_as_it_was():
    assert Recipe.of_plain(RECIPE.plain()) == RECIPE
    assert Recipe.of_plain(READ.plain()) == READ


def test_a_checkpoint_of_another_version_is_refused_by_the_setting_s_name():
    plain = RECIPE.plain()
    plain["model"]["embedding_std"] = 0.3
    with pytest.raises(TrainingError, match=r"embedding_std = 0\.3.*train again"):
        Recipe.of_plain(plain)


def test_a_difference_is_named():
    other = Recipe(
        model=ModelConfig(hidden_dim=64),
        train=TrainConfig(),
        sizes=SIZES,
        seed=7,
        inputs={"day": "a"},
    )
    assert RECIPE.differences(other) == ["model.hidden_dim was 128 and is 64"]


def test_another_catalog_is_a_difference():
    corrected = replace(READ, catalogs={"day": "c", "next": "e"})
    assert READ.differences(corrected) == ["catalogs.next was d and is e"]


def test_a_catalog_that_one_side_does_not_know_is_none():
    plain = RECIPE.plain()
    del plain["catalogs"]  # as it was written before catalogs were kept
    assert Recipe.of_plain(plain).differences(READ) == []
    swept = replace(READ, catalogs={"next": "d"})
    assert READ.differences(swept) == []
