from dataclasses import replace
from pathlib import Path

import pytest
import torch

from features.ranking import NAMES
from features.schemas import PROPERTIES
from infra.errors import PartitionCorrupt, TrainingError
from infra.store import Store
from tests.other_inputs import learnt_with
from training import checkpoint
from training.batch import VocabularySizes
from training.checkpoint import Checkpoint, Recipe
from training.config import ModelConfig, Task, TrainConfig
from training.data import Position, Samples
from training.fit import fit

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


def test_who_noted_no_properties_has_the_five_of_then_whatever_there_are_now():
    plain = RECIPE.plain()
    assert plain["sizes"].pop("property_names") == list(PROPERTIES)
    five = ("type", "scenario", "gap", "daypart", "weekend")
    assert Recipe.of_plain(plain).sizes.property_names == five


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"property_names": [*PROPERTIES, "parity"]}, r"weekend, parity of a behaviour, this"),
        ({"ranking_names": NAMES[::-1]}, r"\(in another order\)"),
        ({"ranking_names": None, "ranking_features": 33}, "33 ranking features, .* 32"),
    ],
)
def test_a_network_of_other_inputs_is_refused_by_name(
    make_store, days, tiny, quick, tmp_path, sizes, told
):
    final = fit(make_store(tmp_path), days, tiny, quick, seed=1, run_name="run").checkpoint
    learnt_with(final, ranking_names=None, property_names=None)  # as before both were noted
    assert not checkpoint.load_model(final).training
    learnt_with(final, **sizes)
    with pytest.raises(TrainingError, match=f"run/final weighs .*{told}.*train the line anew"):
        checkpoint.load_model(final)


def test_a_difference_is_named():
    other = Recipe(
        model=ModelConfig(hidden_dim=64),
        train=TrainConfig(),
        sizes=SIZES,
        seed=7,
        inputs={"day": "a"},
    )
    assert RECIPE.differences(other) == ["model.hidden_dim was 128 and is 64"]


OTHERWISE = {
    "tasks": (Task.CTR,),
    "weights": {Task.CTR: 2.0},
    "click_prices": 0.5,
    "ranks_unseen": True,
    "batch_size": 7,
    "learning_rate": 0.5,
    "embedding_learning_rate": 0.5,
    "l2": 0.5,
    "embedding_l2": 0.5,
    "epochs": 9,
    "validation_days": 2,
    "patience": 3,
    "precision": "bf16",
    "device": "cpu",
    "threads": 3,
    "shards": 3,
    "shuffle_buffer": 8,
    "checkpoint_every_s": 1.0,
    "resume": False,
    "clip_norm": 0.5,
}


def test_a_run_goes_on_with_other_settings_only_where_they_decide_nothing():
    assert OTHERWISE.keys() == TrainConfig.model_fields.keys()
    free = {
        name
        for name, value in OTHERWISE.items()
        if not RECIPE.differences(replace(RECIPE, train=TrainConfig(**{name: value})))
    }
    assert free == {"checkpoint_every_s", "threads", "device", "resume"}


def test_the_days_that_judge_are_part_of_the_recipe(store, days):
    """Another day of judging keeps another epoch."""
    learnt, judged = (Samples(store, [day]) for day in days)
    found = Recipe.of(learnt, judged, ModelConfig(), TrainConfig(), 1)
    assert found.inputs == checkpoint.inputs(Samples(store, days))
    assert found.catalogs == checkpoint.catalogs(Samples(store, days))
    assert len(set(found.inputs.values())) == 2


def saved(folder):
    place = checkpoint.final(Store(folder), "run")
    weights = {"w": torch.arange(3.0)}
    whole = Checkpoint(
        recipe=RECIPE, position=Position(1, 2), run_id="r", weights=weights, optimizer={},
        rng={}, tallies={},
    )  # fmt: skip
    checkpoint.save(place, whole)
    return place


def files_below(folder) -> list[Path]:
    return sorted(folder.rglob("*.pt"))


def test_a_file_that_is_not_what_was_written_is_refused(tmp_path):
    place = saved(tmp_path)
    assert checkpoint.load(place).weights["w"].tolist() == [0, 1, 2]
    model, _ = files_below(tmp_path)
    raw = bytearray(model.read_bytes())
    raw[raw.index(torch.arange(3.0).numpy().tobytes()) + 6] ^= 1  # it would still load
    model.write_bytes(raw)
    with pytest.raises(
        PartitionCorrupt, match=r"not the file that was published\. Restore .*rollback"
    ):
        checkpoint.load(place)


def test_what_is_cleared_is_gone_and_takes_no_space(tmp_path):
    place = saved(tmp_path)
    assert len(files_below(tmp_path)) == 2
    checkpoint.clear(place)
    assert checkpoint.load(place) is None
    assert not files_below(tmp_path)


def test_another_catalog_is_a_difference():
    corrected = replace(READ, catalogs={"day": "c", "next": "e"})
    assert READ.differences(corrected) == ["catalogs.next was d and is e"]


def test_a_catalog_that_one_side_does_not_know_is_none():
    plain = RECIPE.plain()
    del plain["catalogs"]  # as it was written before catalogs were kept
    assert Recipe.of_plain(plain).differences(READ) == []
    swept = replace(READ, catalogs={"next": "d"})
    assert READ.differences(swept) == []
