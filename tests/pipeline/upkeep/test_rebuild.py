"""State that is missing or spoilt comes back from events, byte for byte, by the command named."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from features import inputs, vocabulary
from infra.errors import PartitionCorrupt, PartitionMissing
from pipeline import steps
from pipeline.upkeep import rebuilding
from tests import nights
from tests.nights import DAYS

DAY, NEXT = DAYS[3], DAYS[4]
STATE = ("vocabulary", "catalog", "statistics", "sequences")


def spoil(partition):
    """A bit of the newest file's middle turns."""
    file = Path(partition.path, partition.manifest().files[0].name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.fixture
def home(whole, tmp_path):
    """Events of five days, state of the last two of the first four."""
    mine = nights.settings(tmp_path)
    nights.copy(whole.store, mine.store, [f"events/dt={day}" for day in DAYS[:5]])
    kept = [f"{stage}/dt={day}" for stage in STATE for day in DAYS[2:4]]
    nights.copy(whole.store, mine.store, kept)
    return mine


def state(store, day):
    parts = [part for one in inputs.STAGES[:3] for part in inputs.written(store, one, day)]
    return {part.key: part.digest() for part in parts}


def test_one_command_mends_all_that_is_missing_or_spoilt(whole, home):
    store = home.store
    spoil(store.partition("statistics", DAY, "item"))
    for day in DAYS[2:4]:  # nothing older is left: the walk begins on the first day
        shutil.rmtree(Path(store.root, f"sequences/dt={day}"))
    with pytest.raises(PartitionMissing, match=f"dupn rebuild --day {DAY}`"):
        steps.sequences(home, NEXT)
    with pytest.raises(PartitionCorrupt, match=f"dupn rebuild --day {DAY}`"):
        steps.vocabulary(home, NEXT)
    said = steps.rebuild(home, DAY)
    assert said["built"] == {
        "vocabulary": [str(DAY)],
        "statistics": [str(DAY)],
        "sequences": [str(day) for day in DAYS[:4]],
    }
    assert state(store, DAY) == state(whole.store, DAY)
    steps.sequences(home, NEXT)
    assert steps.rebuild(home, DAY)["built"].startswith("nothing")


def test_every_bit_of_a_spoilt_partition_is_noticed(home):
    for name in ("history", "pool"):
        spoil(home.store.partition("sequences", DAY, name))
    assert not rebuilding.are_whole(home.store, ["sequences"], DAY)
    assert rebuilding.are_whole(home.store, ["sequences"], DAYS[2])
    assert rebuilding.missing(home.store, ("sequences",), DAY) == [DAY]
    with pytest.raises(PartitionCorrupt, match=f"dupn rebuild --day {DAY}`"):
        home.store.partition("sequences", DAY, "history").table()


def test_a_manifest_that_is_no_manifest_is_spoilt(home):
    Path(home.store.partition("catalog", DAY).path, "_manifest.json").write_text("{")
    with pytest.raises(PartitionCorrupt, match=f"dupn rebuild --day {DAY}`"):
        home.store.partition("catalog", DAY).manifest()
    assert rebuilding.missing(home.store, ("vocabulary", "statistics"), DAY) == [DAY]


@pytest.mark.parametrize("stage", rebuilding.LEAF)
def test_an_empty_manifest_of_the_newest_day_is_built_again(whole, home, stage):
    first, *rest = rebuilding.LEAF[stage]
    newest = home.store.latest(first, date.max, *rest)
    Path(newest.path, "_manifest.json").write_bytes(b"")
    with pytest.raises(PartitionCorrupt, match=f"dupn rebuild --day {DAY}`"):
        newest.manifest()
    assert steps.rebuild(home, DAY)["built"][stage] == [str(DAY)]
    assert state(home.store, DAY) == state(whole.store, DAY)


def test_without_the_events_it_says_which(home):
    shutil.rmtree(Path(home.store.root, f"events/dt={DAYS[1]}"))
    for day in DAYS[2:4]:
        shutil.rmtree(Path(home.store.root, f"sequences/dt={day}"))
    with pytest.raises(PartitionMissing, match=f"dupn events --day {DAYS[1]}`"):
        steps.rebuild(home, DAY)


def test_a_gap_in_the_log_is_told_from_a_state_that_was_lost(home):
    for stage in ("events", *STATE):
        shutil.rmtree(Path(home.store.root, f"{stage}/dt={DAY}"))
    first = rf"Run `dupn events --day {DAY}`, .* and then `dupn rebuild --day {DAY}`"
    for stage in (steps.vocabulary, steps.sequences):
        with pytest.raises(PartitionMissing, match=first):
            stage(home, NEXT)


@pytest.mark.parametrize("name", ["shop", "profile_age"])
def test_a_walk_that_is_cut_short_leaves_no_day_that_seems_whole(whole, home, monkeypatch, name):
    store = home.store
    spoil(store.partition("vocabulary", DAY, name))

    def killed(settings, day):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "vocabulary", killed)
        with pytest.raises(KeyboardInterrupt):
            steps.rebuild(home, DAY)
    assert steps.rebuild(home, DAY)["built"]["vocabulary"] == [str(DAY)]
    assert state(store, DAY) == state(whole.store, DAY)


def test_a_vocabulary_that_is_gone_is_missed_though_the_catalog_stands(whole, home):
    store = home.store
    store.partition("vocabulary", DAY, "shop").remove()
    with pytest.raises(PartitionMissing, match=f"would get others .* `dupn rebuild --day {DAY}`"):
        steps.vocabulary(home, NEXT)
    assert steps.rebuild(home, DAY)["built"]["vocabulary"] == [str(DAY)]
    assert state(store, DAY) == state(whole.store, DAY)


def test_a_vocabulary_of_a_column_that_is_gone_is_missed_and_comes_back(whole, home):
    """The day's catalog names it; the next day would begin it anew, and samples go without."""
    store = home.store
    store.partition("vocabulary", DAY, "profile_age").remove()
    for look in (lambda: steps.vocabulary(home, NEXT), lambda: vocabulary.published(store, DAY)):
        with pytest.raises(PartitionMissing, match=f"profile_age is not published.*--day {DAY}`"):
            look()
    assert steps.rebuild(home, DAY)["built"]["vocabulary"] == [str(DAY)]
    assert state(store, DAY) == state(whole.store, DAY)
    assert inputs.changed(whole.store, "statistics", DAY) == []
