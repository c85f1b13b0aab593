"""What MLflow is told of a study whose cells ended while nobody could be told."""

import pytest

from evaluation.studies.cells import Cell
from infra.errors import RegistryError
from infra.tracking import MlflowTracker
from pipeline.settings import load
from pipeline.studies import studying
from pipeline.studies.base import Study
from pipeline.studies.diary import Diary

ALL = ["sums-quick one", "sums-quick three", "sums-quick two"]


class Sums(Study[Cell]):
    """Three cells without any work."""

    title = "sums"
    preset = "smoke"

    def stages(self):
        return [["one", "two"], ["three"]]

    def decides(self, key):
        return key

    def kind(self, key):
        return Cell

    def work(self, key, digest, progress):
        progress.advance(1)
        return Cell(settings=digest)

    def report(self):
        return {"said": [], "figures": []}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setitem(studying.STUDIES, "sums", Sums)
    return str(tmp_path)


def run(settings):
    studying.run(settings, "sums", seeds=1, quick=True)


def told(settings):
    """Names of the runs of cells, in order."""
    client = MlflowTracker(settings.tracking, settings.store).client
    (experiment,) = [e for e in client.search_experiments() if e.name == "dupn"]
    runs = client.search_runs([experiment.experiment_id])
    return sorted(run.info.run_name for run in runs if "mlflow.parentRunId" in run.data.tags)


def cut_off(*_, **__):
    """MLflow is away, or the process is killed."""
    raise RegistryError("MLflow does not answer.")


def test_a_cell_that_ended_while_mlflow_was_away_is_told_when_it_is_back(home, monkeypatch):
    settings = load("smoke", home)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowTracker, "start", cut_off)
        with pytest.raises(RegistryError):
            run(settings)
    run(settings)
    assert told(settings) == ALL
    run(settings)
    assert told(settings) == ALL, "each once"


def test_a_task_that_was_killed_before_it_told_its_cell_tells_it_when_it_is_tried_again(
    home, monkeypatch
):
    settings = load("smoke", home)
    with monkeypatch.context() as patch:
        patch.setattr(Diary, "cell", cut_off)
        with pytest.raises(RegistryError):
            studying.cell(settings, "sums", "two", seeds=1, quick=True)
    studying.cell(settings, "sums", "two", seeds=1, quick=True)
    assert told(settings) == ["sums-quick two"]


def test_cells_that_were_put_there_count_as_told(home):
    settings = load("smoke", home)
    study = studying.make(settings, "sums", 1, quick=True)
    settings.store.put(study.place("one"), Cell(settings=study.digest("one")).model_dump_json())
    run(settings)
    assert told(settings) == ["sums-quick three", "sums-quick two"]


def test_a_cell_of_a_later_stage_that_ended_untold_is_told_when_its_study_goes_on(
    home, monkeypatch
):
    settings, tell = load("smoke", home), Diary.cell
    with monkeypatch.context() as patch:
        patch.setattr(
            Diary, "cell", lambda self, key: (cut_off if key == "three" else tell)(self, key)
        )
        with pytest.raises(RegistryError):
            run(settings)
    run(settings)
    assert told(settings) == ALL
