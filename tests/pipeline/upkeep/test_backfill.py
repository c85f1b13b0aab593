"""A past day read again: what follows from it is redone, what does not is left, rows are for ever.

The day's raw file loses half its rows and gets an item that nobody knew. The run is cut off after
two stages; the next one goes on.
"""

import json
import shutil
from datetime import date
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from features import inputs
from infra.errors import PartitionMissing, QualityFailed
from pipeline import steps
from pipeline.quality import judged
from pipeline.upkeep import afterwards, backfill
from tests import nights
from tests.nights import DAYS

MINE, DAY = DAYS[:3], DAYS[1]
STAGES = ("raw", "events", "rejects", "vocabulary", "catalog", "statistics", "sequences", "samples")
LENIENT = ("quality.max_reject_share=1", "quality.max_stale_h=1000", "quality.max_drift=9")
NEW = "i-new"


@pytest.fixture(scope="module")
def home(whole, tmp_path_factory):
    return made(whole, tmp_path_factory.mktemp("backfill"))


def made(whole, folder):
    """Three days as they were published first, judged and found good."""
    mine = nights.settings(folder, 1, *LENIENT)
    nights.copy(whole.store, mine.store, [f"{stage}/dt={day}" for stage in STAGES for day in MINE])
    for day in MINE:
        parts = [mine.store.partition(stage, day) for stage in judged.GROUPS["samples"]]
        stamps = {part.key: part.stamp() for part in parts}
        with mine.store.partition("quality", day, "samples").publish(inputs=stamps) as out:
            out.record([out.write_bytes("tally.json", b"{}")])
        report = f"reports/quality/samples/{day}.json"
        mine.store.put(report, json.dumps({"passed": True, "inputs": stamps}))
    return mine


def change(settings):
    """Half of the day's rows, and a new item, some of its sightings late."""
    folder = Path(settings.store.root, f"raw/dt={DAY}/behaviors")
    rows = pl.DataFrame(settings.store.partition("raw", DAY, "behaviors").table())
    kept = rows.filter(pl.int_range(pl.len()) % 2 == 0)
    sound = kept.filter(pl.col("ts") > 10**12).head(4)
    shutil.rmtree(folder)
    folder.mkdir()
    new = sound.with_columns(item_id=pl.lit(NEW))
    pl.concat([kept, new]).write_parquet(folder / "rows.parquet")


def rows_of(settings, day, feature=None):
    store = settings.store
    name, part = "item_id", store.partition("catalog", day)
    if feature:
        name, part = "id", store.partition("vocabulary", day, feature)
    table = part.table([name, "row"])
    pairs = zip(table[name].to_pylist(), table["row"].to_pylist(), strict=True)
    return {key: row for key, row in pairs if row >= 2 and key is not None}


def test_a_backfill_that_cannot_begin_leaves_no_note(home):
    with pytest.raises(PartitionMissing, match="is not there, so 2062-03-01 cannot be read again"):
        steps.backfill(home, date(2062, 3, 1))
    assert afterwards.behind(home.store) == []


def test_a_day_that_comes_out_as_it_was_redoes_nothing_after_it(home):
    said = steps.backfill(home, DAY)
    assert said["redone"] == [f"events {DAY}", f"quality {DAY}"]
    assert len(said["as they were"]) == 5 * 2


@pytest.fixture(scope="module")
def redone(home):
    """What the rows were, the plan, and what was said."""
    features = (None, "item", "token", "category")
    before = {(day, name): rows_of(home, day, name) for day in MINE for name in features}
    untouched = nights.digests(home.store, MINE[:1])
    change(home)
    plan = backfill.plan(home, DAY)
    for stage in ("events", "vocabulary"):  # and then the machine went down
        getattr(steps, stage)(home, DAY)
    said = steps.backfill(home, DAY)
    assert nights.digests(home.store, MINE[:1]) == untouched
    return before, plan, said


def test_the_plan_names_all_that_may_be_redone_and_why(redone):
    _, plan, said = redone
    named = [f"{one.stage} {one.day}" for one in plan]
    assert named[:2] == [f"events {DAY}", f"quality {DAY}"]
    stages = ("vocabulary", "statistics", "sequences", "samples", "quality_samples")
    assert named[2:] == [f"{stage} {day}" for day in MINE[1:] for stage in stages]
    assert all(one.why for one in plan)
    assert [one.sure for one in plan] == [True, True] + [False] * 10
    assert set(said["redone"]) | set(said["as they were"]) == set(named)


