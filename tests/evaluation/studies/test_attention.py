from dataclasses import replace

import numpy as np
import pytest

from evaluation.bootstrap import Resamples
from evaluation.marketplace.config import MarketplaceConfig
from evaluation.settings import EvaluateConfig
from evaluation.studies import attention, attention_map, attention_report, histories
from evaluation.studies.attention import Example, Reading, Seen, Verdict, Weights
from evaluation.studies.attention_map import BUCKETS, CONTRASTS, FEWEST, TYPES, Side, Sums
from evaluation.studies.histories import Histories
from evaluation.studies.protocol import Plan
from features.property import DAY_MS, MINUTE_MS, NUM_GAPS, gap_bucket
from features.schemas import BehaviorType
from infra.store import Store

CONFIG = EvaluateConfig(replicates=60)

PLAN = Plan(learnt=10, judges=1, asked=2, network="one of the paper's", market=MarketplaceConfig())


def drawn(users=40, each=6, seed=3, categories=6):
    """Histories without any law."""
    rng = np.random.default_rng(seed)
    moments = users * each
    length = rng.integers(1, 30, moments)
    count = int(length.sum())
    return Histories(
        user=np.repeat(np.arange(users, dtype=np.uint64) * 977, each),
        length=length,
        wanted=rng.integers(0, categories + 2, moments),
        clicks=rng.random(moments) < 0.7,
        kind=rng.integers(1, 5, count),
        gap=rng.integers(1, NUM_GAPS + 1, count),
        category=rng.integers(2, categories + 2, count),
        clicked=rng.random(count) < 0.3,
    )


def attended(found, seed=5):
    """Weights that are a distribution over each history."""
    rng = np.random.default_rng(seed)
    weight = rng.random(len(found.owner))
    return weight / np.bincount(found.owner, weight)[found.owner]


def figures_of(found, own=None, shuffled=None):
    weights = Weights(
        own=attended(found) if own is None else own,
        shuffled=attended(found, 6) if shuffled is None else shuffled,
    )
    return {one.name: one for one in attention.figures(found, weights, CONFIG)}


def by_hand(found, weight, wanted):
    """Moment by moment: the heaviest category, ties shared out."""
    starts = np.cumsum(found.length) - found.length
    hits, choices = [], []
    for moment, (start, length) in enumerate(zip(starts, found.length, strict=True)):
        part = slice(start, start + length)
        total = {c: sum(weight[part][found.category[part] == c]) for c in set(found.category[part])}
        top = [c for c, value in total.items() if value >= max(total.values()) - 1e-12]
        hits.append((wanted[moment] in top) / len(top))
        choices.append(wanted[moment] > 0 and wanted[moment] in total and len(total) > 1)
    return np.array(hits), np.array(choices)


@pytest.fixture(scope="module")
def found():
    return drawn()


def holding(rows):
    """One moment a user, with these categories."""
    found = drawn(users=len(rows), each=1)
    length = np.array([len(row) for row in rows])
    return replace(found, length=length, category=np.concatenate(rows))


def test_there_is_a_choice_where_the_querys_category_is_one_of_several():
    found = replace(
        holding([[2], [2, 3], [3, 3], [3, 4], [2, 3]]), wanted=np.array([2, 2, 3, 2, 0])
    )
    assert histories.held_among_others(found).tolist() == [False, True, False, False, False]


@pytest.mark.parametrize("even", [True, False])
def test_the_heaviest_category_is_the_one_found_moment_by_moment(found, even):
    weight = np.ones(len(found.owner)) if even else attended(found)
    hits, choices = by_hand(found, weight, found.wanted)
    assert histories.heaviest_category(found, weight) == pytest.approx(hits)
    assert np.array_equal(histories.held_among_others(found), choices)
    name = "attention_match_uniform" if even else "attention_match"
    assert figures_of(found)[name].value == pytest.approx(hits[choices].mean())


def test_what_is_newest_and_what_is_heaviest_alone(found):
    last = np.cumsum(found.length) - 1
    newest = found.category[last] == found.wanted
    position = np.arange(len(found.owner), dtype=float)
    assert np.array_equal(histories.heaviest(found, position), newest)
    weight = attended(found)
    starts = last + 1 - found.length
    top = [s + np.argmax(weight[s : e + 1]) for s, e in zip(starts, last, strict=True)]
    assert np.array_equal(histories.heaviest(found, weight), found.category[top] == found.wanted)


