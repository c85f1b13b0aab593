"""What is registered is not trained over, and whose night is not promoted against a decision."""

import shutil
from pathlib import Path

import pytest

from infra.errors import PartitionCorrupt, PartitionMissing, RegistryError, TrainingError
from infra.registry import MODEL
from pipeline import steps
from pipeline.learn import learning
from pipeline.release import incumbent
from tests.six_days import (
    DAYS,
    NEXT,
    NIGHT,
    changed,
    learnt,
    overtaken,
    promote,
    registry,
    tagged,
)
from training import checkpoint


def test_a_registered_model_is_not_trained_over(settings):
    steps.update(settings, NIGHT)
    promote(settings, "dupn-2026-03-06")
    registry(settings).rollback("worse")
    other = changed(settings, "update.learning_rate=0.5")
    with pytest.raises(TrainingError, match="dupn-2026-03-06 is version 2 of the registry"):
        steps.update(other, NIGHT)
    assert steps.update(settings, NEXT)["parent"] == "dupn-2026-03-05"
    assert learnt(settings, NEXT) == [(6, "all"), (7, "rest")]


def test_the_first_model_is_not_trained_over_either_once_it_is_registered(settings):
    place = checkpoint.final(settings.store, "dupn-2026-03-05")
    before = place.manifest().written_at
    faster = "train.learning_rate=0.5"
    with pytest.raises(TrainingError, match=r"version 1 .*train.learning_rate was .* line=NAME"):
        steps.train(changed(settings, faster), DAYS[3], 4)
    assert steps.train(settings, DAYS[3], 4)["run"] == "dupn-2026-03-05"  # the DAG may run again
    assert place.manifest().written_at == before
    assert steps.train(changed(settings, faster, "line=fast"), DAYS[3], 4)["moments"] == 240


def made_again(settings, day):
    """Other samples of the same moments."""
    samples = settings.store.partition("samples", day)
    table = samples.table()
    renamed = [f"{one}-new" for one in table["sample_id"].to_pylist()]
    place = table.schema.get_field_index("sample_id")
    with samples.publish() as out:
        out.record([out.write_table("part", table.set_column(place, "sample_id", [renamed]))])


def lose(settings, key):
    """Of a version whose tags say what it learnt."""
    tagged(settings, key)
    checkpoint.final(settings.store, key).remove()


def test_a_version_whose_checkpoint_is_gone_is_not_trained_otherwise(settings):
    key = steps.update(settings, NIGHT)["run"]
    promote(settings, key)
    lose(settings, key)
    gone = rf"Restore checkpoints/{key} from a backup, or let a version .* `dupn rollback --why"
    with pytest.raises(PartitionMissing, match=rf"checkpoints/{key}/final is gone, .* {gone}"):
        steps.update(settings, NIGHT)
    first = (
        rf"version 2 of the registry, {key}, is gone, .*: trained_on was 2026-03-02\.\.2026-03-06"
    )
    with pytest.raises(TrainingError, match=rf"{first} and is 2026-03-06\.\.2026-03-06. {gone}"):
        steps.train(settings, NIGHT, 1)
    with pytest.raises(TrainingError, match="parent was dupn-2026-03-05 and is none"):
        steps.train(settings, NIGHT, 5)
    assert not checkpoint.final(settings.store, key).exists()


def test_the_first_training_of_a_version_whose_checkpoint_is_gone_may_be_done_again(settings):
    first = checkpoint.final(settings.store, "dupn-2026-03-05")
    weights = checkpoint.load(first).weights
    lose(settings, "dupn-2026-03-05")
    with pytest.raises(TrainingError, match=r"is gone, .* trained_on was .* and is 2026-03-03"):
        steps.train(settings, DAYS[3], 3)
    steps.train(settings, DAYS[3], 4)
    again = checkpoint.load(first).weights
    assert all(weights[name].equal(again[name]) for name in weights)


def test_a_candidate_whose_parent_was_replaced_while_it_was_released_is_left_to_people(settings):
    key = steps.update(settings, NIGHT)["run"]
    promote(settings, key, alias="previous")  # registered, not champion
    tagged(settings, key)
    promote(settings, "dupn-2026-03-05-by-hand")  # another model
    folder = Path(settings.home, "checkpoints")
    shutil.copytree(folder / "dupn-2026-03-05", folder / "dupn-2026-03-05-by-hand")
    told = steps.update(settings, NIGHT)
    assert (told["run"], told["outcome"]) == ("", "skipped")
    assert "version 2 of the registry already, trained on from dupn-2026-03-05" in told["why"]
    assert "`dupn promote --version 2 --why ...`" in told["why"]
    assert steps.update(settings, NEXT)["parent"] == "dupn-2026-03-05-by-hand"
    assert learnt(settings, NEXT) == [(6, "all"), (7, "rest")]


