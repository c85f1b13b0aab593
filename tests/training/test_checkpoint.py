import pytest

from infra.errors import TrainingError
from training.batch import VocabularySizes
from training.checkpoint import Recipe
from training.config import ModelConfig, TrainConfig

SIZES = VocabularySizes(9, 5, 5, 4, 6, 7, 3, (3, 4), 32)
RECIPE = Recipe(model=ModelConfig(), train=TrainConfig(), sizes=SIZES, seed=7, inputs={"day": "a"})


def test_a_recipe_comes_back_from_json_as_it_was():
    assert Recipe.of_plain(RECIPE.plain()) == RECIPE


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