def test_attention_that_follows_the_query_beats_one_that_does_not(found):
    right = found.category == found.wanted[found.owner]
    own = np.where(right, 5.0, 1.0)
    own /= np.bincount(found.owner, own)[found.owner]
    seen = figures_of(found, own=own)
    assert seen["attention_match"].value > 0.95
    assert seen["attention_match_over_shuffled"].low > 0
    other = figures_of(found, own=attended(found, 6), shuffled=own)
    assert other["attention_match_over_shuffled"].high < 0
    same = figures_of(found, own=own, shuffled=own)["attention_match_over_shuffled"]
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_a_cell_of_the_map_is_the_mean_over_its_behaviours(found):
    weight = attended(found)
    bucket = BUCKETS[3]
    mine = (found.kind == BehaviorType.CART) & (found.gap > BUCKETS[2].last)
    mine &= found.gap <= bucket.last
    figure = figures_of(found, own=weight)[f"attention_heat_cart_{bucket.key}"]
    relative = [w * found.length[o] for w, o in zip(weight[mine], found.owner[mine], strict=True)]
    assert figure.value == pytest.approx(np.mean(relative))
    assert attention_map.behaviours(found)[BehaviorType.CART - 1][3] == mine.sum()
    assert figure.low < figure.value < figure.high


def test_uniform_attention_is_one_everywhere_and_every_contrast_nothing(found):
    seen = figures_of(found, own=1 / found.length[found.owner])
    heat = [one.value for name, one in seen.items() if name.startswith("attention_heat_")]
    known = [value for value in heat if value is not None]
    assert len(heat) == 36
    assert len(known) >= 30
    assert known == pytest.approx([1.0] * len(known))
    for one in CONTRASTS:
        figure = seen[f"attention_{one.name}"]
        assert (figure.value, figure.low, figure.high) == pytest.approx((0, 0, 0), abs=1e-9)


def test_every_gap_code_has_its_column_and_titles_say_which():
    edges = [bucket.last for bucket in BUCKETS]
    assert edges == sorted(set(edges))
    assert edges[-1] == NUM_GAPS
    minutes = np.array([4, 19, 79, 5 * 60, 21 * 60, 42 * 60, 85 * 60, 170 * 60, 171 * 60])
    cells = attention_map.cell_of(np.ones(9, int), gap_bucket(minutes * MINUTE_MS))
    assert cells.tolist() == list(range(9))
    assert attention_map.cell_of(np.array([4]), gap_bucket(np.array([40 * DAY_MS]))) == [35]


def test_too_few_behaviours_or_users_leave_a_cell_blank(found):
    live = np.flatnonzero((found.kind == BehaviorType.PURCHASE) & (found.gap <= BUCKETS[0].last))
    gap = found.gap.copy()
    gap[live[: len(live) - FEWEST + 1]] = NUM_GAPS
    fewer = replace(found, gap=gap)
    assert attention_map.behaviours(fewer)[3][0] == FEWEST - 1
    name = "attention_heat_purchase_5_min"
    assert figures_of(fewer)[name].value is None
    gap = gap.copy()
    gap[live[0]] = 1
    assert figures_of(replace(found, gap=gap))[name].value is not None
    alone = replace(found, user=found.user % np.uint64(4))
    assert figures_of(alone)[name].value is None


def test_a_contrast_is_the_difference_of_means_and_its_draws_are_those_of_users(found):
    weight = attended(found)
    draws = Resamples.draw(found.users, 60, 1)
    one, other = Side(BehaviorType.PURCHASE).cells, Side(BehaviorType.CLICK).cells
    sums = Sums(found, weight, draws)
    bought, clicked = found.kind == 4, found.kind == 1
    contrast = sums.contrast(one, other)
    assert contrast.value == pytest.approx(weight[bought].mean() - weight[clicked].mean())
    times = draws.counts[found.person[found.owner]]
    replicates = [
        np.average(weight[bought], weights=times[bought, k])
        - np.average(weight[clicked], weights=times[clicked, k])
        for k in range(60)
    ]
    assert contrast.low == pytest.approx(np.quantile(replicates, 0.025))
    assert contrast.error == pytest.approx(np.std(replicates, ddof=1))


