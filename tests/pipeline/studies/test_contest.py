"""Table 2, Figure 6 and Figure 7 in worlds of sixty people, from raw logs to reports."""

import json
import shutil
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation.studies.contest import FitCell, TunedCell, WorldCell
from infra.errors import ConfigError
from infra.progress import quiet
from infra.tracking import MlflowTracker
from pipeline.settings import load
from pipeline.studies import contest, studying, table2, transfer, worlds
from pipeline.studies.diary import Diary
from training.config import Task
from training.peers.names import PEERS
from training.transfer import Way

TINY = {"users": 60, "items": 300, "categories": 8, "shops": 8, "icons": 8}
PAIRS = (
    "train.threads=1", "train.batch_size=64", "evaluate.replicates=20", "evaluate.min_users=2",
    "evaluate.min_positives=2", "model.hidden_dim=8", "model.user_dim=8", "peers.maps=4",
    "peers.windows=3", "wide.bits=14",
)  # fmt: skip
FEW = {name: PEERS[name] for name in ("wide", "dssm", "all")}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return str(tmp_path_factory.mktemp("contest"))


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "SMALL", TINY)
        patch.setattr(table2, "PEERS", FEW)
        patch.setitem(contest.QUICK, "learnt", 2)
        patch.setitem(contest.QUICK, "epochs", 1)
        yield


@pytest.fixture(scope="module")
def settings(home):
    return load("study", home, PAIRS)


@pytest.fixture(scope="module")
def said(settings):
    """Of Table 2, told to MLflow."""
    return studying.run(settings, "table2", seeds=1, quick=True)


@pytest.fixture(scope="module")
def study(settings, said):
    del said
    return studying.make(settings, "table2", 1, quick=True)


def test_every_network_learns_every_task_that_it_can_answer(study, said):
    fits = [cell for cell in study.finished(study.fits()) if isinstance(cell, FitCell)]
    asked = {(fit.model, fit.tasks) for fit in fits}
    four = {(Task.CTR,), (Task.L2R,), (Task.PPP,), (Task.FIFP,)}
    assert asked == {
        *(("wide", one) for one in four),
        *(("all", one) for one in four),
        ("dssm", (Task.CTR,)), ("dssm", (Task.FIFP,)),
    }  # fmt: skip
    assert {f["name"] for f in said["figures"]} >= {"table2_all_over_wide_ctr_auc"}


def test_all_networks_answer_the_same_questions(study):
    fits = [cell for cell in study.finished(study.fits()) if isinstance(cell, FitCell)]
    by_task = {}
    for fit in fits:
        by_task.setdefault(fit.tasks, set()).add(fit.scores[0].questions)
    assert all(len(asked) == 1 for asked in by_task.values()), by_task


def test_a_network_is_given_what_its_search_chose_in_a_world_that_is_not_reported(study):
    tuned = study.finished(["tune-all-ctr"])[0]
    assert isinstance(tuned, TunedCell)
    assert len(tuned.trials) == contest.QUICK_TRIALS
    assert tuned.trials[tuned.chosen].loss == min(trial.loss for trial in tuned.trials)
    assert study.finished(["all-ctr-1"])[0].trial == tuned.chosen
    assert study.settings.study.tuning_seed not in study.reported


def test_nothing_that_is_finished_is_run_again(settings, said, study):
    places = [study.place(key) for stage in study.stages() for key in stage]
    before = [study.store.get(place) for place in places]
    assert studying.run(settings, "table2", seeds=1, quick=True, record=False) == said
    assert [study.store.get(place) for place in places] == before


def test_the_paper_s_own_heads_are_asked_what_ours_were_asked(settings, study):
    before = study.store.get(study.place("all-ctr-1"))
    said = studying.run(settings, "letter", seeds=1, quick=True, record=False)
    assert study.store.get(study.place("all-ctr-1")) == before, "of Table 2, not fitted again"
    letter = studying.make(settings, "letter", 1, quick=True)
    fits = [cell for cell in letter.finished(letter.fits()) if isinstance(cell, FitCell)]
    by_task = {}
    for fit in fits:
        by_task.setdefault(fit.tasks, set()).add((fit.model, fit.scores[0].questions))
    assert all({who for who, _ in of} == {"letter", "all"} for of in by_task.values())
    assert all(len({questions for _, questions in of}) == 1 for of in by_task.values())
    assert {f["name"] for f in said["figures"]} >= {"table2_all_over_letter_ctr_auc"}
    page = study.store.get("reports/study/letter-quick/report.html").decode()
    assert "DUPN-all, to the letter" in page
    assert "Neighbouring rows" not in page


