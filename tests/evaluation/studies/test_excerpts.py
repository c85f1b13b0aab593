"""Means over seeds of one world, paired differences, and what is said of the goal."""

import json
import re

import numpy as np
import pytest
from scipy import stats

from evaluation.bootstrap import Resamples
from evaluation.settings import EvaluateConfig
from evaluation.studies import excerpt_questions, excerpts, excerpts_report
from evaluation.studies.asking import Answered, Crowd, Score
from evaluation.studies.excerpt_questions import AUC, HARDER
from evaluation.studies.excerpts import (
    Board,
    Judged,
    LogCell,
    OthersCell,
    RunCell,
    SearchCell,
    Tried,
    over_seeds,
    scored,
)
from infra.store import Store

DRAWS = np.random.default_rng(0).normal(0, 0.01, 200)
"""What drawing users does to everybody alike."""


def score(value, drawn=DRAWS, measure=AUC):
    return Score(measure=measure, value=value, replicates=tuple(value + drawn), questions=500)


def run(model, seed, value, drawn=DRAWS):
    points = [Judged(epoch=e, moments=e * 100, loss=1 / e, figures={AUC: 0.6}) for e in (1, 2)]
    return RunCell(
        settings="x", protocol="taobao", model=model, seed=seed, trial=0,
        scores=(score(value, drawn), score(value - 0.2, drawn, HARDER)), curve=tuple(points[:seed]),
        parameters=10, seconds=1.0,
    )  # fmt: skip


def board(values, drawn=None):
    """`values[model]`: AUC of each seed."""
    others = OthersCell(
        settings="x", protocol="taobao", title="Taobao", words="So it goes.", users=99, learnt=100,
        others={"category_recency": (score(0.8), score(0.6, measure=HARDER))},
    )  # fmt: skip
    point = Judged(epoch=1, moments=9, loss=0.5, figures={AUC: 0.7})
    tried = Tried(settings={"learning_rate": 0.1}, curve=(point,), seconds=1.0)
    searches = [
        SearchCell(
            settings="x",
            protocol="taobao",
            model=model,
            trials=(tried, tried),
            chosen=0,
            share=0.25,
        )
        for model in values
    ]
    runs = [
        run(model, seed, value, (drawn or {}).get(model, DRAWS))
        for model, row in values.items()
        for seed, value in enumerate(row, start=1)
    ]
    return Board([others], searches, runs)


LOGS = [
    LogCell(settings="y", log="taobao", days=("2017-11-25", "2017-12-02"), users=99, moments=500,
            candidates=2500)
]  # fmt: skip
LEVEL = {
    "all": (0.89, 0.9, 0.85),
    "din": (0.87, 0.88, 0.89),
    "din_items": (0.86, 0.88, 0.87),
    "dien": (0.86, 0.85, 0.87),
}


def test_a_mean_over_seeds_varies_with_users_and_with_seeds():
    values = np.array([0.88, 0.9, 0.86])
    found = over_seeds([score(value) for value in values])
    variance = DRAWS.var(ddof=1) + values.var(ddof=1) / 3
    assert found.value == pytest.approx(0.88)
    assert found.error == pytest.approx(np.sqrt(variance))
    freedom = 2 * (variance / (values.var(ddof=1) / 3)) ** 2
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(variance)
    assert (found.low, found.high) == pytest.approx((0.88 - reach, 0.88 + reach))


def test_of_seeds_alone_the_interval_is_students_and_of_users_alone_normal():
    alone = over_seeds([score(value, DRAWS * 0) for value in (0.8, 0.82)])
    assert alone.high - 0.81 == pytest.approx(12.706 * 0.01, rel=1e-3)
    same = over_seeds([score(0.8), score(0.8)])
    assert same.high - 0.8 == pytest.approx(1.96 * DRAWS.std(ddof=1), rel=1e-3)


@pytest.mark.parametrize(("many", "spread"), [(8, 0.1), (2, 1.0)])
def test_its_interval_holds_the_truth_as_often_as_it_says(many, spread):
    """Users have an effect of their own on everybody, seeds one on themselves."""
    rng, hits = np.random.default_rng(3), 0
    for _ in range(400):
        users, seeds = rng.normal(0, 1, 60), rng.normal(0, spread, many)
        counts = Resamples.draw(60, 100, int(rng.integers(1 << 30))).counts
        drawn = counts.T @ users / 60
        found = over_seeds([
            Score(measure=AUC, value=users.mean() + seed, replicates=tuple(drawn + seed))
            for seed in seeds
        ])  # fmt: skip
        hits += found.low <= 0 <= found.high
    assert 0.9 < hits / 400 < 0.98, "of two seeds a normal one holds it in three cases of four"