def test_what_only_age_brings_about_is_gone_when_ages_are_equal():
    found = drawn()
    gap = np.where(found.kind == BehaviorType.PURCHASE, np.minimum(found.gap, 10), found.gap)
    found = replace(found, gap=gap)
    young = np.where(found.gap <= 10, 3.0, 1.0)  # by age alone
    sums = Sums(found, young, Resamples.draw(found.users, 60, 1))
    one, other = Side(BehaviorType.PURCHASE).cells, Side(BehaviorType.CLICK).cells
    assert sums.contrast(one, other).low > 0.3
    assert sums.same_time(one, other).value == pytest.approx(0)


def test_equal_ages_are_those_of_all_types_together(found):
    weight = attended(found)
    old = np.where((found.kind == 1) & (found.gap > 2), NUM_GAPS, found.gap)
    found = replace(found, gap=old)  # clicks: in the first column and the last
    value, total = 0.0, 0
    for within in (found.gap <= BUCKETS[0].last, found.gap > BUCKETS[-2].last):
        bought, clicked = ((found.kind == kind) & within for kind in (4, 1))
        value += within.sum() * (weight[bought].mean() - weight[clicked].mean())
        total += within.sum()
    sums = Sums(found, weight, Resamples.draw(found.users, 60, 1))
    equal = sums.same_time(Side(BehaviorType.PURCHASE).cells, Side(BehaviorType.CLICK).cells)
    assert equal.value == pytest.approx(value / total)
    assert equal.low < equal.value < equal.high


def test_the_sign_of_a_contrast_is_that_of_the_weights(found):
    own = np.where(found.kind == BehaviorType.BOOKMARK, 2.0, 1.0)
    own *= np.where((found.kind == BehaviorType.CLICK) & (found.gap <= 10), 4.0, 1.0)
    seen = figures_of(found, own=own / np.bincount(found.owner, own)[found.owner])
    assert seen["attention_click_recent_over_older"].low > 0
    assert seen["attention_cart_over_bookmark"].high < 0
    read = {one.claim: one for one in attention.readings(seen)}
    assert read["Recent clicks are heavier than older ones"].verdict is Verdict.YES
    assert read["Bookmarks are the lightest of all types"].verdict is Verdict.NO
    assert read["Bookmarks are the lightest of all types"].same_time is Verdict.NO
    carts = read["Carts of the last five minutes are heavier than earlier ones"]
    assert (carts.verdict, carts.same_time) == (Verdict.UNDECIDED, None)


def test_intervals_of_a_study_are_95_per_cent_whatever_evaluate_says(found):
    weights = Weights(attended(found), attended(found, 6))
    other = CONFIG.model_copy(update={"level": 0.6})
    assert list(attention.figures(found, weights, other)) == list(figures_of(found).values())


def test_the_logs_own_map_knows_only_moments_with_a_click(found):
    seen = figures_of(found)
    keep = found.clicks[found.owner] & (found.kind == 1) & (found.gap <= 2)
    assert seen["attention_log_heat_click_5_min"].value == pytest.approx(found.clicked[keep].mean())


@pytest.mark.parametrize("users", [[1, 1, 2, 2], [5] * 7 + [1, 2, 2, 3, 3, 3, 4], [1, 2]])
def test_a_shuffled_query_is_another_users_and_none_is_used_twice(users):
    users = np.array(users, np.uint64)
    donor = histories.others(users, 3)
    assert np.array_equal(np.sort(donor), np.arange(len(users)))
    assert (users[donor] != users).all()


def test_a_query_is_known_by_the_category_of_most_clicks():
    code = np.array([0, 0, 0, 2, 2, 3])
    category = np.array([7, 5, 5, 9, 4, 6])
    assert histories.plurality(code, category, 5).tolist() == [5, 0, 4, 6, 0]


