"""Files whose names are no text, and what lies among files and is none."""

import os
import re
from pathlib import Path

import pytest

from features.raw.dataset import parse_description
from infra.errors import QualityFailed
from infra.store import Store
from pipeline import settings
from pipeline.jobs import events
from pipeline.nights.config import NightlyConfig
from pipeline.quality import checks
from pipeline.raw import arrival, rawfiles
from pipeline.raw.importing import import_files
from tests.pipeline.jobs.test_spoilt_files import DAY, START, day_of, run

LOG = f"user_id,item_id,type,ts\nu1,i1,click,{START}\nu2,,click,{START}\n".encode()
MINE = 'name = "mine"\n[behaviors]\nfiles = "*.csv"\nformat = "csv"\n'
LATIN = os.fsdecode(b"donn\xe9es.csv")
SHOWN = r"donn\udce9es.csv"


def folder_of(store):
    return Path(store.root, "raw", f"dt={DAY}", "behaviors")


def sources(store):
    return store.partition("rejects", DAY).table(["source"])["source"].to_pylist()


def test_a_file_whose_name_is_no_text_is_read_like_any_other(tmp_path):
    store = day_of(tmp_path)
    (folder_of(store) / LATIN).write_bytes(LOG)
    counts = run(store)
    assert (counts["behaviors_kept"], sources(store)) == (1, [SHOWN])
    assert arrival.arrived_again(store, [DAY]) == []
    (folder_of(store) / LATIN).write_bytes(LOG * 2)
    assert arrival.arrived_again(store, [DAY]) == [DAY]


def test_a_spoilt_file_whose_name_is_no_text_is_named_by_quality(tmp_path):
    store = day_of(tmp_path, good__csv=LOG)
    (folder_of(store) / f"{LATIN}.gz").write_bytes(b"no gzip")
    run(store)
    with pytest.raises(QualityFailed, match=re.escape(f"{SHOWN}.gz")):
        checks.run(settings.load("smoke", str(tmp_path)), DAY, "events")


@pytest.mark.parametrize("replace", [False, True])
def test_an_import_takes_a_file_whose_name_is_no_text(tmp_path, replace):
    file = tmp_path / LATIN
    file.write_bytes(LOG)
    store, dataset = Store(tmp_path / "home"), parse_description(MINE, "mine.toml")
    for _ in range(2):
        assert import_files(store, dataset, [file], replace=replace)["behaviors_rows"] == 2
    assert store.partition("raw", DAY, "behaviors").manifest().lineage["files"] == [SHOWN]
    assert events.run(store, DAY)["behaviors_kept"] == 1
    assert sources(store) == [SHOWN]


def test_a_pipe_among_the_files_of_a_day_is_named_and_waited_for_by_nobody(tmp_path, caplog):
    store = day_of(tmp_path, good__csv=LOG)
    os.mkfifo(folder_of(store) / "pipe.csv")
    (folder_of(store) / "folder.csv").mkdir()
    assert [part.file for part in rawfiles.parts(store, DAY, "behaviors")] == ["good.csv"]
    assert run(store)["behaviors_read"] == 2
    said = "not read, being no files (a folder, a pipe): folder.csv, pipe.csv"
    assert said in caplog.text
    assert said in arrival.look(store, DAY, NightlyConfig()).sentence


def test_a_link_to_a_file_is_a_file_and_one_that_leads_nowhere_is_none(tmp_path):
    store = day_of(tmp_path / "home")
    (tmp_path / "there.csv").write_bytes(LOG)
    (folder_of(store) / "link.csv").symlink_to(tmp_path / "there.csv")
    (folder_of(store) / "lost.csv").symlink_to(tmp_path / "gone.csv")
    assert run(store)["behaviors_read"] == 2
    [table] = arrival.look(store, DAY, NightlyConfig()).here
    assert (table.files, table.bytes) == (1, len(LOG))