def test_a_version_whose_days_were_made_again_is_not_said_to_be_trained_otherwise(settings):
    """As by another release, or by a backfill of the days of a first training."""
    made_again(settings, DAYS[1])
    with pytest.raises(TrainingError, match="its days have been made again since") as told:
        steps.train(settings, DAYS[3], 4)
    assert "there is nothing to train" in str(told.value)
    assert "trained otherwise" not in str(told.value)


def test_a_candidate_whose_parent_was_replaced_is_learnt_anew_by_force(settings):
    overtaken(settings)
    done = steps.update(settings, NIGHT, forced="the new parent shall learn it now")
    assert (done["outcome"], done["parent"]) == ("trained", "dupn-2026-03-05-by-hand")


def test_the_night_of_a_champion_that_a_hand_replaced_goes_on_to_its_gate(settings):
    key = overtaken(settings, champion=True)
    told = steps.update(settings, NIGHT)
    assert (told["run"], told["outcome"]) == (key, "finished before")
    checkpoint.final(settings.store, key).remove()  # there is nothing to judge any more
    assert steps.update(settings, NIGHT)["outcome"] == "skipped"


def test_a_registered_night_that_the_promoted_version_has_learnt_is_not_left_to_the_next(settings):
    for day in (NIGHT, NEXT):
        promote(settings, steps.update(settings, day)["run"])
        tagged(settings, f"dupn-{day}")
    made_again(settings, NIGHT)
    with pytest.raises(TrainingError, match=f"dupn-{NEXT} has learnt {NIGHT} already"):
        steps.update(settings, NIGHT)


def test_a_night_of_a_version_whose_checkpoint_is_gone_is_learnt_again_to_the_same_weights(
    settings,
):
    key = steps.update(settings, NIGHT)["run"]
    final = checkpoint.final(settings.store, key)
    weights = checkpoint.load(final).weights
    promote(settings, key)
    lose(settings, key)
    registry(settings).rollback("worse")
    assert steps.update(settings, NIGHT)["outcome"] == "trained"
    again = checkpoint.load(final).weights
    assert all(weights[name].equal(again[name]) for name in weights)
    known = learning.versions_of(registry(settings), learning.of_run(settings.store, key))
    assert [one.number for one in known] == ["2"]  # the gate knows who was rolled back


def test_a_nights_champion_whose_manifest_is_empty_comes_back_as_its_sentence_says(settings):
    key = steps.update(settings, NIGHT)["run"]
    final = checkpoint.final(settings.store, key)
    manifest, weights = Path(final.path, "_manifest.json"), checkpoint.load(final).weights
    promote(settings, key)
    tagged(settings, key)
    manifest.write_bytes(b"")
    remedy = (
        rf"remove {final.key}/_manifest.json .*of a night `dupn update --day {NIGHT}`\. Where that "
        r"night's version is champion, go first to one .* `dupn rollback --why \.\.\.`"
    )
    assert incumbent.replaced(settings.store, key, "another run") == ""  # a move may be told
    for day in (NIGHT, NEXT):
        with pytest.raises(PartitionCorrupt, match=remedy):
            steps.update(settings, day)
    registry(settings).rollback("its checkpoint is spoilt")
    manifest.unlink()
    assert steps.update(settings, NIGHT)["outcome"] == "trained"
    again = checkpoint.load(final).weights
    assert all(weights[name].equal(again[name]) for name in weights)
    registry(settings).promote("2", "it is whole again")
    assert steps.update(settings, NEXT)["parent"] == key


def test_a_version_whose_checkpoint_is_gone_is_not_trained_on_other_samples(settings):
    lose(settings, "dupn-2026-03-05")
    made_again(settings, DAYS[1])
    with pytest.raises(TrainingError, match=r"is gone, .*: ancestry was \w{12} and is \w{12}\. "):
        steps.train(settings, DAYS[3], 4)


def test_who_updates_a_line_that_never_was_is_told_to_train_it(settings):
    """Whoever is champion again, it is not of that line; nor is anybody in another MLflow."""
    first = "update. Train and release the first one with `dupn --set line={} run initial`."
    registry(settings).client.delete_registered_model_alias(MODEL, "champion")
    with pytest.raises(RegistryError, match=first.format("fast")):
        steps.update(changed(settings, "line=fast"), NIGHT)
    with pytest.raises(
        RegistryError, match=r"rollback --why \.+`, or `dupn promote --version 1 --"
    ):
        steps.update(settings, NIGHT)
    registry(settings).client.delete_model_version(MODEL, "1")
    with pytest.raises(RegistryError, match=first.format("dupn")):
        steps.update(settings, NIGHT)
