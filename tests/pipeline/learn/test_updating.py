"""Which night may be learnt, from which version, and what is said about it."""

import shutil
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from infra.errors import PartitionMissing, QualityFailed, RegistryError, TrainingError
from infra.store import Store
from pipeline import steps
from pipeline.learn import learning, updating
from pipeline.quality import judged
from tests.six_days import DAYS, NEXT, NIGHT, changed, judge, learnt, promote, registry
from tests.training.conftest import write_store
from training import checkpoint
from training.ancestry import Ancestry


def test_a_night_makes_a_candidate_with_its_ancestry(settings):
    done = steps.update(settings, NIGHT)
    assert (done["run"], done["parent"]) == ("dupn-2026-03-06", "dupn-2026-03-05")
    assert (done["outcome"], done["left_out"], done["abnormal"]) == ("trained", {}, "")
    assert done["parts"] == [f"2026-03-06 rest {done['moments']}"]
    lineage = checkpoint.final(settings.store, done["run"]).manifest().lineage
    ancestry = Ancestry.of_lineage(lineage)
    assert ancestry.days == tuple(DAYS[:5])
    assert ancestry.held(NIGHT) == 0.2
    assert lineage["days"] == [day.isoformat() for day in DAYS[:5]]
    run = registry(settings).client.get_run(done["mlflow_run"])
    assert run.info.run_name == done["run"]
    assert run.data.params["lineage.parent"] == "dupn-2026-03-05"
    assert run.data.params["lineage.ancestry_digest"] == ancestry.digest
    assert run.data.params["start.accumulator_decay"] == str(settings.update.accumulator_decay)
    assert run.data.params["lineage.days"] == "5"
    assert run.data.params["lineage.learnt.2026-03-06.rest"] == str(done["moments"])
    assert "progressive_ctr_auc" in run.data.metrics


def test_a_refused_night_is_learnt_by_the_next_and_a_promoted_one_leaves_its_holdout(settings):
    steps.update(settings, NIGHT)
    assert steps.update(settings, NEXT)["parent"] == "dupn-2026-03-05"
    assert learnt(settings, NEXT) == [(6, "all"), (7, "rest")]
    promote(settings, "dupn-2026-03-06")
    steps.update(settings, NEXT)
    assert learnt(settings, NEXT) == [(6, "holdout"), (7, "rest")]


def test_a_night_done_before_is_not_done_again(settings):
    first = steps.update(settings, NIGHT)
    written = checkpoint.final(settings.store, first["run"]).manifest().written_at
    assert steps.update(settings, NIGHT)["moments"] == first["moments"]
    promote(settings, first["run"])
    again = steps.update(settings, NIGHT)
    assert (again["run"], again["outcome"]) == (first["run"], "finished before")
    assert checkpoint.final(settings.store, first["run"]).manifest().written_at == written


def test_a_day_that_failed_quality_is_refused_or_forced_with_a_reason(settings):
    judge(settings.store, NIGHT, passed=False)
    with pytest.raises(QualityFailed, match="2026-03-06: events and samples did not pass"):
        steps.update(settings, NIGHT)
    done = steps.update(settings, NIGHT, forced="the limit was wrong")
    lineage = checkpoint.final(settings.store, done["run"]).manifest().lineage
    assert Ancestry.of_lineage(lineage).of(NIGHT)[0].forced == "the limit was wrong"


def test_a_failed_day_in_between_is_left_out_and_joins_when_it_passes(settings):
    judge(settings.store, NIGHT, passed=False)
    done = steps.update(settings, NEXT)
    assert done["left_out"] == {"2026-03-06": "events and samples did not pass quality"}
    assert done["lost"] == ""
    assert learnt(settings, NEXT) == [(7, "rest")]
    judge(settings.store, NIGHT)
    steps.update(settings, NEXT)
    assert learnt(settings, NEXT) == [(6, "all"), (7, "rest")]


def test_a_day_whose_samples_are_gone_is_told_of_by_the_first_night_that_goes_without(settings):
    store, after = write_store(Path(settings.home), days=7, moments=60), date(2026, 3, 8)
    judge(store, after)
    store.partition("samples", NIGHT).remove()
    done = steps.update(settings, NEXT)
    assert done["left_out"] == {"2026-03-06": updating.UNPUBLISHED}
    assert done["lost"].startswith(f"2026-03-06: {updating.UNPUBLISHED}. raw/dt=2026-03-06/")
    assert done["lost"].endswith("nothing makes it again.")  # a world of samples alone
    refused = steps.update(settings, after)  # from the same champion
    promote(settings, done["run"])
    for done in (refused, steps.update(settings, after)):
        assert (done["left_out"], done["lost"]) == ({"2026-03-06": updating.UNPUBLISHED}, "")


def test_however_many_days_wait_what_quality_says_of_a_day_is_read_once(settings, monkeypatch):
    get, asked = Store.get, []
    monkeypatch.setattr(Store, "get", lambda self, key: asked.append(key) or get(self, key))
    steps.update(settings, NEXT)  # NIGHT waits, and both are held against the days before them
    reports = [key for key in asked if key.startswith("reports/quality/") and str(NEXT) not in key]
    assert f"reports/quality/events/{DAYS[0]}.json" in reports
    assert len(reports) == len(set(reports))