def test_a_world_that_was_deleted_is_made_again_by_the_fit_that_needs_it(settings, study):
    fit, world = study.place("all-ctr-1"), study.world(1)
    before = study.finished(["all-ctr-1"])[0]
    shutil.rmtree(world.own.home)
    contest._kept.clear()
    Path(study.store.address(fit)).unlink()
    studying.run(settings, "table2", seeds=1, quick=True, record=False)
    again = study.finished(["all-ctr-1"])[0]
    assert again.model_copy(update={"seconds": before.seconds}) == before


def test_a_change_of_the_learning_runs_the_networks_again_and_not_the_worlds(home, study):
    other = load("study", home, [*PAIRS, "train.clip_norm=1"])
    changed = studying.make(other, "table2", 1, quick=True)
    assert changed.kept("world-1") is not None
    assert changed.kept("tune-all-ctr") is None
    assert study.kept("tune-all-ctr") is not None


def test_how_many_moments_an_offline_evaluation_asks_decides_no_cell(home):
    usual, fewer, other = (
        studying.make(load("study", home, more), "table2", 1, quick=True).digest("world-1")
        for more in ([], ["evaluate.moments=5000"], ["evaluate.replicates=50"])
    )
    assert usual == fewer != other


def test_the_world_of_the_search_is_none_that_is_reported(home):
    other = load("study", home, [*PAIRS, "study.tuning_seed=2"])
    assert studying.make(other, "table2", 1, quick=False)
    with pytest.raises(ConfigError, match=r"study\.tuning_seed is 2.*Take a seed above 3"):
        studying.make(other, "table2", 3, quick=False)


