"""Cells under docs/results suit the settings that are named; reports are drawn from them."""

import gzip
import re

import pytest

from pipeline.settings import load
from pipeline.studies import studying
from tests.contracts.tree import ROOT

RESULTS = ROOT / "docs" / "results"
ROW = re.compile(r"^\| \[(\w+)\]\(\1\) (\|.*)$", re.MULTILINE)
FOLDERS = {
    name: [one for one in re.findall(r"`(\w+)/cells`", row) if one != "networks"]
    for name, row in ROW.findall((RESULTS / "README.md").read_text(encoding="utf-8"))
    if name != "excerpts"
}
"""Studies, and where their cells are, as the page says; those of `excerpts` rest on logs that are
not here."""
YOUNGER = (
    "published cells do not suit the settings. A setting that no published cell knows? Put it into "
    "LATER in pipeline/studies/base.py, with what it was before."
)


def test_the_page_names_every_study_with_cells():
    assert {*FOLDERS, "excerpts"} == {path.parent.name for path in RESULTS.glob("*/cells")}


@pytest.mark.parametrize("name", FOLDERS)
def test_published_cells_are_good_for_the_settings_that_are_named(name, tmp_path):
    study = studying.make(load(studying.preset_of(name), str(tmp_path), []), name, 10, quick=False)
    published = {}
    for file in (f for folder in FOLDERS[name] for f in (RESULTS / folder / "cells").iterdir()):
        key = file.name.removesuffix(".json.gz")
        published[key] = file.parts[-3]
        study.store.put(study.place(key), gzip.decompress(file.read_bytes()).decode())
    kept = {key for stage in study.stages() for key in stage if key in published}
    assert {key for key, folder in published.items() if folder == name} <= kept
    assert [key for key in sorted(kept) if study.kept(key) is None] == [], YOUNGER
