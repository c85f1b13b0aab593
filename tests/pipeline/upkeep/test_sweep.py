"""What is swept, and what never is: partitions of one row, no jobs."""

import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from features import inputs
from infra.errors import ConfigError
from infra.store import Store
from pipeline import steps
from pipeline.release.incumbent import registry_of
from pipeline.settings import load
from pipeline.upkeep.retention import LEAST, RetentionConfig
from training.ancestry import Ancestry, Part, Share

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=n) for n in range(20)]
LEAVES = {
    "raw": ["behaviors"],
    "events": ["behaviors", "users"],
    "rejects": [],
    "vocabulary": ["item", "token"],
    "catalog": ["items"],
    "statistics": ["item", "lr_ctr"],
    "sequences": ["history", "open", "pool"],
    "samples": [],
    "checkpoints": [],
}


def put(store, stage, day, *names):
    with store.partition(stage, day, *names).publish() as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    home = tmp_path_factory.mktemp("full")
    store = Store(home)
    for day in DAYS:
        for stage, leaves in LEAVES.items():
            for leaf in leaves:
                put(store, stage, day, leaf)
            if stage in ("catalog", "samples", "rejects", "checkpoints"):
                put(store, stage, day)
    return home


@pytest.fixture
def home(full, tmp_path):
    return Path(shutil.copytree(full, tmp_path / "home"))


def sweep(home, day=DAYS[-1], *pairs):
    settings = load("smoke", str(home), list(pairs))
    return steps.sweep(settings, day), settings.store


def days(store, stage):
    leaf = () if stage == "samples" or not LEAVES[stage] else LEAVES[stage][:1]
    return store.days(stage, *leaf)


def test_state_is_kept_for_as_many_days_as_its_retention_says(home):
    said, store = sweep(home, DAYS[-1], "retention.state_days=5", "retention.tables_days=8")
    for stage in ("sequences", "statistics"):
        assert days(store, stage) == DAYS[-5:]
    for stage in ("vocabulary", "catalog"):
        assert days(store, stage) == DAYS[-8:]
    assert store.days("catalog") == DAYS[-8:]
    assert not Path(home, f"sequences/dt={DAYS[0]}").exists()
    assert set(said["removed"]) == {"sequences", "statistics", "vocabulary", "catalog"}
    assert "15 days" in said["removed"]["sequences"]
    assert said["bytes"] > 1_000


def test_raw_events_samples_and_models_stay(home):
    _, store = sweep(home, DAYS[-1], "retention.state_days=3", "retention.tables_days=3")
    for stage in ("raw", "events", "rejects", "samples", "checkpoints"):
        assert days(store, stage) == DAYS, stage


def test_events_and_samples_go_when_a_setting_says_so_but_a_snapshot_in_force_stays(home):
    pairs = ("retention.state_days=3", "retention.events_days=6", "retention.samples_days=6")
    for day in DAYS[10:]:
        Store(home).partition("events", day, "users").remove()
    _, store = sweep(home, DAYS[-1], *pairs)
    assert store.days("samples") == DAYS[-6:]
    assert store.days("events", "behaviors") == DAYS[-6:]
    assert store.days("events", "users") == [DAYS[9]]  # the newest one: it still holds
    assert store.days("rejects") == DAYS[-6:]
    assert store.days("raw", "behaviors") == DAYS


def model(settings, name, missed, rest):
    """A version that learnt ten days, but for one and for the held-out users of another."""
    parts = [Part(day=day) for day in DAYS[:10] if day not in (missed, rest)]
    ancestry = Ancestry(tuple(parts)).grown([Part(day=rest, share=Share.REST, held=0.1)])
    run = f"{name}-{DAYS[9]}"
    final = settings.store.partition("checkpoints", None, run, "final")
    with final.publish(days=[], ancestry=ancestry.plain()) as attempt:
        attempt.record([])  # its lineage is all that is asked
    tags = {"run_key": run, "line": name}
    return registry_of(settings).register(f"file:///models/{name}", "", tags).number


@pytest.mark.parametrize("line", ["dupn", "begun-tonight"])
def test_samples_stay_until_champion_and_challenger_have_learnt_them(home, line):
    """Whatever line the settings name: a night goes on with the champion's."""
    settings = load("smoke", str(home))
    champion = model(settings, settings.line, missed=DAYS[3], rest=DAYS[8])
    registry_of(settings).promote(champion, "first")
    registry_of(settings).challenge(model(settings, "wide", DAYS[6], DAYS[8]), "beside it")
    _, store = sweep(home, DAYS[-1], "retention.samples_days=5", f"line={line}")
    assert store.days("samples") == [DAYS[3], DAYS[6], DAYS[8], *DAYS[10:]]


def test_samples_stay_until_whom_a_rollback_would_make_champion_has_learnt_them(home):
    settings = load("smoke", str(home))
    for missed in (DAYS[3], DAYS[6]):
        number = model(settings, f"missed-{missed.day}", missed, rest=DAYS[8])
        registry_of(settings).promote(number, "better")
    _, store = sweep(home, DAYS[-1], "retention.samples_days=5")
    assert store.days("samples") == [DAYS[3], DAYS[6], DAYS[8], *DAYS[10:]]


def test_tables_stay_with_samples_that_are_still_to_be_learnt(home):
    """Those of the day before, too, in which moments from before midnight are looked up."""
    settings = load("smoke", str(home))
    registry_of(settings).promote(model(settings, "dupn", DAYS[3], DAYS[8]), "first")
    settings.store.partition("samples", DAYS[12]).remove()
    _, store = sweep(home, DAYS[-1], "retention.state_days=3", "retention.tables_days=3")
    waiting = [DAYS[3], DAYS[8], DAYS[10], DAYS[11], *DAYS[13:]]
    stay = sorted({*waiting, *(day - timedelta(days=1) for day in waiting)})
    assert days(store, "vocabulary") == days(store, "catalog") == store.days("catalog") == stay