def test_a_run_that_was_cut_off_goes_on(home, redone):
    said = redone[2]
    assert f"vocabulary {DAY}" in said["as they were"]
    assert f"samples {MINE[-1]}" in said["redone"]
    for day in MINE:
        for stage in inputs.STAGES:
            assert inputs.changed(home.store, stage, day) == []
    assert steps.backfill(home, DAY)["redone"] == [f"events {DAY}", f"quality {DAY}"]


@pytest.mark.drill
def test_one_that_was_cut_off_rebuilds_the_state_that_was_swept(whole, tmp_path, monkeypatch):
    """The day after has samples and no state any more; it is killed before it has made that."""
    left = []
    for name in ("undisturbed", "killed"):
        mine = made(whole, tmp_path / name)
        change(mine)
        for stage in backfill.STATE:
            shutil.rmtree(Path(mine.home, stage, f"dt={MINE[-1]}"))
        if name == "killed":
            monkeypatch.setattr(steps, "statistics", killed_on(MINE[-1], steps.statistics))
            with pytest.raises(KeyboardInterrupt):
                steps.backfill(mine, DAY)
            monkeypatch.undo()
        steps.backfill(mine, DAY)
        left.append(nights.digests(mine.store, MINE))
    assert left[0] == left[1]


def test_a_day_that_a_person_left_out_is_passed_however_bad_it_is(whole, tmp_path):
    """No day has the rows that are asked for; one that nobody left out stops it."""
    mine = made(whole, tmp_path)
    change(mine)
    strict = nights.settings(tmp_path, 1, *LENIENT, "quality.min_rows=1000000")
    for day in MINE[1:]:
        with pytest.raises(QualityFailed, match=f"Quality of .* {day} failed: .* has rows"):
            steps.backfill(strict, DAY)
        assert backfill.unfinished(mine.store) == {DAY: DAY}
        judged.leave_out(mine.store, day, out=True)
    steps.backfill(strict, DAY)
    assert afterwards.behind(mine.store) == []
    for day in MINE[1:]:
        report = json.loads(mine.store.get(judged.report(day, "samples")))
        assert not report["passed"]
        assert judged.objections(mine.store, day) == judged.LEFT_OUT


def test_a_day_that_was_left_out_is_learnt_again_once_it_is_mended_and_passes(whole, tmp_path):
    """Nights have gone past it, so that its own cannot be run again."""
    mine = made(whole, tmp_path)
    for day in MINE[1:]:
        judged.leave_out(mine.store, day, out=True)
    strict = nights.settings(tmp_path, 1, *LENIENT, "quality.min_rows=1000000")
    assert steps.backfill(strict, DAY)["left out no more"] == []
    assert judged.objections(mine.store, DAY) == judged.LEFT_OUT
    change(mine)
    assert steps.backfill(mine, DAY)["left out no more"] == [str(DAY)]
    assert judged.objections(mine.store, DAY) == ""
    assert judged.is_left_out(mine.store, MINE[2])  # nobody asked for it


def test_an_order_about_a_day_that_passes_is_taken_back_by_no_backfill_of_several(whole, tmp_path):
    """Who gave it knows more than quality does."""
    mine = made(whole, tmp_path)
    steps.backfill(mine, DAY)
    assert all(judged.passed(mine.store, DAY, of) for of in judged.GROUPS)
    judged.leave_out(mine.store, DAY, out=True)
    change(mine)
    assert steps.backfill(mine, DAY, MINE[2])["left out no more"] == []
    assert judged.is_left_out(mine.store, DAY)
    assert steps.backfill(mine, DAY)["left out no more"] == [str(DAY)]


def test_a_backfill_of_several_that_goes_on_lets_in_whom_it_began_with(
    whole, tmp_path, monkeypatch
):
    """Judged before it was cut off, the mended day passes by then."""
    mine = made(whole, tmp_path)
    strict = nights.settings(tmp_path, 1, *LENIENT, "quality.min_rows=1000000")
    with pytest.raises(QualityFailed):
        steps.quality(strict, DAY, of="events")
    judged.leave_out(mine.store, DAY, out=True)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "samples", killed_on(MINE[2], steps.samples))
        change(mine)
        with pytest.raises(KeyboardInterrupt):
            steps.backfill(mine, DAY, MINE[2])
    assert judged.is_left_out(mine.store, DAY)
    assert judged.passed(mine.store, DAY, "events")
    steps.quality(mine, DAY, of="samples")
    assert steps.backfill(mine, DAY, MINE[2])["left out no more"] == [str(DAY)]


