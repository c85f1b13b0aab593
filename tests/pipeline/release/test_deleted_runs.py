"""A candidate whose MLflow run was deleted: said and not tried again, and given a new one."""

from pathlib import Path

import pytest
import torch

from infra.errors import PartitionCorrupt, RegistryError
from pipeline import steps
from pipeline.learn import learning
from pipeline.release import verdicts
from pipeline.release.incumbent import registry_of
from tests.chain import DAYS, copy_data, smoke
from training import checkpoint as checkpoints

JUDGED = DAYS[1]


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """A home with a candidate, evaluated and bundled."""
    home = tmp_path_factory.mktemp("deleted-runs")
    copy_data(chain, home)
    mine = smoke(home, "evaluate.shuffles=false")
    steps.train(mine, DAYS[0], 1)
    steps.evaluate(mine, JUDGED)
    steps.bundle(mine, JUDGED)
    return mine


@pytest.fixture
def lost(settings):
    """Its run, which is deleted."""
    run = learning.candidate(settings, JUDGED).run_id
    client = registry_of(settings).client
    client.delete_run(run)
    yield run
    client.restore_run(run)


def runs(settings):
    client = registry_of(settings).client
    known = client.get_experiment_by_name(settings.tracking.experiment).experiment_id
    return {run.info.run_id for run in client.search_runs([known])}


@pytest.mark.parametrize("step", [steps.bundle, steps.gate])
def test_a_step_that_logs_to_it_says_how_it_comes_back_and_is_not_tried_again(settings, lost, step):
    with pytest.raises(RegistryError, match=f"restore --run-id {lost}.*`dupn train`") as caught:
        step(settings, JUDGED)
    assert type(caught.value) is RegistryError  # one that may pass is another
    assert settings.store.names(verdicts.FOLDER) == []


def test_evaluation_makes_no_run_of_its_own(settings, lost, caplog):
    before = runs(settings)
    assert steps.evaluate(settings, JUDGED)["run"]
    assert runs(settings) == before
    assert f"its run {lost} is not there" in caplog.text


def test_a_checkpoint_whose_manifest_is_empty_comes_back_as_its_sentence_says(settings):
    final = checkpoints.final(settings.store, learning.candidate(settings, JUDGED).key)
    manifest, before = Path(final.path, "_manifest.json"), checkpoints.load(final)
    manifest.write_bytes(b"")
    remedy = f"remove {final.key}/_manifest.json .*`dupn train --until {DAYS[0]} --days N`, or of"
    with pytest.raises(PartitionCorrupt, match=rf"Restore {final.key} from a backup.* {remedy}"):
        steps.train(settings, DAYS[0], 1)
    manifest.unlink()
    steps.train(settings, DAYS[0], 1)
    after = checkpoints.load(final)
    assert all(torch.equal(after.weights[name], known) for name, known in before.weights.items())


def test_training_again_gives_the_model_a_new_run_until_it_is_a_version(settings, lost):
    key = learning.candidate(settings, JUDGED).key
    weights = checkpoints.digest(checkpoints.final(settings.store, key))
    told = steps.train(settings, DAYS[0], 1)
    new = told["mlflow_run"]
    assert (
        f"run {lost} of {key} is not there any more: the model has a new one, {new}"
        in (told["note"])
    )
    assert learning.candidate(settings, JUDGED).run_id == new
    assert checkpoints.digest(checkpoints.final(settings.store, key)) == weights
    client = registry_of(settings).client
    found = client.get_run(new)
    assert (found.info.status, found.data.params["seed"]) == ("FINISHED", str(settings.seed))
    assert found.data.metrics["progressive_ctr_loss"] == pytest.approx(
        told["progressive_ctr_loss"], abs=1e-5
    )
    for step in (steps.bundle, steps.gate, steps.register):
        step(settings, JUDGED)
    client.delete_run(new)
    assert "note" not in steps.train(settings, DAYS[0], 1)
    assert learning.candidate(settings, JUDGED).run_id == new