def test_so_do_those_of_the_day_before_the_first_that_is_not_old(home):
    settings = load("smoke", str(home))
    registry_of(settings).promote(model(settings, "dupn", DAYS[3], DAYS[8]), "first")
    for day in DAYS[:17]:
        settings.store.partition("samples", day).remove()
    _, store = sweep(home, DAYS[-1], "retention.state_days=3", "retention.tables_days=3")
    assert days(store, "catalog") == DAYS[16:]


def test_nothing_goes_that_older_state_is_built_from_or_read_with():
    config = RetentionConfig(state_days=8, tables_days=3, events_days=3, samples_days=3)
    assert config.days_of("sequences") == config.days_of("statistics") == 8
    assert config.days_of("vocabulary") == config.days_of("catalog") == 8
    assert config.days_of("events") == config.days_of("rejects") == 9
    assert config.days_of("samples") == 3


STAYS = ("state_days", "tables_days", "samples_days", "events_days", "bundle_days")


def test_the_night_that_sweeps_can_be_run_again_whatever_the_retention(home):
    before = {stage: inputs.stamps(Store(home), stage, DAYS[-1]) for stage in inputs.STAGES}
    assert f"statistics/dt={DAYS[-3]}/item" in before["samples"]
    _, store = sweep(home, DAYS[-1], *[f"retention.{name}={LEAST}" for name in STAYS])
    assert days(store, "statistics") == DAYS[-LEAST:]
    assert {stage: inputs.stamps(store, stage, DAYS[-1]) for stage in inputs.STAGES} == before


@pytest.mark.parametrize("name", STAYS)
def test_less_than_a_night_reads_is_refused(home, name):
    with pytest.raises(ConfigError, match=rf"retention\.{name}"):
        sweep(home, DAYS[-1], f"retention.{name}={LEAST - 1}")


def test_a_pipeline_that_stood_still_keeps_what_its_next_night_reads(home):
    later = DAYS[-1] + timedelta(days=100)
    _, store = sweep(home, later, "retention.state_days=3", "retention.tables_days=3")
    assert days(store, "sequences") == DAYS[-3:]


def test_state_of_days_without_samples_is_not_old(home):
    for day in DAYS[4:]:
        Store(home).partition("samples", day).remove()
    _, store = sweep(home, DAYS[-1], "retention.state_days=3", "retention.tables_days=3")
    assert days(store, "sequences") == DAYS[1:]


def test_a_second_sweep_finds_nothing(home):
    sweep(home)
    said, _ = sweep(home)
    assert said["removed"] == "nothing"
    assert said["bytes"] == 0


def test_files_of_lost_attempts_go_when_they_are_old(home):
    folders = [home / f"events/dt={DAYS[3]}/behaviors", home / f"samples/dt={DAYS[-1]}"]
    after = f"dt={DAYS[-1] + timedelta(days=1)}"
    never = [
        home / f"sequences/{after}/history",
        home / f"quality/{after}/events",
        home / f"representations/dupn-{DAYS[-1]}/{after}",
        home / f"experiments/exp/readout/{after}",
    ]
    for folder in never:
        folder.mkdir(parents=True)
    old, young = [], []
    for folder in (*folders, *never):
        for kept, name in ((old, "b-0123456789.parquet"), (young, "c-0123456789.parquet")):
            kept.append(folder / name)
            kept[-1].write_bytes(b"lost")
        os.utime(folder / "b-0123456789.parquet", (0, 0))
    dropped = home / f"raw/dt={DAYS[3]}/behaviors" / "rows.jsonl"
    dropped.write_text("{}")
    os.utime(dropped, (0, 0))
    said, store = sweep(home, DAYS[-1])
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in young)
    assert dropped.exists()  # raw is yours
    assert said["lost files"] == 6
    for folder in folders:
        store.partition(folder.relative_to(home).as_posix()).verify()


def test_rows_that_an_import_replaced_go_and_what_a_shop_laid_there_stays(home):
    """Nothing that no manifest stands beside, either: it may be all that there is."""
    folder = home / f"raw/dt={DAYS[2]}/behaviors"
    bare = home / f"raw/dt={DAYS[2]}/follows"
    bare.mkdir()
    part = Store(home).partition("raw", DAYS[2], "behaviors")
    for rows in ([1, 2], [1]):
        with part.publish() as out:
            out.record([out.write_table("_part-00000", pa.table({"x": rows}))])
    listed = {entry.name for entry in part.manifest().files}
    (replaced,) = (one for one in folder.glob("_part-*") if one.name not in listed)
    stays = [folder / "rows.jsonl", folder / "_SUCCESS", bare / replaced.name]
    for path in stays:
        path.write_bytes(b"")
    for path in (replaced, *stays):
        os.utime(path, (0, 0))
    sweep(home, DAYS[-1])
    assert not replaced.exists()
    assert all(path.exists() for path in stays)
    part.verify()


def test_a_column_with_a_point_in_its_name_goes_with_its_day(tmp_path):
    settings = load("smoke", str(tmp_path))
    store, names = settings.store, ("item", "profile_geo.city")
    for day in DAYS:
        put(store, "events", day, "behaviors")
        put(store, "samples", day)
        for name in names:
            put(store, "vocabulary", day, name)
    kept = settings.retention.model_copy(update={"tables_days": 5, "samples_days": 5})
    steps.sweep(settings.model_copy(update={"retention": kept}), DAYS[-1])
    left = [store.days("vocabulary", name) for name in names]
    assert left[0] == left[1]
    assert 0 < len(left[0]) < len(DAYS)