def test_a_day_that_a_person_left_out_stays_out_until_its_night_is_run_without(settings):
    judged.leave_out(settings.store, NIGHT, out=True)
    with pytest.raises(
        QualityFailed, match=f"left out by a person .*`dupn backfill --day {NIGHT}`"
    ):
        steps.update(settings, NIGHT)
    assert steps.update(settings, NEXT)["left_out"] == {"2026-03-06": judged.LEFT_OUT}
    assert learnt(settings, NEXT) == [(7, "rest")]
    judged.leave_out(settings.store, NIGHT, out=False)
    steps.update(settings, NEXT)
    assert learnt(settings, NEXT) == [(6, "all"), (7, "rest")]


def test_a_promoted_night_that_is_repeated_with_other_data_ends_and_says_what_it_is_not(settings):
    first = steps.update(settings, NIGHT)
    promote(settings, first["run"])
    samples = settings.store.partition("samples", NIGHT)
    with samples.publish(**samples.manifest().lineage) as out:  # corrected and made again
        out.record([out.write_table("part", pa.table({"x": [1]}))])
    again = steps.update(settings, NIGHT)
    assert (again["run"], again["outcome"]) == (first["run"], "finished before")
    assert "dupn backfill --day 2026-03-06" in again["why"]


def test_a_day_learnt_before_is_refused(settings):
    for day in (DAYS[2], DAYS[3]):
        with pytest.raises(TrainingError, match=f"dupn-2026-03-05 has learnt {day} already"):
            steps.update(settings, day)
    with pytest.raises(PartitionMissing, match="samples/dt=2026-03-09"):
        steps.update(settings, date(2026, 3, 9))
    settings.store.partition("samples", DAYS[2]).remove()  # swept: nobody has to make them first
    with pytest.raises(TrainingError, match=f"`dupn update --day {DAYS[2]} --force --why"):
        steps.update(settings, DAYS[2])


def test_the_line_s_own_version_is_the_parent_though_another_line_is_champion(settings):
    promote(settings, "rival-2026-03-05", line="rival")
    with pytest.raises(RegistryError, match="no version of line dupn is champion or challenger"):
        steps.update(settings, NIGHT)
    with pytest.raises(RegistryError, match="with `dupn --set line=third run initial`"):
        steps.update(changed(settings, "line=third"), NIGHT)
    promote(settings, "dupn-2026-03-05", alias="challenger")
    assert steps.update(settings, NIGHT)["parent"] == "dupn-2026-03-05"


def test_a_line_s_newest_model_is_not_one_of_a_longer_name(settings):
    folder = Path(settings.home, "checkpoints")
    shutil.copytree(folder / "dupn-2026-03-05", folder / "fast-1-2026-03-05")
    with pytest.raises(PartitionMissing, match="no model of line fast was trained"):
        learning.candidate(changed(settings, "line=fast"), NIGHT)
    with pytest.raises(PartitionMissing, match="`dupn --set line=fast train --until D --days N`"):
        learning.candidate(changed(settings, "line=fast"), NIGHT)
    found = learning.candidate(changed(settings, "line=fast-1"), NIGHT)
    assert (found.key, found.line) == ("fast-1-2026-03-05", "fast-1")


def test_another_network_is_another_line(settings):
    with pytest.raises(TrainingError, match=r"^dupn-2026-03-05 is another network") as told:
        steps.update(changed(settings, "model.hidden_dim=5", "model.ranks_with_ctr=false"), NIGHT)
    assert "model.hidden_dim was 4 and is 5" in str(told.value)
    assert "model.ranks_with_ctr was True and is False" in str(told.value)
    assert "Restore these," in str(told.value)


def test_an_abnormal_day_is_reported_and_learnt_or_weighed_or_skipped(settings):
    judge(settings.store, NIGHT, rows=900)
    skipped = steps.update(changed(settings, "update.abnormal=skip"), NIGHT)
    assert (skipped["run"], skipped["outcome"]) == ("", "skipped")
    assert "behaviors has 900 rows, 9.00 times the median" in skipped["abnormal"]
    assert not checkpoint.final(settings.store, "dupn-2026-03-06").exists()
    lighter = "update.abnormal=down-weight", "update.abnormal_weight=0.4"
    light = steps.update(changed(settings, *lighter), NIGHT)
    lineage = checkpoint.final(settings.store, light["run"]).manifest().lineage
    assert Ancestry.of_lineage(lineage).of(NIGHT)[0].weight == 0.4
    done = steps.update(settings, NIGHT)
    lineage = checkpoint.final(settings.store, done["run"]).manifest().lineage
    assert Ancestry.of_lineage(lineage).of(NIGHT)[0].weight == 1
    assert lineage["abnormal"]["2026-03-06"][0]["value"] == 9
    run = registry(settings).client.get_run(done["mlflow_run"])
    assert run.data.tags["abnormal"] == done["abnormal"] != ""
    after = steps.update(changed(settings, "update.abnormal=skip"), NEXT)
    assert after["left_out"] == {"2026-03-06": "abnormal"}


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("abnormal_volume_ratio=1.2", "behaviors has 130 rows, 1.30 times the median of the 4"),
        ("abnormal_mix_distance=0.08", "the mix of behaviors.type is 0.10 away from that of the 4"),
        ("abnormal_days=3", "behaviors has 130 rows, 2.60 times the median of the 3 days"),
    ],
)
def test_every_limit_that_is_set_is_the_one_by_which_a_day_is_abnormal(settings, limit, said):
    """By those that are not set it is none."""
    for day, rows in zip(DAYS[:4], (150, 150, 50, 50), strict=True):
        judge(settings.store, day, rows=rows)
    judge(settings.store, NIGHT, rows=130, carts=13)
    skipped = steps.update(changed(settings, "update.abnormal=skip", f"update.{limit}"), NIGHT)
    assert skipped["outcome"] == "skipped"
    assert said in skipped["abnormal"]