def test_of_one_seed_the_interval_is_that_of_its_users():
    found = over_seeds([score(0.8)])
    assert (found.low, found.high) == pytest.approx(np.quantile(0.8 + DRAWS, [0.025, 0.975]))


def test_too_few_users_leave_no_interval():
    found = over_seeds([Score(measure=AUC, value=0.8), score(0.9)])
    assert found.value == pytest.approx(0.85)
    assert np.isnan(found.low)


def test_a_difference_is_paired_by_users():
    """What drawing users does to both cancels; the spread over seeds is left."""
    found = board(LEVEL).over("taobao", "all", "din", AUC)
    gaps = np.subtract(LEVEL["all"], LEVEL["din"])
    assert found.value == pytest.approx(gaps.mean())
    assert found.error == pytest.approx(gaps.std(ddof=1) / np.sqrt(3))


def test_a_yardstick_without_seeds_is_compared_with_every_seed():
    found = board(LEVEL).over("taobao", "all", "category_recency", AUC)
    assert found.value == pytest.approx(0.08)


@pytest.mark.parametrize(
    ("shift", "words"),
    [(0.05, "DUPN is above DIN"), (0.002, "DUPN is level with DIN"), (-0.05, "below it by -0.05")],
)
def test_the_goal_is_answered_by_the_interval(shift, words):
    values = {**LEVEL, "all": tuple(value + shift for value in LEVEL["din"])}
    noise = {"all": np.random.default_rng(5).normal(0, 0.002, 200) + DRAWS}
    said = excerpts.goals(board(values, noise))
    assert words in said[0]
    assert said[0].startswith("Taobao: ")
    assert len(said) == len(excerpts.MODELS) - 1


def in_splits(clicks_of_splits, offsets, rng):
    """Answers of several splits, of one user each row, with skill in each and an offset of it."""
    found = []
    for number, (clicks, offset) in enumerate(zip(clicks_of_splits, offsets, strict=True)):
        user = np.arange(len(clicks), dtype=np.uint64) + np.uint64(1000 * number)
        found.append({AUC: Answered(rng.normal(clicks, 1.0) + offset, clicks, user)})
    return found


def test_answers_given_in_splits_are_compared_within_them():
    """Whatever the scale that a split's network answers on."""
    rng = np.random.default_rng(1)
    clicks = [(rng.random(60) < share).astype(int) for share in (0.3, 0.5, 0.6)]
    level = in_splits(clicks, (0.0, 0.0, 0.0), np.random.default_rng(2))
    uneven = in_splits(clicks, (3.0, -5.0, 1.0), np.random.default_rng(2))
    crowd = Crowd(np.concatenate([one[AUC].user for one in level]), EvaluateConfig(replicates=30))
    (one,), (other,) = scored(crowd, level), scored(crowd, uneven)
    assert one.value == pytest.approx(other.value)
    assert one.replicates == pytest.approx(other.replicates)

    won = pairs = 0.0
    for split in uneven:
        up = split[AUC].score[split[AUC].truth > 0][:, None]
        down = split[AUC].score[split[AUC].truth == 0][None]
        won, pairs = won + (up > down).sum(), pairs + up.size * down.size
    assert other.value == pytest.approx(won / pairs)


def test_networks_that_know_only_how_often_others_click_stand_at_chance():
    """Pairs across splits would put them below it: who is left out of a rate lowers or lifts it."""
    rng, values = np.random.default_rng(3), []
    for _ in range(60):
        clicks = [(rng.random(160) < 0.5).astype(int) for _ in range(4)]
        rates = [np.mean(np.concatenate(clicks[:k] + clicks[k + 1 :])) for k in range(4)]
        parts = in_splits(clicks, (0.0,) * 4, rng)
        told = [
            {AUC: Answered(np.full(160, rate), part[AUC].truth, part[AUC].user)}
            for rate, part in zip(rates, parts, strict=True)
        ]
        crowd = Crowd(
            np.concatenate([one[AUC].user for one in told]), EvaluateConfig(replicates=20)
        )
        values.append(scored(crowd, told)[0].value)
    assert values == pytest.approx([0.5] * 60)


