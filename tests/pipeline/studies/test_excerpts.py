"""The excerpts study from made-up logs in the formats of Taobao and Tmall, end to end."""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from evaluation import measures, metrics, yardsticks
from evaluation.questions import read
from evaluation.studies.excerpt_questions import AUC, HARDER
from evaluation.studies.excerpts import MODELS
from features import catalog
from features.carry import ONE_DAY
from infra.errors import ConfigError
from infra.progress import quiet
from pipeline.settings import load
from pipeline.studies import excerpt_logs, excerpts
from pipeline.studies.excerpt_logs import TAOBAO, TMALL, Excerpt, Protocol, shortened
from pipeline.studies.excerpts import ExcerptsStudy
from training.peers.last_click import of_some

pytestmark = pytest.mark.skipif(
    find_spec("deepctr_torch") is None, reason="the extra `bench` is not installed"
)
USERS, ITEMS, CATEGORIES, DAYS = 40, 60, 6, 4
FIRST = TAOBAO.first
TAOBAO_4 = replace(TAOBAO, count=DAYS)
TMALL_3 = replace(TMALL, first=date(2014, 11, 9), count=3)
PROTOCOLS = (
    Protocol("taobao", "Taobao", TAOBAO_4, learnt=2, searched=0.7),
    Protocol("mimn", "MIMN", TAOBAO_4, folds=3, batch_size=16, epochs=2),
    Protocol("tmall", "Tmall", TMALL_3, learnt=1),
)
PAIRS = [
    "train.threads=1", "train.batch_size=64", "study.epochs=1", "evaluate.replicates=20",
    "evaluate.min_positives=1", "evaluate.min_users=2", "model.hidden_dim=8",
    "model.category_dim=8", "model.user_dim=4", "model.attention_dim=4",
]  # fmt: skip
"""Small and fast."""


