"""State that other settings made is named with the command that makes it again; bounds are none."""

import shutil
from pathlib import Path

import pytest

from features import inputs
from pipeline import steps
from pipeline.upkeep import backfill, otherwise
from tests import nights
from tests.nights import DAYS
from tests.pipeline.upkeep.test_backfill import LENIENT, MINE, made

OTHER = {
    "vocabulary": ("vocabulary.min_prices=7",),
    "statistics": ("statistics.half_life_days=3", "sequences.moments=pages"),
    "sequences": ("sequences.click_share=0.5",),
    "samples": ("samples.any_category=3", "seed=8"),
}
CASES = [(stage, pair) for stage, pairs in OTHER.items() for pair in pairs]
BOUNDS = ("vocabulary.rows_per_batch=9", "statistics.rows_per_range=9", "beam.buckets=3")


@pytest.fixture(scope="module")
def home(whole, tmp_path_factory):
    return made(whole, tmp_path_factory.mktemp("otherwise"))


def with_others(mine, *pairs):
    return nights.settings(Path(mine.home), 1, *LENIENT, *pairs)


def warned(caplog):
    return [one.getMessage() for one in caplog.records if "other settings" in one.getMessage()]


@pytest.mark.parametrize(("stage", "pair"), CASES)
def test_a_backfill_names_days_that_stay_as_other_settings_made_them(home, caplog, stage, pair):
    mine = with_others(home, pair)
    plan = {one.stage: one.why for one in backfill.plan(mine, MINE[1]) if one.day == MINE[1]}
    assert plan[stage].endswith(", then with other settings than before")
    said = steps.backfill(mine, MINE[1], MINE[2])
    assert f"{stage} {MINE[1]}" in said["as they were"]
    again = f"`dupn {stage} --from {MINE[1]} --to {MINE[2]}` makes them again, and"
    assert [one for one in warned(caplog) if f"2 days of {stage} " in one and again in one]


def test_the_command_that_makes_days_again_names_none_that_lie_between_them():
    days = [DAYS[0], DAYS[1], DAYS[3]]
    first, second = f"--from {DAYS[0]} --to {DAYS[1]}", f"--day {DAYS[3]}"
    assert backfill.made_by("samples", days) == f"`dupn samples {first}`, `dupn samples {second}`"


def test_bounds_of_memory_are_no_other_settings(home, caplog):
    steps.backfill(with_others(home, *BOUNDS), MINE[1], MINE[2])
    assert warned(caplog) == []


@pytest.fixture
def swept(whole, tmp_path):
    """Three days, of which the second one's state is gone."""
    mine = nights.settings(tmp_path)
    names = ("events", "vocabulary", "catalog", "statistics", "sequences", "samples")
    nights.copy(whole.store, mine.store, [f"{one}/dt={day}" for one in names for day in DAYS[:3]])
    for name in names[1:-1]:
        shutil.rmtree(Path(mine.store.root, f"{name}/dt={DAYS[1]}"))
    return mine


@pytest.mark.parametrize(
    ("pairs", "stages"),
    [((), ()), (BOUNDS, ()), (("sequences.moments=pages",), ("statistics", "sequences"))],
)
def test_a_rebuild_says_so_where_the_days_around_had_other_settings(swept, caplog, pairs, stages):
    steps.rebuild(nights.settings(Path(swept.home), 1, *pairs), DAYS[1])
    around = [f"{stage}/dt={day}" for stage in stages for day in (DAYS[0], DAYS[2])]
    said = [one for one in warned(caplog) if "same bytes only" in one]
    assert len(said) == len(around)
    assert all(one.startswith(key) for key, one in zip(around, said, strict=True))


@pytest.mark.parametrize(
    ("buckets", "pairs", "stages"),
    [
        (1, ["statistics.half_life_days=3"], "vocabulary, statistics, samples"),
        (4, [], "sequences, samples"),  # the same rows in other files
    ],
)
def test_a_rebuild_says_what_was_made_from_state_that_is_there_again_but_not_as_it_was(
    swept, caplog, buckets, pairs, stages
):
    steps.rebuild(nights.settings(Path(swept.home), buckets, *pairs), DAYS[1])
    (said,) = [one for one in caplog.messages if "made from another" in one]
    assert said.startswith(f"{stages} of {DAYS[2]}: made from another")
    # no raw is there: with it, a backfill does
    assert f"Or else: raw/dt={DAYS[2]}/behaviors, which a backfill reads, is not there" in said
    assert f"from events, `dupn {stages.split(',')[0]} --day {DAYS[2]}`" in said


def test_a_rebuild_ends_well_though_what_was_made_from_it_is_spoilt(swept, caplog):
    samples = swept.store.partition("samples", DAYS[2])
    Path(samples.path, "_manifest.json").write_bytes(b"")
    said = steps.rebuild(swept, DAYS[1])
    assert said["built"]["statistics"] == [str(DAYS[1])]
    assert any(samples.key in one for one in caplog.messages)


def test_a_rebuild_of_the_same_bytes_says_nothing(swept, caplog):
    steps.rebuild(swept, DAYS[1])
    assert [one for one in caplog.messages if "made from another" in one] == []


def test_samples_count_as_changed_where_their_sequences_hand_them_other_settings(swept):
    """A log of clicks alone: half of them are moments, and no stamp tells the samples so."""
    mine = nights.settings(Path(swept.home), 1, "sequences.moments=derived")
    half = nights.settings(
        Path(swept.home), 1, "sequences.moments=derived", "sequences.click_share=0.5"
    )
    for stage in ("statistics", "sequences", "samples"):
        getattr(steps, stage)(mine, DAYS[0])
    assert inputs.changed(mine.store, "samples", DAYS[0]) == []
    rows = mine.store.partition("samples", DAYS[0]).manifest().rows
    steps.sequences(half, DAYS[0])
    assert inputs.changed(mine.store, "samples", DAYS[0]) != []
    steps.samples(half, DAYS[0])
    assert inputs.changed(mine.store, "samples", DAYS[0]) == []
    assert mine.store.partition("samples", DAYS[0]).manifest().rows < rows


def test_what_a_former_release_made_is_told_by_the_digest_of_all_its_settings(home):
    part = home.store.partition("statistics", MINE[0], "lr_ctr")
    lineage = dict(part.manifest().lineage)
    del lineage["decided_by"]
    former = home.store.partition("statistics", MINE[0], "former")
    with former.publish(**lineage):
        pass
    assert not otherwise.is_other(home, "statistics", former)
    assert otherwise.is_other(with_others(home, *BOUNDS), "statistics", former)
    assert not otherwise.is_other(with_others(home, *BOUNDS), "statistics", part)
