import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from evaluation.studies.attending import Asked, Named
from evaluation.studies.attention import Seen
from features.schemas import UNKNOWN_ROW
from infra.progress import quiet
from pipeline.settings import load
from pipeline.studies import attention, contest, worlds
from pipeline.studies.attention import AttentionStudy
from pipeline.studies.config import TrialConfig
from training.config import ModelConfig
from training.model.dupn import Dupn
from training.moments import Lists

TINY = {"users": 60, "items": 300, "categories": 8, "shops": 8, "icons": 8}
PAIRS = [
    "train.threads=1", "train.batch_size=64", "evaluate.replicates=20", "study.tuning_seed=1",
]  # fmt: skip
DAYS = {"learnt": 1, "judges": 1, "asked": 1, "epochs": 1, "judgements": 1, "shares": {}}


@pytest.fixture(scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worlds, "SMALL", TINY)
        patch.setattr(contest, "QUICK", DAYS)
        patch.setattr(contest, "QUICK_TRIALS", 1)
        yield


def finish(study):
    with quiet() as progress:
        for stage in study.stages():
            for key in stage:
                study.cell(key, progress)
    return study.report()


@pytest.fixture(scope="module")
def studied(tmp_path_factory, small):
    home = str(tmp_path_factory.mktemp("attention"))
    study = AttentionStudy(load("study", home, PAIRS), seeds=1, quick=True)
    return study, finish(study)


@pytest.fixture(scope="module")
def asked(studied):
    study, _ = studied
    world = study.world(1)
    return Asked(world.held(world.learnt), world.held(world.asked)), world


def test_every_figure_says_its_protocol_and_is_on_paper(studied):
    study, said = studied
    folder = f"reports/study/{study.name}"
    assert study.name == "attention-quick"
    content = json.loads(study.store.get(f"{folder}/report.json"))
    assert all(len(one["protocol"]) > 20 for one in content["figures"])
    names = {one["name"] for one in content["figures"]}
    assert {"attention_match_over_shuffled", "attention_cart_live_over_later"} <= names
    assert study.store.get(f"{folder}/figure_9.png")
    assert b"Figure 9" in study.store.get(f"{folder}/report.html")
    assert len(said["said"]) == 6


def test_a_finished_cell_is_not_run_again_unless_what_decides_it_changed(studied, monkeypatch):
    study, said = studied
    monkeypatch.setattr(AttentionStudy, "work", None)
    assert finish(study) == said
    other = study.settings.model_copy(update={"model": ModelConfig(hidden_dim=32)})
    changed = AttentionStudy(other, seeds=1, quick=True)
    assert changed.kept("world-1") is not None
    assert changed.kept("tune-all-joint") is None
    with monkeypatch.context() as another:
        another.setattr(attention, "ROUND", 2)
        assert study.kept("attention-1") is None, "it is looked at otherwise"
    monkeypatch.setattr(study, "trial", lambda *_: TrialConfig(dropout=0.5))
    assert study.kept("attention-1") is None


def test_what_is_seen_are_the_asked_moments_with_a_query_and_a_history(studied, asked):
    study, _ = studied
    (seen,) = study.finished(["attention-1"])
    assert isinstance(seen, Seen)
    one, _ = asked
    moments = one.held.moments
    rows = [
        row
        for row in range(len(moments))
        if moments.query.lengths[row] and moments.sequence.lengths[row]
    ]
    assert (seen.moments, one.rows.tolist()) == (len(rows), rows)
    assert np.sum(seen.behaviours) == moments.sequence.lengths[rows].sum()
    assert seen.matched <= seen.known <= seen.moments


