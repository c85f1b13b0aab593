"""Cells under docs/results are those of today's settings: reports are drawn from them again."""

import gzip

import pytest

from pipeline import studying
from pipeline.settings import load
from tests.contracts.tree import ROOT

RESULTS = ROOT / "docs" / "results"
FOLDERS = {
    "abtest": ["abtest"],
    "drift": ["drift"],
    "table2": ["table2", "multitask"],
    "multitask": ["table2", "multitask"],
    "attention": ["table2", "multitask", "attention"],
    "transfer": ["table2", "multitask", "transfer"],
}
"""Studies, and where their cells are; those of `excerpts` rest on logs that are not here."""
WIDER = RESULTS / "search"
"""A wider search for Table 2 and Figure 6, with a preset of its own, and what was fitted by it."""


@pytest.mark.parametrize("name", FOLDERS)
def test_published_cells_are_good_for_the_settings_of_today(name, tmp_path):
    study = studying.make(load(studying.preset_of(name), str(tmp_path), []), name, 10, quick=False)
    published = {}
    for file in (f for folder in FOLDERS[name] for f in (RESULTS / folder / "cells").iterdir()):
        key = file.name.removesuffix(".json.gz")
        published[key] = file.parts[-3]
        study.store.put(study.place(key), gzip.decompress(file.read_bytes()).decode())
    kept = {key for stage in study.stages() for key in stage if key in published}
    assert {key for key, folder in published.items() if folder == name} <= kept
    assert [key for key in sorted(kept) if study.kept(key) is None] == []


def test_cells_of_the_wider_search_are_good_for_its_preset(tmp_path):
    settings = load(str(WIDER / "preset.toml"), str(tmp_path), [])
    studies = [studying.make(settings, name, 5, quick=False) for name in ("table2", "multitask")]
    published = {file.name.removesuffix(".json.gz"): file for file in (WIDER / "cells").iterdir()}
    for key, file in published.items():  # they share a folder
        studies[0].store.put(studies[0].place(key), gzip.decompress(file.read_bytes()).decode())
    keys = {key: study for study in studies for stage in study.stages() for key in stage}
    assert set(published) <= set(keys)
    assert [key for key in sorted(published) if keys[key].kept(key) is None] == []
    assert {key for key in keys if key.startswith("tune-")} <= set(published)