def test_the_most_varied_history_has_its_fourth_category_largest():
    long = [2, 3, 4, 5] * 3 + [6] * 50
    rows = [[2, 2, 2, 3, 3, 4, 4, 5], [2, 3, 4, 5, 5, 4, 3, 2], [2, 3, 4, 5], [6] * 8, long]
    found = holding(rows)
    typed = np.arange(2, 6)
    chosen = histories.most_varied(found, typed, 4, fewest=5)
    assert (chosen.moment, chosen.categories.tolist()) == (1, [2, 3, 4, 5])
    assert histories.most_varied(found, np.arange(3, 6), 4, fewest=5) is None
    assert histories.most_varied(found, typed, 4, fewest=9).moment == 4
    assert histories.most_varied(found, typed, 4, fewest=99) is None
    assert histories.most_varied(found, np.arange(2, 5), 3, fewest=8).moment == 0


def seen_by(seed):
    found = drawn(seed=seed)
    weights = Weights(attended(found, seed), attended(found, seed + 1))
    example = Example(
        user="00ff",
        queries=("shoes", "red <hat>", "bag", "tea"),
        categories=("c1", "c2", "c3", "c4"),
        place=(0, 1, -1, 2, 3, 0),
        weights=((0.5, 0.1, 0.1, 0.1, 0.1, 0.1),) * 4,
    )
    return Seen(
        settings="x",
        seed=seed,
        judged={"ctr_auc": 0.7},
        moments=found.moments,
        users=found.users,
        known=10,
        matched=5,
        figures=tuple(attention.figures(found, weights, CONFIG)),
        behaviours=attention_map.behaviours(found),
        example=example if seed == 1 else None,
    )


def test_over_worlds_figures_are_means_and_those_not_known_are_left_out():
    one, two = seen_by(1), seen_by(2)
    blank = one.figures[0].model_copy(update={"value": None, "low": None, "high": None})
    three = one.model_copy(update={"figures": (blank, *one.figures[1:])})
    found = attention.together([one, two, three])
    first, second = found[0], found[1]
    assert first.value == pytest.approx((one.figures[0].value + two.figures[0].value) / 2)
    assert "2 of 3 worlds" in first.protocol
    assert second.low < second.value < second.high
    assert first.low is None
    assert attention.together([one, three])[0].protocol.endswith(
        "1 of 2 worlds; interval over people"
    )
    assert "1 world; interval over people" in attention.together([one])[0].protocol


def test_the_report_stands_alone_and_says_what_holds(tmp_path):
    store = Store(tmp_path)
    said = attention_report.write(
        store, "attention", [seen_by(1), seen_by(2)], ["An honest word."], PLAN
    )
    page = store.get("reports/study/attention/report.html").decode()
    assert page.count("<img") == 4
    assert "An honest word." in page
    assert "http" not in page.replace("http-equiv", "")
    for claim, sentence in zip(attention.READINGS, said["said"], strict=True):
        assert sentence.startswith(claim)
        assert sentence.split(": ")[1].split()[0] in set(Verdict)
    for picture in ("figure_8", "figure_9", "log", "match"):
        content = store.get(f"reports/study/attention/{picture}.png")
        assert content.startswith(b"\x89PNG")
    content = store.get("reports/study/attention/report.json").decode()
    assert all(f"attention_heat_{kind.name.lower()}_older" in content for kind in TYPES)


def test_a_page_of_which_nothing_is_known_says_so(tmp_path):
    store, seen = Store(tmp_path), seen_by(2)
    nothing = {"value": None, "low": None, "high": None}
    blank = tuple(one.model_copy(update=nothing) for one in seen.figures)
    seen = seen.model_copy(update={"figures": blank})
    said = attention_report.write(store, "attention", [seen], [], PLAN)
    assert all("undecided (" in sentence for sentence in said["said"])
    page = store.get("reports/study/attention/report.html").decode()
    assert page.count("<img") == 3
    assert "No history is long and varied enough" in page


def test_attention_and_log_agree_only_where_both_are_decided():
    yes, no, open_ = Verdict.YES, Verdict.NO, Verdict.UNDECIDED
    both = [(yes, yes), (no, yes), (open_, open_), (open_, no), (yes, open_)]
    read = [Reading(claim="", verdict=v, same_time=None, log=o, figures=()) for v, o in both]
    said = attention_report.summary(figures_of(drawn()), read)
    assert "2 are undecided; of the 2 that both decide, attention and the log agree in 1." in said