def test_histories_are_flat_as_the_samples_have_them(asked):
    one, _ = asked
    found, moments = one.histories, one.held.moments
    assert np.array_equal(np.bincount(found.owner), moments.sequence.lengths[one.rows])
    for place in (0, len(one.rows) // 2, len(one.rows) - 1):
        row = one.rows[place]
        start = moments.sequence.starts[row]
        part = slice(start, start + moments.sequence.lengths[row])
        catalog = one.held.catalogs[moments.day[row]]
        mine = found.owner == place
        items = moments.sequence.columns["item"][part]
        assert np.array_equal(found.category[mine], catalog.category[items])
        assert np.array_equal(found.gap[mine], moments.sequence.columns["gap"][part])
        shown = slice(
            moments.candidates.starts[row],
            moments.candidates.starts[row] + moments.candidates.lengths[row],
        )
        hit = moments.candidates.columns["clicked"][shown] > 0
        clicked = set(catalog.category[moments.candidates.columns["item"][shown][hit]])
        assert found.clicks[place] == bool(clicked)
        assert found.clicked[mine].tolist() == [c in clicked for c in found.category[mine]]


def test_a_query_is_known_by_what_was_clicked_after_the_same_words_before(asked):
    one, _ = asked
    counts = {}
    learnt = one.learnt.moments
    for row in range(len(learnt)):
        lists = learnt.candidates
        part = slice(lists.starts[row], lists.starts[row] + lists.lengths[row])
        items = lists.columns["item"][part][lists.columns["clicked"][part] > 0]
        beside = counts.setdefault(words(learnt, row), {})
        for category in one.learnt.catalogs[learnt.day[row]].category[items]:
            beside[category] = beside.get(category, 0) + 1
    assert (one.wanted > 0).any()
    for place, row in enumerate(one.rows):
        typed = words(one.held.moments, row)
        beside = counts.get(typed, {}) if UNKNOWN_ROW not in typed else {}
        best = min(beside, key=lambda c: (-beside[c], c), default=0)
        assert one.wanted[place] == best


def words(moments, row):
    start = moments.query.starts[row]
    return tuple(moments.query.columns["row"][start : start + moments.query.lengths[row]])


def test_attention_is_a_distribution_and_follows_the_query_that_is_put_in(asked):
    one, _ = asked
    torch.manual_seed(1)
    network = Dupn(ModelConfig(), one.held.sizes)
    rows = one.rows
    own = one.attention(network, rows, rows, 16)
    assert own == pytest.approx(one.attention(network, rows, rows, 1000), abs=1e-6)
    assert np.bincount(one.histories.owner, own) == pytest.approx(np.ones(len(rows)), abs=1e-5)
    donor = rows[::-1].copy()
    other = one.attention(network, rows, donor, 16)
    assert np.abs(own - other).max() > 1e-6
    query = one.held.moments.query
    lengths, starts = query.lengths.copy(), query.starts.copy()
    lengths[rows], starts[rows] = query.lengths[donor], query.starts[donor]
    moments = replace(one.held.moments, query=Lists(lengths, starts, query.columns))
    typed = Asked(one.learnt, replace(one.held, moments=moments))
    assert other == pytest.approx(typed.attention(network, rows, rows, 16), abs=1e-6)


def test_the_example_is_asked_about_its_own_categories(asked, monkeypatch):
    one, world = asked
    torch.manual_seed(1)
    network = Dupn(ModelConfig(), one.held.sizes)
    names = Named.of(world.store, world.learnt[-1])
    monkeypatch.setattr("evaluation.studies.attending.FEWEST_IN_EXAMPLE", 5)
    found = one.example(network, names)
    assert found is not None
    assert len(set(found.categories)) == len(set(found.queries)) == 4
    typed = {}
    for category, row in zip(one.wanted, one.rows, strict=True):
        text = " ".join(names.words.get(word, "?") for word in words(one.held.moments, row))
        beside = typed.setdefault(names.categories.get(category), {})
        beside[text] = beside.get(text, 0) + 1
    assert max(typed[found.categories[0]].values()) > 1
    for category, query in zip(found.categories, found.queries, strict=True):
        assert typed[category].get(query) == max(typed[category].values())
    counts = [found.place.count(which) for which in range(4)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] > 0
    assert np.sum(found.weights, axis=1) == pytest.approx(np.ones(4), abs=1e-4)
    assert len(found.weights[0]) == len(found.place)
