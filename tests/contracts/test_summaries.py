"""Summaries under docs/results are the reports that the cells beside them give, and say how."""

import gzip

import pytest

from evaluation.studies.protocol import NEEDED
from pipeline.settings import load
from pipeline.studies import studying
from pipeline.studies.excerpts import ExcerptsStudy
from tests.contracts.test_results import FOLDERS, RESULTS, YOUNGER

SEEDS = {"abtest": 10}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_summary_is_the_command_a_word_and_the_report_of_the_published_cells(name, tmp_path):
    seeds = SEEDS.get(name, 5)
    settings = load(studying.preset_of(name), str(tmp_path), [])
    study = studying.make(settings, name, seeds, quick=False)
    for file in (
        file for folder in FOLDERS[name] for file in (RESULTS / folder / "cells").iterdir()
    ):
        key = file.name.removesuffix(".json.gz")
        study.store.put(study.place(key), gzip.decompress(file.read_bytes()).decode())
    assert study.left() == [], YOUNGER
    said = study.report()
    assert said["said"], "the DAG prints it"
    summary = (RESULTS / name / "summary.md").read_text()
    above, _, report = summary.partition("\n# ")
    assert f"study {name} --seeds {seeds}" in above
    assert "**Agrees with the paper.**" in above
    assert "**Does not.**" in above
    assert f"# {report}" == study.store.get(f"reports/study/{name}/report.md").decode()
    assert all(f"- **{one}.** " in report for one in NEEDED)


def test_the_summary_of_real_logs_is_the_report_of_the_published_cells(tmp_path, monkeypatch):
    """The logs are not here, so whether the cells suit them is not asked."""
    study = ExcerptsStudy(load("taobao", str(tmp_path), []), seeds=5, quick=False)
    folder = RESULTS / "excerpts"
    monkeypatch.setattr(study, "kept", lambda key: study.kind(key).model_validate_json(
        gzip.decompress((folder / "cells" / f"{key}.json.gz").read_bytes())
    ))  # fmt: skip
    study.report()
    _, _, report = (folder / "summary.md").read_text().partition("\n# ")
    assert f"# {report}" == study.store.get("reports/study/excerpts/report.md").decode()