def clicks():
    """(user, day, item), five of each user and day: everybody likes a category."""
    rng = np.random.default_rng(4)
    for user in range(USERS):
        for day in range(DAYS):
            liked = rng.random(5) < 0.8
            category = np.where(liked, user % CATEGORIES, rng.integers(0, CATEGORIES, 5))
            for item in category + CATEGORIES * rng.integers(0, ITEMS // CATEGORIES, 5):
                yield user, day, int(item)


def write_logs(folder):
    """Both files; by user, the items that they clicked in Taobao's, oldest first."""
    start, done = datetime(2017, 11, 25, 9, tzinfo=UTC) - timedelta(hours=8), defaultdict(list)
    taobao, tmall = [], ["id,user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type"]
    for number, (user, day, item) in enumerate(clicks()):
        seconds = day * 86_400 + number % 5 * 600
        stamp = int((start + timedelta(seconds=seconds)).timestamp())
        taobao.append(f"{user},{item},{900 + item % CATEGORIES},pv,{stamp}")
        tmall.append(
            f"{number},{user},{item},{item % CATEGORIES},{item % 7},{item % 5}.0,{1108 + day},0"
        )
        done[str(user)].append(str(item))
    for log, lines in ((TAOBAO, taobao), (TMALL, tmall)):
        (folder / log.file).parent.mkdir(parents=True)
        (folder / log.file).write_text("\n".join(lines) + "\n")
    return done


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    return folder, write_logs(folder)


@pytest.fixture(scope="module")
def studied(logs, tmp_path_factory):
    """The study run whole, and what it said."""
    home = str(tmp_path_factory.mktemp("excerpts"))
    settings = load("taobao", home, [*PAIRS, f"study.data={logs[0]}"])
    two = settings.study.model_copy(update={"trials": settings.study.trials[:2]})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(excerpt_logs, "PROTOCOLS", PROTOCOLS)
        study = ExcerptsStudy(settings.model_copy(update={"study": two}), seeds=2, quick=False)
    assert all(run(study))
    yield study, study.report()
    torch.set_num_threads(threads)


def run(study):
    """Of every cell, whether it was run now."""
    with quiet() as silent:
        return [study.cell(key, silent) for stage in study.stages() for key in stage]


def test_every_network_answers_every_protocol_with_every_seed(studied):
    study, said = studied
    runs = study.finished(study.stages()[-1])
    assert {(r.protocol, r.model, r.seed) for r in runs} == {
        (p.name, m, s) for p in PROTOCOLS for m in MODELS for s in (1, 2)
    }
    asked = {r.protocol: {score.measure for score in r.scores} for r in runs}
    assert asked == {"taobao": {AUC, HARDER}, "mimn": {AUC}, "tmall": {AUC, HARDER}}
    others = study.finished([f"others-{protocol.name}" for protocol in PROTOCOLS])
    questions = {(o.protocol, o.others["category_recency"][0].questions) for o in others}
    assert {(r.protocol, r.scores[0].questions) for r in runs} == questions
    names = {figure["name"] for figure in said["figures"]}
    assert {"excerpts_mimn_all_over_dien_ctr_auc", "excerpts_tmall_seen_before_ctr_auc"} <= names
    # Of Tmall the first day alone is learnt here, before which nothing was popular.
    deciles = {f"excerpts_{name}_popularity_decile_ctr_auc" for name in ("taobao", "mimn")}
    assert deciles <= names, "what popularity alone tells stands beside the networks"
    assert len(said["said"]) == 9


def test_a_finished_cell_is_not_run_again_and_a_lost_one_comes_back_the_same(studied):
    study, _ = studied
    assert not any(run(study))
    lost = "din-mimn-2"
    before = study.store.get(study.place(lost))
    study.store.put(study.place(lost), before.replace(b'"settings":"', b'"settings":"x', 1))
    assert sum(run(study)) == 1
    after = study.kind(lost).model_validate_json(study.store.get(study.place(lost)))
    assert after.scores == study.kind(lost).model_validate_json(before).scores


def test_what_decides_a_cell_makes_it_another(studied, logs):
    study, _ = studied
    keys = [key for stage in study.stages() for key in stage]
    before = {key: study.digest(key) for key in keys}

    def changed(**update):
        settings = study.settings.model_copy(update=update)
        other = ExcerptsStudy(settings, seeds=2, quick=False)
        other.protocols, other.trials = study.protocols, study.trials
        fresh = [key for key in keys[:14] if other.digest(key) != before[key]]
        return {key.partition("-")[0] for key in fresh}

    train = study.settings.train.model_copy(update={"l2": 0.1})
    samples = study.settings.samples.model_copy(update={"same_category": 2})
    assert changed(train=train) == {"tune"}
    assert changed(train=study.settings.train.model_copy(update={"threads": 2})) == set()
    assert changed(samples=samples) == {"log", "others", "tune"}
    searched = study.settings.study.model_copy(update={"tuning_seed": 7})
    assert changed(study=searched) == {"tune"}, "the search begins with other weights"
    log = logs[0] / TMALL.file
    text = log.read_text()
    log.write_text(text + "9999,1,1,1,1,1.0,1109,0\n")
    assert changed() == {"log", "others", "tune"}
    log.write_text(text)


def test_another_round_makes_every_question_another(studied, monkeypatch):
    study, _ = studied
    keys = [key for stage in study.stages()[:2] for key in stage]
    before = {key: study.digest(key) for key in keys}
    monkeypatch.setattr(excerpts, "ROUND", excerpts.ROUND + 1)
    changed = {key for key in keys if study.digest(key) != before[key]}
    assert changed == {key for key in keys if not key.startswith("log-")}


def test_the_search_says_whose_answers_it_had(studied):
    study, _ = studied
    searches = study.finished([key for key in study.stages()[1] if key.startswith("tune-")])
    assert {(one.protocol, one.share) for one in searches} == {
        (one.name, one.searched) for one in PROTOCOLS
    }


def test_searches_and_runs_are_told_with_the_point_that_was_chosen(studied):
    """A run as it is kept, whose place was among other points."""
    study, _ = studied
    for name in study.protocols:
        search, run = study.finished([f"tune-all-{name}", f"all-{name}-1"])
        point = study.trials[search.chosen].of_networks()
        assert study.logged(search).params["point"] == point
        stale = run.model_copy(update={"trial": len(study.trials)})
        assert study.logged(stale).params["point"] == point


def test_five_points_are_tried_with_dense_rates_down_to_a_thousandth():
    trials = load("taobao", None, []).study.trials
    assert len(trials) == 5
    assert {0.003, 0.001} <= {trial.learning_rate for trial in trials}


def ids_of(excerpt, rows):
    table = excerpt.store.partition("catalog", excerpt.log.days[-1]).table(["item_id"])
    ids = table["item_id"].to_pylist()
    return [ids[row - catalog.FIRST_ROW] for row in rows]


def asked_of(excerpt, held):
    """By user id, (item id, clicked, behaviours before); one question a user."""
    moments = held.moments
    found = {}
    for place in held.rows:
        assert moments.candidates.lengths[place] == 1
        at, user = moments.candidates.starts[place], moments.user_id[int(place)].as_py()
        assert user not in found
        (item,) = ids_of(excerpt, [moments.candidates.columns["item"][at]])
        clicked = int(moments.candidates.columns["clicked"][at])
        found[user] = (item, clicked, int(moments.sequence.lengths[place]))
    return found


def test_in_mimns_manner_everybody_is_asked_of_the_last_click_by_who_never_saw_them(studied, logs):
    study, _ = studied
    protocol = study.protocols["mimn"]
    excerpt, done = Excerpt(study.settings, protocol.log), logs[1]
    splits = excerpt.splits(protocol)
    everybody = Counter()
    for split in splits:
        learnt, judges, asked = (
            asked_of(excerpt, held) for held in (split.learnt, split.judges, split.asked)
        )
        assert learnt.keys() | judges.keys() | asked.keys() == done.keys()
        assert len(learnt) + len(judges) + len(asked) == USERS
        for user, (item, clicked, before) in {**learnt, **judges, **asked}.items():
            assert (item == done[user][-1]) == bool(clicked)
            assert before == len(done[user]) - 1
        everybody.update(asked.keys())
    assert set(everybody.values()) == {1}
    assert everybody.keys() == done.keys() - asked_of(excerpt, splits[0].judges).keys()
    shares = [
        clicked for split in splits for _, clicked, _ in asked_of(excerpt, split.asked).values()
    ]
    assert 0.25 < np.mean(shares) < 0.75


def test_in_mimns_manner_nobody_knows_more_than_the_evening_before(studied):
    """Neither of an item's popularity nor of which ids have a row, for clicks and random items."""
    study, _ = studied
    protocol = study.protocols["mimn"]
    excerpt = Excerpt(study.settings, protocol.log)
    for split in excerpt.splits(protocol):
        for held in vars(split).values():
            moments, lists = held.moments, held.moments.candidates
            for row in held.rows:
                day = protocol.log.days[moments.day[row]]
                known = catalog.load(excerpt.store, day)
                item = lists.columns["item"][lists.starts[row]]
                (batch, _), *_ = of_some(held, np.arange(len(moments)) == row).batches(1)
                (at,) = batch.cand_C.tolist()
                assert batch.items.tags_UG[at].tolist() == known.tags[item].tolist()
                last = catalog.load(excerpt.store, day - ONE_DAY).item.max() if day > FIRST else 1
                assert batch.items.item_U[at] <= last


def test_by_days_the_last_day_is_asked_and_neither_learnt_nor_a_judge(studied):
    study, _ = studied
    protocol = study.protocols["taobao"]
    (split,) = Excerpt(study.settings, protocol.log).splits(protocol)
    edges = [(held.moments.ts.min(), held.moments.ts.max()) for held in vars(split).values()]
    assert edges[0][1] < edges[1][0] <= edges[1][1] < edges[2][0]


def test_yardsticks_are_those_of_the_offline_report(studied):
    study, _ = studied
    protocol = study.protocols["taobao"]
    excerpt = Excerpt(study.settings, protocol.log)
    day, store = protocol.days[-1], excerpt.store
    block = read(store, day).candidates
    items = catalog.load(store, day)
    known = yardsticks.compute(store, day, protocol.log.days[:2], items, study.settings.evaluate)
    (others,) = study.finished(["others-taobao"])
    mine = {name: {s.measure: s.value for s in scores} for name, scores in others.others.items()}
    assert set(mine) == {"category_recency", "seen_before", "popularity", "popularity_decile"}
    masks = {AUC: measures.headline(block), HARDER: measures.same_category(block)}
    for one in known:
        for measure, keep in masks.items():
            if one.name in mine:
                theirs = metrics.auc(one.scores[keep], block.clicked[keep])
                assert mine[one.name][measure] == pytest.approx(theirs), (one.name, measure)


def test_the_protocol_says_the_widths_of_each_log_and_the_epochs_and_batches_of_each_protocol():
    settings = load("taobao", None, [])
    study = ExcerptsStudy(settings, seeds=5, quick=False)
    assert "on taobao, item vectors of 96, " in study.network
    assert "on tmall, item vectors of 88, " in study.network
    assert "click logit" not in study.network, "clicks are learnt alone"
    assert (
        "Taobao, same-day negatives, 5 in batches of 128 moments; Taobao, last click, one a user, "
        "12 in batches of 16 moments; Taobao, last click, ten a user learnt, 5 in batches of 64 "
        "moments; Tmall, same-day negatives, 8 in batches of 32 moments."
    ) in study.learning
    quick = ExcerptsStudy(settings, seeds=5, quick=True)
    assert "one a user, 1 in batches of 16 moments" in quick.learning


def test_a_log_that_is_absent_is_named_with_what_to_give(tmp_path):
    settings = load("taobao", str(tmp_path / "home"), [f"study.data={tmp_path}/nowhere"])
    study = ExcerptsStudy(settings, seeds=1, quick=True)
    wanted = r"nowhere/taobao_userbehavior/UserBehavior.csv is absent.*--set study.data=FOLDER"
    with pytest.raises(ConfigError, match=wanted), quiet() as silent:
        study.cell("log-taobao", silent)


def test_a_log_that_is_no_excerpt_is_refused_before_it_is_read(tmp_path, monkeypatch):
    (tmp_path / TAOBAO.file).parent.mkdir()
    (tmp_path / TAOBAO.file).write_text("1,2,3,pv,1511544070\n" * 3)
    study = ExcerptsStudy(load("taobao", str(tmp_path / "home"), [f"study.data={tmp_path}"]),
                          seeds=1, quick=True)  # fmt: skip
    monkeypatch.setattr(excerpt_logs, "MOST_BYTES", 60)
    assert study.digest("log-taobao")
    assert "head" not in repr(TAOBAO), "digests of published cells have the rest"
    monkeypatch.setattr(excerpt_logs, "MOST_BYTES", 59)
    wanted = r"UserBehavior.csv has .* `head -c 3178496` into another folder .*study.data=FOLDER"
    with pytest.raises(ConfigError, match=wanted):
        study.digest("log-taobao")


def test_a_quick_study_takes_the_last_days_of_a_long_log():
    (tmall,) = (one for one in excerpt_logs.PROTOCOLS if one.name == "tmall")
    short = shortened(tmall)
    assert short.log.days == tmall.log.days[-excerpt_logs.SHORT :]
    assert short.days == tmall.days
    (taobao, *_) = excerpt_logs.PROTOCOLS
    assert shortened(taobao) is taobao