def test_samples_made_again_by_hand_and_not_judged_since_are_told_with_the_command(whole, tmp_path):
    """No night learns them."""
    mine = made(whole, tmp_path)
    assert afterwards.sentences(mine.store) == []
    samples = mine.store.partition("samples", DAY)
    half = samples.table().slice(1)
    with samples.publish(**samples.manifest().lineage) as out:
        out.record([out.write_table("part", half)])
    (told,) = afterwards.behind(mine.store)
    assert told.startswith(f"{DAY}: samples changed after quality had judged (samples/dt={DAY}")
    assert f"`dupn quality --of samples --day {DAY}` judges it." in told
    raw = mine.store.partition("raw", DAY, "behaviors")
    with raw.publish(**raw.manifest().lineage) as out:
        out.record([out.write_table("rows", raw.table().slice(1))])
    takes_in = f"{DAY}: `dupn backfill --day {DAY}` takes it in."
    assert afterwards.sentences(mine.store) == [takes_in]  # and judges it
    judged.leave_out(mine.store, DAY, out=True)
    (told,) = afterwards.sentences(mine.store)
    assert (
        told == f"{takes_in} A person left the day out: if it passes quality then, nights learn it."
    )
    judged.leave_out(mine.store, DAY, out=False)
    steps.quality(mine, DAY, "samples")
    assert afterwards.behind(mine.store) == []


def killed_on(day, work):
    def step(settings, asked):
        if asked == day:
            raise KeyboardInterrupt
        return work(settings, asked)

    return step


def test_sequences_are_those_of_a_build_from_the_new_log(home, redone, tmp_path):
    fresh = nights.settings(tmp_path)
    nights.copy(home.store, fresh.store, [f"events/dt={day}" for day in MINE])
    for day in MINE:
        steps.sequences(fresh, day)
        for part in inputs.written(fresh.store, "sequences", day):
            assert part.digest() == home.store.partition(part.key).digest()


def test_no_id_loses_its_row_and_a_new_one_gets_a_free_one(home, redone):
    before = redone[0]
    for feature in (None, "item", "token", "category"):
        newest = before[MINE[-1], feature]
        for day in MINE:
            now = rows_of(home, day, feature)
            assert now.items() & newest.items() == {
                (name, row) for name, row in now.items() if name in newest
            }
            fresh = set(now) - set(newest)
            assert all(now[name] >= 2 + len(newest) for name in fresh)
            if feature is None:
                assert fresh == ({NEW} if day != MINE[0] else set())
    assert len(set(rows_of(home, MINE[-1]).values())) == len(rows_of(home, MINE[-1]))


def test_places_of_items_that_nobody_knows_yet_are_unknown_in_everything(home, redone):
    table = home.store.partition("catalog", DAY).table()
    assert table["row"].to_pylist() == list(range(2, 2 + table.num_rows))
    nobody = table.filter(pa.compute.is_null(table["item_id"]))
    assert nobody.num_rows > 0
    for name in ("item", "brand", "shop", "category"):
        assert set(nobody[name].to_pylist()) == {1}
    asked = home.store.partition("samples", DAY).table(["cand_item", "seq_item"])
    seen = {
        row for name in asked.column_names for some in asked[name].to_pylist() for row in some or ()
    }
    assert not seen & set(nobody["row"].to_pylist())


def test_models_that_learnt_the_day_are_named(home):
    for key, days in (("dupn-a", [str(DAY)]), ("dupn-b", [str(MINE[-1])])):
        with home.store.partition("checkpoints", None, key, "final").publish(days=days) as out:
            out.record([out.write_bytes("weights", b"")])
    assert backfill.models(home, [DAY]) == ["dupn-a"]
    assert backfill.models(home, [DAY, MINE[-1]]) == ["dupn-a", "dupn-b"]


def test_a_day_without_raw_rows_is_refused(home):
    with pytest.raises(PartitionMissing, match="raw/dt=2026-04-01"):
        backfill.plan(home, DAY.replace(month=4, day=1))