def test_worlds_of_another_round_are_others(study):
    before = study.digest("world-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contest, "ROUND", 2)
        assert study.digest("world-1") != before


def test_the_truth_and_the_yardsticks_answer_beside_them(study):
    world = study.finished(["world-1"])[0]
    assert isinstance(world, WorldCell)
    best = world.score("ceiling", Task.CTR).value
    assert best > world.score("category_recency", Task.CTR).value
    assert world.score("max_entropy", Task.PPP) or world.score("most_frequent_level", Task.PPP)


def test_the_report_is_json_a_picture_and_a_page(study, said):
    folder = "reports/study/table2-quick"
    content = json.loads(study.store.get(f"{folder}/report.json"))
    assert content["figures"] == said["figures"]
    assert study.store.get(f"{folder}/table2.png").startswith(b"\x89PNG")
    page = study.store.get(f"{folder}/report.html").decode()
    assert all(peer.title.replace("&", "&amp;") in page for peer in FEW.values())
    assert "0.7252" in page, "the paper's number stands beside"


def test_a_quick_report_says_the_size_of_the_world_that_it_had(study, said):
    del said
    data = json.loads(study.store.get("reports/study/table2-quick/report.json"))["protocol"]["Data"]
    assert "a world each of 60 users and, on its first day, 300 items" in data


def test_mlflow_holds_a_run_of_the_study_and_one_inside_it_for_every_cell(settings, study):
    client = MlflowTracker(settings.tracking, settings.store).client
    (experiment,) = [e for e in client.search_experiments() if e.name == "dupn"]
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    (parent,) = [run for run in runs if run.info.run_name == "study table2-quick"]
    inside = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    keys = [key for stage in study.stages() for key in stage]
    assert {run.info.run_name for run in inside} == {f"table2-quick {key}" for key in keys}
    assert parent.info.status == "FINISHED"
    assert "table2_all_ctr_auc" in parent.data.metrics
    fit = next(run for run in inside if run.info.run_name.endswith("all-ctr-1"))
    assert {"loss", "asked_ctr_auc"} <= set(fit.data.metrics)
    assert {file.path for file in client.list_artifacts(parent.info.run_id, "study")} >= {
        "study/report.html", "study/report.json", "study/report.md", "study/table2.png",
    }  # fmt: skip


def test_a_study_that_has_ended_keeps_its_run_and_the_next_one_has_another(settings, study):
    client = MlflowTracker(settings.tracking, settings.store).client
    ended = json.loads(study.store.get("reports/study/table2-quick/run.json"))["run_id"]
    following = Diary(study).run
    assert following != ended
    assert Diary(study).run == following, "of a study that goes on"
    assert client.get_run(ended).info.status == "FINISHED"
    client.delete_run(following)


def test_figure_6_takes_the_single_tasks_from_table_2_and_adds_the_joint_run(settings, study):
    before = study.store.get(study.place("all-ctr-1"))
    said = studying.run(settings, "multitask", seeds=1, quick=True, record=False)
    assert study.store.get(study.place("all-ctr-1")) == before
    joint = studying.make(settings, "multitask", 1, quick=True).finished(["all-joint-1"])[0]
    assert {score.measure for score in joint.scores} == {
        "ctr_auc", "l2r_auc", "ppp_precision", "fifp_auc",
    }  # fmt: skip
    gain = next(f for f in said["figures"] if f["name"] == "multitask_gain_ctr_auc")
    single = study.finished(["all-ctr-1"])[0].score(Task.CTR).value
    assert gain["value"] == pytest.approx(joint.score(Task.CTR).value - single)


def test_figure_7_learns_the_shop_task_in_four_ways(settings):
    said = studying.run(settings, "transfer", seeds=1, quick=True, record=False)
    values = {f["name"]: f["value"] for f in said["figures"]}
    assert all(values[f"transfer_{way}_spp_auc"] is not None for way in ("rs", "ra", "rt", "ft"))
    assert any(sentence.startswith("RT converges first") for sentence in said["said"])


def test_every_way_may_learn_twice_the_epochs_of_other_studies(settings, study):
    del study
    made = studying.make(settings, "transfer", 1, quick=True)
    world = made.world(1)
    asking = contest.held(world, "learnt").asking([Task.SPP], made.shares(world))
    for way in made.finished([f"{way}-1" for way in Way]):
        passes = way.curve[-1].moments / len(asking.rows)
        assert passes == pytest.approx(2 * contest.QUICK["epochs"], rel=1e-3)


def test_every_way_is_judged_by_the_shop_task_alone_and_counts_moments_that_ask_of_a_shop(
    settings, study
):
    del study
    made = studying.make(settings, "transfer", 1, quick=True)
    ways = made.finished([f"{way}-1" for way in Way])
    for way in ways:
        assert all(set(step.figures) <= {"spp_auc", "spp_loss"} for step in way.curve)
        assert all(step.loss == step.figures["spp_loss"] for step in way.curve)
    ends = {way.way: way.curve[-1].moments for way in ways}
    assert ends[Way.RA] == pytest.approx(ends[Way.RS], abs=1), "as many passes"
    told = made.logged(ways[0])
    point = made.points("all")[ways[0].trial].of_networks()
    assert told.params == {"way": "rs", "seed": 1, "trial": ways[0].trial, "point": point}
    (search,) = made.finished(["search-rs"])
    assert made.logged(search).params == {"way": "rs", "chosen": ways[0].trial, "point": point}
    assert [one["loss"] for _, one in made.logged(search).metrics] == list(search.losses)
    assert [step for step, _ in told.metrics] == [
        *(one.moments for one in ways[0].curve),
        ways[0].curve[-1].moments,
    ]
    assert told.metrics[-1][1] == {"asked_spp_auc": ways[0].score.value}


def test_only_ways_that_begin_with_the_known_network_are_learnt_again_for_another(settings, study):
    del study
    made = studying.make(settings, "transfer", 1, quick=True)
    before = {way: made.digest(f"{way}-1") for way in Way}
    (tuned,) = made.finished(["tune-all-joint"])
    other = tuned.model_copy(update={"chosen": 1 - tuned.chosen})
    made.store.put(made.place("tune-all-joint"), other.model_dump_json())
    # A search that rests on the known network is another's now, so the ways that it is for wait.
    assert made.digest("rs-1") == before[Way.RS]
    assert made.digest("ra-1") == before[Way.RA]
    with pytest.raises(ConfigError, match="search-ft"):
        made.digest("ft-1")
    made.store.put(made.place("tune-all-joint"), tuned.model_dump_json())
    assert {way: made.digest(f"{way}-1") for way in Way} == before


def test_a_new_round_of_one_way_is_its_own_alone(settings, study, monkeypatch):
    del study
    made = studying.make(settings, "transfer", 1, quick=True)
    before = {way: made.digest(f"{way}-1") for way in Way}
    monkeypatch.setitem(transfer.WAYS, Way.RT, 3)
    with pytest.raises(ConfigError, match="search-rt"):
        made.digest("rt-1")
    assert all(made.digest(f"{way}-1") == before[way] for way in Way if way is not Way.RT)


def test_a_network_is_not_fitted_again_for_settings_that_only_others_read(home, study):
    other = load("study", home, [*PAIRS[:-1], "wide.bits=15"])
    changed = studying.make(other, "table2", 1, quick=True)
    assert changed.kept("tune-wide-ctr") is None
    assert changed.kept("tune-dssm-ctr") is not None
    assert changed.kept("all-ctr-1") is not None


def test_vectors_of_other_windows_are_another_network(study, monkeypatch):
    before = study.digest("tune-w2v-ctr"), study.digest("tune-all-ctr")
    monkeypatch.setattr(contest, "WINDOW", 3)
    assert study.digest("tune-w2v-ctr") != before[0]
    assert study.digest("tune-all-ctr") == before[1]


def test_two_studies_of_a_process_do_not_hand_each_other_their_days(tmp_path):
    """Worlds of as many days lie in one folder, whatever the days are for."""
    days = [date(2026, 3, number) for number in range(1, 5)]

    def world(learnt):
        parts = {"learnt": days[:learnt], "judges": days[learnt:]}
        return SimpleNamespace(own=SimpleNamespace(home=str(tmp_path)), held=list, **parts)

    assert contest.held(world(2), "judges") == days[2:]
    assert contest.held(world(3), "judges") == days[3:]
    assert contest.held(world(3), "judges") == days[3:]


def test_a_report_before_its_cells_says_what_to_run(tmp_path):
    empty = studying.make(load("study", str(tmp_path), PAIRS), "table2", 1, quick=True)
    with pytest.raises(ConfigError, match="cells are missing, first world-1"):
        empty.report()


def test_of_one_setting_nothing_is_searched(tmp_path):
    pairs = [*PAIRS, "study.trials=[{dropout=0.1}]"]
    study = studying.make(load("study", str(tmp_path), pairs), "table2", 1, quick=True)
    with quiet() as silent:
        assert study.cell("tune-all-ctr", silent)
    (tuned,) = study.finished(["tune-all-ctr"])
    assert (tuned.trials, tuned.chosen) == ((), 0)
    assert study.trial("all", "ctr").dropout == 0.1


def test_no_network_is_tried_twice_with_what_it_cannot_tell_apart(
    tmp_path,
):
    points = "[{dropout=0.1}, {dropout=0.2}, {dropout=0.1, alpha=0.2}, {dropout=0.1, l1=7}]"
    settings = load("study", str(tmp_path), [*PAIRS, f"study.trials={points}"])
    study = studying.make(settings, "table2", 1, quick=False)
    trials = list(settings.study.trials)
    assert study.points("all") == study.points("dssm") == trials[:2]
    assert study.points("wide_deep") == trials
    assert study.points("wide") == [trials[0], *trials[2:]]
    fewer = load("study", str(tmp_path), [*PAIRS, f"study.trials={points[:30]}]"])
    other = studying.make(fewer, "table2", 1, quick=False)
    assert other.points("all") == trials[:2]
    assert other.digest("tune-all-ctr") == study.digest("tune-all-ctr")
    assert other.digest("tune-wide-ctr") != study.digest("tune-wide-ctr")
