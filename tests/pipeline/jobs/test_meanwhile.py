"""Events that are published again while a stage reads them, or between two runs of a process."""

import json
import shutil
from pathlib import Path

import pytest

from features import inputs
from features.items.statistics import StatisticsConfig
from features.samples import SamplesConfig
from features.sequence import SequencesConfig
from features.vocabulary import VocabularyConfig
from infra.installed import CODE
from infra.store import MANIFEST, Store
from pipeline.beam.run import BeamConfig
from pipeline.beam.threaded import a_run
from pipeline.jobs import samples, sequences, statistics, vocabulary
from tests import samples_log
from tests.pipeline.jobs.market_days import Market, days, write

BEAM = BeamConfig(buckets=3)
(DAY,) = days(1)
RUN = {
    "vocabulary": lambda store: vocabulary.run(store, DAY, config=VocabularyConfig(), beam=BEAM),
    "statistics": lambda store: statistics.run(store, DAY, config=StatisticsConfig(), beam=BEAM),
    "sequences": lambda store: sequences.run(store, DAY, SequencesConfig(), "UTC", BEAM),
    "samples": lambda store: samples.run(store, DAY, SamplesConfig(), "UTC", BEAM, 7),
}
LOOKS = {
    "vocabulary": (vocabulary, "plan"),
    "statistics": (statistics, "plan"),
    "sequences": (sequences.Inputs, "of"),
    "samples": (samples, "Task"),
}
"""What a stage looks at its inputs with, before it reads them."""


def built(home, until):
    store = Store(home)
    write(store, DAY, Market().day(DAY))
    for stage in inputs.STAGES[: inputs.STAGES.index(until)]:
        RUN[stage](store)
    return store


def told(store, stage):
    return {one.key: one.digest() for one in inputs.written(store, stage, DAY)}


@pytest.mark.parametrize("stage", inputs.STAGES)
def test_what_is_published_again_meanwhile_does_not_mix_in_and_is_noticed_later(
    tmp_path, monkeypatch, stage
):
    alone, disturbed = built(tmp_path / "alone", stage), built(tmp_path / "disturbed", stage)
    RUN[stage](alone)
    where, name = LOOKS[stage]
    look = getattr(where, name)

    def and_again(*given, **named):
        seen = look(*given, **named)
        write(disturbed, DAY, Market(seed=5).day(DAY))
        return seen

    monkeypatch.setattr(where, name, and_again)
    RUN[stage](disturbed)
    assert told(disturbed, stage) == told(alone, stage)
    assert inputs.changed(disturbed, stage, DAY)
    assert not inputs.changed(alone, stage, DAY)


def test_statistics_that_no_lineage_has_the_code_of_are_current_without_the_pages_before(
    pages, tmp_path
):
    """Versions of then did not read them; with every page logged they counted the same."""
    shutil.copytree(pages.root, tmp_path / "home")
    store, day = Store(tmp_path / "home"), samples_log.DAYS[1]
    before = store.partition("events", samples_log.DAYS[0], "impressions").key
    place = Path(inputs.published(store, "statistics", day).path, MANIFEST)
    told = json.loads(place.read_text())
    assert before in told["lineage"]["inputs"]
    del told["lineage"]["inputs"][before]
    place.write_text(json.dumps(told))
    assert inputs.changed(store, "statistics", day) == [before]
    del told["lineage"][CODE]
    place.write_text(json.dumps(told))
    assert inputs.changed(store, "statistics", day) == []


def test_a_process_that_outlives_a_run_looks_up_for_the_next_one_what_is_there_then(pages):
    """What it has loaded is of one run: workers get its name with their task, and keep it."""
    asked = pages.root, samples_log.DAYS[1], samples_log.ZONE
    try:
        first = samples.world(*asked, "one")
        assert samples.world(*asked, "one") is first
        assert samples.world(*asked, "two") is not first
    finally:
        samples.world.cache_clear()
    names = {a_run() for _ in range(2)}
    assert len(names) == 2
