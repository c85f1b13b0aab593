"""A night after the smoke chain, watched: on a copy of its home."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from evaluation import filed, nights
from evaluation.results import Figure
from evaluation.watch import Night
from infra.tracking import MlflowTracker
from pipeline import steps
from pipeline.jobs import closing
from pipeline.learn import learning
from pipeline.nights import volumes, watching
from pipeline.release.incumbent import registry_of
from tests import chain as chains
from training import checkpoint as checkpoints
from training.ancestry import Ancestry
from training.fit import carry_out
from training.update import plan, prepared

DAY = chains.EVALUATED
BEFORE = f"dupn-{DAY - timedelta(days=1)}"
TONIGHT = f"dupn-{DAY}"


@pytest.fixture(scope="module")
def watched(chain, tmp_path_factory):
    home = tmp_path_factory.mktemp("watched")
    chains.copy_data(chain, home)
    shutil.copytree(Path(chain.settings.home, "checkpoints"), home / "checkpoints")
    settings = chains.smoke(home, "watch.replicates=20")
    store = settings.store
    todo = plan(store, checkpoints.final(store, BEFORE), DAY, settings.update)
    run = prepared(
        store,
        todo,
        settings.train,
        settings.update,
        seed=1,
        run_name=TONIGHT,
        facts={"left_out": {"2026-03-01": "its samples are gone"}},
        tracker=MlflowTracker(settings.tracking, store),
    )
    carry_out(run, True)
    return settings, steps.watch(settings, DAY, run=TONIGHT)


def figure(said, name):
    return next(one for one in said["figures"] if one["name"] == name)


def test_the_champion_before_tonight_is_asked_about_the_new_day(watched):
    _, said = watched
    assert said["parent"] == BEFORE
    asked = figure(said, "watch_progressive_ctr_auc")
    assert asked["protocol"].startswith(f"{BEFORE}, before training on")
    assert asked["value"] == figure(said, "watch_age_1_ctr_auc")["value"]


def test_the_page_says_which_days_tonights_model_was_not_taught(watched):
    settings, said = watched
    note = "2026-03-01 was not learnt: its samples are gone"
    assert note in said["notes"]
    assert note in settings.store.get(f"{filed.nightly('dupn')}/{nights.PAGE}").decode()


def test_tonights_model_is_asked_about_yesterday_again(watched):
    _, said = watched
    names = {one["name"] for one in said["figures"]}
    assert "watch_change_1_ctr_auc" in names
    assert "watch_change_3_ctr_auc" not in names
    assert "both have learnt" in figure(said, "watch_back_1_l2r_auc")["protocol"]


def test_of_a_day_that_the_older_model_was_only_judged_by_nothing_is_forgotten(watched):
    """`train.validation_days`: it is named after the day, and learnt nothing of it."""
    settings, _ = watched
    look = watching._Look(settings, DAY, learning.candidate(settings, DAY, TONIGHT))
    yesterday = DAY - timedelta(days=1)
    assert look._nothing_forgotten(yesterday, BEFORE) == ""
    rest = [part for part in look.ancestry.parts if part.day != yesterday]
    look._ancestry = lambda key: Ancestry(tuple(rest))
    assert not [one for one in look.forgetting() if "_back_1_" in one.name]
    assert look.notes == [
        f"nothing is asked about {yesterday}, 1 days back: {BEFORE} learnt nothing of it."
    ]


def test_volumes_and_durations_are_those_of_the_manifests(watched):
    settings, said = watched
    samples = settings.store.partition("samples", DAY).manifest()
    assert figure(said, "watch_moments")["value"] == samples.rows
    assert figure(said, "watch_samples_s")["value"] == samples.lineage["wall_s"]
    catalog = settings.store.partition("catalog", DAY)
    first_pass = [
        settings.store.partition("vocabulary", DAY, name).manifest().lineage["wall_s"]
        for name in settings.store.partition("vocabulary", DAY).names()
    ]
    both = max(first_pass) + catalog.manifest().lineage["wall_s"]
    assert figure(said, "watch_vocabulary_s")["value"] == pytest.approx(both)
    walls = {
        name: settings.store.partition("statistics", DAY, name).manifest().lineage["wall_s"]
        for name in settings.store.partition("statistics", DAY).names()
    }
    half = walls.pop(closing.FIRST)  # begun before anything of the second half is worked out
    assert half > max(walls[name] for name in ("price", "overall", "lr_ctr"))
    both = max(walls["item"], walls["lr_sample"]) + half
    assert figure(said, "watch_statistics_s")["value"] == pytest.approx(both)
    tally = checkpoints.final(settings.store, TONIGHT).manifest().lineage["tally"]
    assert figure(said, "watch_update_s")["value"] == tally["seconds"]
    names = ("events", "vocabulary", "statistics", "sequences", "samples", "update")
    total = figure(said, "watch_total_s")
    assert total["value"] == pytest.approx(
        sum(figure(said, f"watch_{n}_s")["value"] for n in names)
    )
    assert total["protocol"] == f"sum of {', '.join(names)}, not of the whole night of {DAY}"


def test_a_day_of_which_no_stage_is_there_has_no_total(watched):
    """A sum of nothing would be a night of 0 seconds."""
    settings, _ = watched
    assert list(volumes.figures(settings.store, DAY + timedelta(days=9), TONIGHT)) == []


def test_the_night_is_kept_drawn_and_logged(watched):
    settings, said = watched
    kept = nights.read(settings.store, "dupn", DAY, 30)
    assert [night.run for night in kept] == [TONIGHT]
    assert TONIGHT in Path(said["page"]).read_text()
    assert json.loads(Path(said["report"]).read_text())["figures"] == said["figures"]
    lineage = checkpoints.final(settings.store, TONIGHT).manifest().lineage
    run = MlflowTracker(settings.tracking, settings.store).client.get_run(lineage["run_id"])
    name = "watch_progressive_l2r_auc"
    assert run.data.metrics[name] == pytest.approx(figure(said, name)["value"])


def test_watched_again_it_says_the_same(watched):
    settings, said = watched
    again = steps.watch(settings, DAY)
    assert again == said
    assert len(nights.read(settings.store, "dupn", DAY, 30)) == 1


def test_a_model_that_has_learnt_the_day_is_not_asked_about_it(watched):
    settings, _ = watched
    said = steps.watch(settings, DAY - timedelta(days=1), run=BEFORE)
    assert not [one for one in said["figures"] if one["name"].startswith("watch_progressive")]
    assert BEFORE in said["notes"][0]


def test_a_day_whose_samples_were_swept_is_passed_over_with_a_note(watched, tmp_path):
    settings, said = watched
    yesterday = DAY - timedelta(days=1)
    swept = Path(settings.store.partition("samples", yesterday).path)
    kept = swept.rename(tmp_path / "samples")
    again = steps.watch(settings, DAY, run=TONIGHT)
    kept.rename(swept)
    assert not [one for one in again["figures"] if one["name"].startswith("watch_back_1_")]
    assert figure(again, "watch_age_1_ctr_auc") == figure(said, "watch_age_1_ctr_auc")
    assert str(yesterday) in again["notes"][-1]


def test_a_fall_is_told_of_the_champion_or_of_a_rival_lines_challenger(watched):
    """Last in this file: from here on the nights before were better."""
    settings, said = watched
    better = {"value": 0.99, "low": 0.98, "high": 1.0}
    before = Figure(**figure(said, "watch_progressive_ctr_auc") | better)
    for back in range(1, 4):
        day = str(DAY - timedelta(days=back))
        nights.put(settings.store, "dupn", Night(day=day, run="", parent="", figures=(before,)))
    whose = f"{BEFORE} (line dupn) on the new day is"
    of_one = settings.watch.model_copy(update={"page_nights": 2})  # a short page hides no fall
    [told] = steps.watch(settings.model_copy(update={"watch": of_one}), DAY)["alerts"]
    assert told.startswith(f"ctr_auc of the champion {whose}")
    registry, tags = registry_of(settings), {"run_key": f"wide-{DAY}", "line": "wide"}
    registry.promote(registry.register("file:///wide", "", tags).number, "it has won")
    [told] = steps.watch(settings, DAY)["alerts"]
    assert told.startswith(f"ctr_auc of the challenger {whose}")
