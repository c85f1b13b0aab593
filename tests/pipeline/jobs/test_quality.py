"""The files of a day are measured by all workers, to the same tally."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam
import pyarrow as pa
import pytest

from features.quality.figures import merge
from features.schemas import FOLLOWS, SAMPLES, conform
from infra.store import Store
from pipeline.beam.run import BeamConfig, pipeline
from pipeline.jobs import quality

HERE, APART = BeamConfig(), BeamConfig(runner="multiprocess", workers=2)
FILES = 12


@dataclass(frozen=True)
class Watched:
    """In a partition's place: notes which process reads a file."""

    folder: Path

    def batches(self, entry, rows):
        (self.folder / entry).write_text(str(os.getpid()))
        return iter(())


def test_the_files_of_a_day_are_measured_by_all_workers(tmp_path):
    files = [("follows", Watched(tmp_path), f"part-{number}") for number in range(FILES)]
    with pipeline(APART) as flow:
        elements = apache_beam.Create(files, reshuffle=False).with_output_types(Any)
        flow | elements | quality.Tallied()
    read_by = [file.read_text() for file in tmp_path.iterdir()]
    assert len(read_by) == FILES
    assert len(set(read_by)) == 2


@pytest.mark.parametrize("files", [0, FILES])
def test_the_tally_is_the_same_however_many_measure(tmp_path, files):
    store = Store(tmp_path)
    follows = store.partition("events", None, "follows")
    row = {"user_hash": 1, "user_id": "u", "ts": 0, "icon_id": "c", "followed": True}
    with follows.publish() as out:
        for number in range(files):
            table = pa.Table.from_pylist([row] * (number + 1), FOLLOWS)
            out.record([out.write_table(f"part-{number}", table)])
    tables, out = {"follows": follows}, store.partition("quality")
    here, apart = (quality.run(tables, out, one) for one in (HERE, APART))
    assert here == apart
    assert here.get("sum:follows.rows", 0) == FILES * (FILES + 1) / 2 * bool(files)


def test_no_more_than_a_row_group_is_measured_at_a_time(tmp_path):
    follows = Store(tmp_path).partition("events", None, "follows")
    row = {"user_hash": 1, "user_id": "u", "ts": 0, "icon_id": "c", "followed": True}
    with follows.publish() as out:
        table = pa.Table.from_pylist([row] * 5, FOLLOWS)
        out.record([out.write_table("part", table, row_group_size=2)])
    (entry,) = follows.manifest().files
    tallies = quality.Measure().process(("follows", follows, entry))
    assert [tally["sum:follows.rows"] for tally in tallies] == [0, 2, 2, 1]


def test_an_id_that_stands_there_again_is_counted_across_what_is_measured_at_a_time(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(quality, "ROWS", 2)
    samples = Store(tmp_path).partition("samples")
    rows = pa.table({"user_hash": [1, 2, 2, 2, 3], "sample_id": ["a", "b", "c", "b", "d"]})
    with samples.publish() as out:
        out.record([out.write_table("part", conform(rows, SAMPLES))])
    (entry,) = samples.manifest().files
    tally = merge(quality.Measure().process(("samples", samples, entry)))
    assert tally["sum:samples.rows"] == 5
    assert tally["sum:samples.sample_id.repeated"] == 1