def test_a_decile_is_worth_the_share_of_clicks_that_is_learnt_of_it():
    """Whichever way it goes: of what is popular nothing is presumed."""
    decile = np.repeat([3, 4, 7], [1000, 1000, 1])
    clicked = np.r_[np.arange(1000) < 100, np.arange(1000) < 900, True].astype(int)
    rates = excerpt_questions.click_rates(decile, clicked)
    assert rates[3] == pytest.approx(0.1, abs=0.003)
    assert rates[4] == pytest.approx(0.9, abs=0.003)
    assert rates[7] == pytest.approx((1 + 5 * 0.5) / 6, abs=0.003), "one question says little"
    assert rates[5] == pytest.approx(clicked.mean()), "and none nothing"


def test_dien_is_named_by_the_form_of_its_recurrence_wherever_it_is_read(tmp_path):
    store = Store(tmp_path)
    said = excerpts_report.write(store, "excerpts", board(LEVEL), LOGS, "as is", "3 epochs")
    assert "DIEN (GRU)" in said["said"][2]
    page = store.get("reports/study/excerpts/report.html").decode()
    headings = re.findall(r"<(?:td|th|h1|h2)[^>]*>([^<]*DIEN[^<]*)<", page)
    assert headings
    assert all("DIEN (GRU)" in heading for heading in headings)


def test_the_page_says_who_is_searched_with_and_what_judging_figures_are_of(tmp_path):
    store = Store(tmp_path)
    excerpts_report.write(store, "excerpts", board(LEVEL), LOGS, "as is", "3 epochs")
    page = store.get("reports/study/excerpts/report.html").decode()
    assert page.count("share of the users (Taobao: 25%)") == 2, "on top, and below the search"
    assert "own category among them where there are any; the headline of the asked day" in page


def test_the_report_has_every_figure_and_stands_alone(tmp_path):
    store = Store(tmp_path)
    said = excerpts_report.write(store, "excerpts", board(LEVEL), LOGS, "as is", "3 epochs")
    names = {one["name"] for one in said["figures"]}
    assert {
        "excerpts_taobao_all_ctr_auc",
        "excerpts_taobao_dien_ctr_auc_same_category",
        "excerpts_taobao_all_over_din_ctr_auc",
        "excerpts_taobao_all_over_category_recency_ctr_auc",
    } <= names
    page = store.get("reports/study/excerpts/report.html").decode()
    assert page.count("<img") == 2
    assert all(name in page for name in names)
    assert b"excerpts_taobao_all_over_din_ctr_auc" in store.get(
        "reports/study/excerpts/report.json"
    )
    assert store.get("reports/study/excerpts/curves.png")


def test_the_protocol_says_logs_questions_seeds_and_settings(tmp_path):
    store = Store(tmp_path)
    excerpts_report.write(store, "excerpts", board(LEVEL), LOGS, "as is", "3 epochs")
    content = json.loads(store.get("reports/study/excerpts/report.json"))
    protocol = content["protocol"]
    assert protocol["Data"].startswith("taobao, 2017-11-25 to 2017-12-02: 99 users, 500 moments")
    assert "Taobao, 99 users asked" in protocol["Questions"]
    assert protocol["Intervals"].startswith("3 seeds; ")
    digest = protocol["Settings"].split(",")[0]
    assert all(one["protocol"].endswith(f"; settings {digest}") for one in content["figures"])


def test_a_run_says_its_best_epoch_of_those_it_learnt(tmp_path):
    store = Store(tmp_path)
    excerpts_report.write(store, "excerpts", board(LEVEL), LOGS, "as is", "3 epochs")
    page = store.get("reports/study/excerpts/report.md").decode()
    assert "| 2.0 of 2.0 |" in page, "the last is the best: it was cut off"
    assert "- **Learning.** 3 epochs; the judgement with the smallest loss is kept" in page


def test_every_kind_of_line_of_the_curves_is_in_their_key():
    styles = [excerpts_report.MEAN, excerpts_report.SEED, excerpts_report.TRIED]
    widths = [line.get_linewidth() for line in excerpts_report._lines()]
    assert widths == [one["linewidth"] for one in styles]


def test_networks_are_told_apart_by_more_than_their_colour():
    assert set(excerpts_report.DRAWN) == set(excerpts_report.MODELS)
    assert len({look.marker for look in excerpts_report.DRAWN.values()}) == 4


def test_no_bar_has_the_colour_of_the_whiskers():
    assert excerpts_report.INK not in [look.colour for look in excerpts_report.DRAWN.values()]
