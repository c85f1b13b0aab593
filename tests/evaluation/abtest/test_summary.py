"""Table 3 and Figure 10 against hand-made answers, and the page that is drawn of them."""

import re
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from evaluation.abtest import price_levels, report, summary
from evaluation.abtest.design import Rule
from evaluation.abtest.experiment import Experiment
from evaluation.abtest.readout import read_out
from evaluation.abtest.verdict import decide
from evaluation.gate import Check
from tests.evaluation.abtest.rows import ARMS, FIRST, readout

DAYS = 3
LAST = FIRST + timedelta(days=DAYS - 1)
TRIAL = Experiment(id="e", first_day=FIRST, planned_days=5, arms=dict.fromkeys(ARMS, 0.5))


def levels(users, arms, said, true):
    lists = pa.list_(pa.int8())
    return pa.table(
        {
            "user": pa.array(users, pa.uint64()),
            "arm": arms,
            "ppp_said": pa.array(said, lists),
            "ppp_true": pa.array(true, lists),
        }
    )


def decided_by(primary, *guardrails):
    """`TRIAL` under another rule."""
    rule = Rule(primary=primary, guardrails=dict.fromkeys(guardrails, 0.0))
    return TRIAL.model_copy(update={"rule": rule})


def made(days=DAYS, effect=0.2, users=2000, trial=TRIAL, lived=lambda rows: rows):
    """A report of made-up rows; every buyer is asked once a day."""
    rows = lived(readout(users=users, days=days, effect=effect))
    last = FIRST + timedelta(days=days - 1)
    rng = np.random.default_rng(0)
    asked = [
        [n] if n else []
        for n in (rng.integers(1, 8, rows.num_rows) * (rows["orders"].to_numpy() > 0)).tolist()
    ]
    bought = levels(rows["user"], rows["arm"], asked, asked)
    looks = [read_out(rows, trial, FIRST + timedelta(days=n)) for n in range(days)]
    told = decide(looks[-1], trial)
    whole = summary.AbtestReport(
        id="e", day=last.isoformat(), digest=trial.digest(), declared={"Arms": "<b>"},
        outcome=told.outcome, reasons=told.reasons, look=looks[-1], looks=tuple(looks),
        table=summary.table(rows, trial, last), levels=price_levels.of_arms(bought, ARMS),
        answered={"old": {"1": 3}}, lineage={},
    )  # fmt: skip
    return rows, whole.model_copy(update={"figures": summary.figures(whole)})


@pytest.fixture(scope="module")
def whole():
    return made()


def test_a_row_of_table_3_is_of_its_own_day(whole):
    rows, found = whole
    assert [row.number for row in found.table] == [1, 2, 3]
    for row in found.table:
        mine = rows.filter(pa.compute.equal(rows["day"], FIRST + timedelta(days=row.number - 1)))
        sums = {}
        for arm in ARMS:
            part = mine.filter(pa.compute.equal(mine["arm"], arm))
            sums[arm] = {n: float(np.sum(part[n].to_numpy())) for n in summary.COUNTED}
            sums[arm]["users"] = part.num_rows
        old, new = (sums[arm] for arm in ARMS)
        ctr = [one["clicks"] / one["impressions"] for one in (old, new)]
        sales = [one["sales"] / one["users"] for one in (old, new)]
        assert row.ctr.value == pytest.approx(ctr[1] / ctr[0] - 1)
        assert row.sales.value == pytest.approx(sales[1] / sales[0] - 1)
        right = tuple(one["ppp_right"] / one["ppp_asked"] for one in (old, new))
        assert row.precision == pytest.approx(right)
        assert row.users == (old["users"], new["users"])


@pytest.mark.parametrize("primary", ["orders", "pages", "price_precision"])
def test_a_primary_that_table_3_lacks_is_told_by_day_too(primary):
    _, found = made(trial=decided_by(primary, "sales"))
    by_day = [day.uplift for day in found.look.novelty.days]
    assert [row.primary for row in found.table] == by_day
    assert len(by_day) == DAYS
    told = {figure.name: figure.value for figure in found.figures}
    assert told[f"abtest_day_2_{primary}_uplift"] == by_day[1].value
    page = report.html(found, {"by_day": b"png"})
    title = found.look.primary.title
    assert f"{title} improvement" in page
    assert f"{100 * by_day[1].value:+.2f} %" in page
    assert f"Trend of {title}: " in page


def test_a_primary_of_table_3_stands_there_once(whole):
    _, found = whole
    assert {row.primary for row in found.table} == {None}
    assert report.html(found, {}).count(" improvement</th>") == 2


@pytest.mark.parametrize("empty", range(DAYS))
def test_a_day_on_which_nobody_came_has_its_row_also_if_it_is_the_last(whole, empty):
    rows, found = whole
    gone = FIRST + timedelta(days=empty)
    table = summary.table(rows.filter(pa.compute.not_equal(rows["day"], gone)), TRIAL, LAST)
    assert [row.number for row in table] == [1, 2, 3]
    assert (table[empty].users, table[empty].day) == ((0, 0), gone.isoformat())
    assert table[empty].ctr.value is table[empty].sales.value is table[empty].precision[0] is None
    others = [n for n in range(DAYS) if n != empty]
    assert [table[n] for n in others] == [found.table[n] for n in others]


def test_a_days_figures_have_the_interval_of_one_look(whole):
    _, found = whole
    figures = {figure.name: figure for figure in found.figures}
    for row in found.table:
        for name, bounds in (("ctr", row.ctr), ("sales", row.sales)):
            figure = figures[f"abtest_day_{row.number}_{name}_uplift"]
            assert (figure.low, figure.high) == (bounds.fixed_low, bounds.fixed_high)
            assert figure.low < figure.value < figure.high


def test_price_levels_are_counted_by_hand():
    table = levels(
        [1, 2, 3, 4], ["old", "old", "new", "new"],
        [[1, 1], [2], [7], []], [[1, 2], [2], [7], []],
    )  # fmt: skip
    old, new = price_levels.of_arms(table, ARMS)
    assert (old.questions, new.questions) == (3, 1)
    assert old.precision.value == pytest.approx(2 / 3)
    first, second = old.classes[:2]
    assert (first.precision.value, first.recall.value) == (0.5, 1.0)
    assert (second.precision.value, second.recall.value) == (1.0, 0.5)
    assert old.confusion[1][:2] == (1, 1)  # true 2: once taken for 1, once right
    assert old.classes[6].precision.value is None
    assert (new.precision.value, new.precision.low) == (1.0, None)  # one user: no spread


@pytest.mark.parametrize(
    ("users", "each", "right", "known"),
    [
        (2, 1, 1.0, False),  # too few of both
        (2, 40, 0.5, False),  # too few users
        (24, 1, 0.5, False),  # too few purchases
        (40, 1, 1.0, False),  # all alike: no spread to judge by
        (40, 1, 0.5, True),
    ],
)
def test_a_share_of_little_has_no_interval(users, each, right, known):
    true = np.where(np.arange(users) < right * users, 1, 2)
    said, bought = [[1] * each] * users, [[int(one)] * each for one in true]
    (old,) = price_levels.of_arms(levels(range(users), ["old"] * users, said, bought), ("old",))
    for share in (old.precision, old.classes[0].precision):
        assert share.value == right
        assert (share.low is not None, share.high is not None) == (known, known)


def test_who_saw_several_arms_has_no_price_levels():
    table = levels(
        [1, 2, 2, 3, 3], ["old", "old", "new", "new", "gone"], [[1]] * 5, [[1], [2], [2], [1], [1]]
    )
    assert [one.questions for one in price_levels.of_arms(table, ARMS)] == [1, 1]


def test_an_interval_of_a_price_level_is_over_users_not_purchases():
    """A user whose twenty purchases are all alike is worth one."""
    users = 60
    right = np.arange(users) % 2 == 0
    said = [[1 if r else 2] for r in right]
    once = levels(range(users), ["old"] * users, said, [[1]] * users)
    often = levels(range(users), ["old"] * users, [one * 20 for one in said], [[1] * 20] * users)
    a, b = (price_levels.of_arms(table, ("old",))[0].precision for table in (once, often))
    assert (a.low, a.high) == (pytest.approx(b.low), pytest.approx(b.high))
    reach = 1.959964 * np.sqrt(0.25 / (users - 1))
    assert (a.low, a.high) == (pytest.approx(0.5 - reach), pytest.approx(0.5 + reach))


@pytest.mark.parametrize("right", [1, 39])
def test_an_interval_of_a_price_level_is_of_shares(right):
    said = [[1 if n < right else 2] for n in range(40)]
    (old,) = price_levels.of_arms(levels(range(40), ["old"] * 40, said, [[1]] * 40), ("old",))
    assert (old.precision.low == 0, old.precision.high == 1) == (right == 1, right == 39)


def test_a_level_that_few_users_bought_has_no_interval_though_many_were_asked():
    """Ten users bought dear things, four each; the others are asked of, and say nothing of it."""
    users = [*range(40), *np.repeat(range(100, 110), 4)]
    true = [[1]] * 40 + [[2]] * 40
    said = [[1 + n % 2] for n in range(40)] + [[2], [1], [1], [1], [2], [2], [2], [1]] * 5
    (old,) = price_levels.of_arms(levels(users, ["old"] * 80, said, true), ("old",))
    known = [one.recall.low is not None for one in old.classes[:2]]
    assert known == [True, False]
    assert [one.recall.value for one in old.classes[:2]] == [0.5, 0.5]


def test_the_page_says_what_decided_and_what_the_arms_share(whole):
    _, found = whole
    page = report.html(found, {"sequence": b"png"})
    assert f">{found.outcome}</span>" in page
    for sentence in (*found.reasons, *(check.sentence for check in found.look.trust)):
        assert re.sub(r"[<>&]", "", sentence)[:40] in page
    assert "Item statistics (popularity, conversion, LR-CTR)" in page
    assert "&lt;b&gt;" in page  # what people wrote is escaped
    assert page.count("data:image/png") == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "the declaration says so"),
        ({"users": {"old": 5000, "new": 149}}, "an arm has fewer than 150 users"),
        ({"trust": (Check(name="pre-period", passed=None, sentence=""),)}, "is no pre-period"),
    ],
)
def test_the_page_says_that_it_is_adjusted_only_where_it_is(whole, changed, said):
    _, found = whole
    adjusted = "All days: adjusted by what was known of each user before (CUPED)"
    some = found.look.primary.model_copy(update={"kept_variance": 0.9})
    plain = some.model_copy(update={"kept_variance": 1.0})
    for effect, told in ((some, adjusted), (plain, said)):
        only = {"users": {"old": 500, "new": 500}, "effects": (), "guardrails": ()} | changed
        look = found.look.model_copy(update={"primary": effect, **only})
        page = report.html(found.model_copy(update={"look": look}), {})
        assert told in page
        assert (adjusted in page) is (effect is some)


def test_the_page_says_how_an_experiment_ended(whole):
    _, found = whole
    assert "The experiment is over" not in report.html(found, {})
    over = found.model_copy(update={"concluded": "Concluded by hand: stop. <odd>"})
    page = report.html(over, {})
    assert "The experiment is over" in page
    assert "Concluded by hand: stop. &lt;odd&gt;" in page


def test_the_page_shows_a_guardrail_at_the_level_at_which_it_is_judged(whole):
    _, found = whole
    (guard,) = found.look.guardrails
    said = f"{100 * guard.uplift.low:+.2f} to {100 * guard.uplift.high:+.2f} %"
    page = report.html(found, {})
    assert page.count(said) == 2  # in its tile and in "Every metric"
    assert "always-valid at 98.33 %, guardrail" in page
    assert "always-valid at 95 %, decides" in page
    (figure,) = (one for one in found.figures if one.name == "abtest_sales_uplift")
    assert (figure.low, figure.high) == (guard.uplift.low, guard.uplift.high)


def test_a_look_of_before_that_has_a_guardrail_twice_shows_it_as_judged(whole):
    """Sales were among the other metrics too, at the larger alpha of the primary."""
    _, found = whole
    (guard,) = found.look.guardrails
    narrow = guard.uplift.model_copy(update={"low": guard.uplift.value})
    other = guard.model_copy(update={"uplift": narrow})
    look = found.look.model_copy(update={"effects": (other, *found.look.effects)})
    assert [one for one in look.every if one.metric == "sales"] == [guard]


def test_a_day_of_table_3_is_at_the_level_of_its_metric(whole):
    _, found = whole
    levels = [(row.ctr.alpha, row.sales.alpha) for row in found.table]
    assert levels == [(TRIAL.alpha, TRIAL.guard_alpha)] * DAYS
    figures = {figure.name: figure.protocol for figure in found.figures}
    assert "interval for one look at 98.33 %" in figures["abtest_day_2_sales_uplift"]


def test_the_page_says_why_a_day_has_no_interval():
    _, found = made(effect=0.0, users=290)
    page = report.html(found, {"by_day": b"png"})
    assert page.count("under 150 users</span>") == 2 * DAYS
    assert "a day with fewer than 150 users in an arm has none" in page
    assert "There are too few days for a trend." in page


def test_the_page_says_the_trend_in_per_cent_and_what_a_price_level_is_asked_of(whole):
    _, found = whole
    falls = found.look.novelty.model_copy(update={"trend": -0.041})
    look = found.look.model_copy(update={"novelty": falls})
    page = report.html(
        found.model_copy(update={"look": look}), {"by_day": b"png", "price_levels": b"png"}
    )
    assert "Trend of CTR: -4.02 % a day" in page
    assert f"({found.levels[0].questions:,} pages with a purchase of known price level)" in page
    (figure,) = (one for one in found.figures if one.name == "abtest_price_precision_control")
    assert "pages with a purchase of known price level" in figure.protocol


def test_every_picture_is_drawn_and_the_record_comes_back(whole, tmp_path):
    _, found = whole
    again = summary.AbtestReport.model_validate_json(found.model_dump_json())
    assert again == found
    pictures = dict(report.report_plots.drawings(found))
    assert set(pictures) == {"sequence", "by_day", "price_levels", "segments"}
    assert all(data[:4] == b"\x89PNG" for data in pictures.values())


def test_bounds_that_know_nothing_are_drawn_as_far_as_words_are_cut(whole):
    """Few users on a first day: the upper bound has forty digits, or is past all numbers."""
    _, found = whole

    def drawn(high):
        def wide(effect):
            return effect.model_copy(
                update={"uplift": effect.uplift.model_copy(update={"low": -1.0, "high": high})}
            )

        parts = found.look.segments
        look = found.look.model_copy(
            update={
                "primary": wide(found.look.primary),
                "effects": tuple(wide(one) for one in found.look.effects),
                "segments": tuple(
                    one.model_copy(update={"effect": wide(one.effect)}) for one in parts
                ),
            }
        )
        one = found.model_copy(update={"look": look, "looks": (look,)})
        return report.report_plots.sequence(one), report.report_plots.segments(one)

    assert drawn(1e40) == drawn(None) == drawn(10.0) != drawn(9.0)


def test_a_day_on_which_nothing_happened_has_a_page_too():
    rows = readout(users=4, days=1)
    look = read_out(rows.slice(0, 0), TRIAL, FIRST)
    found = summary.AbtestReport(
        id="e", day="", digest="", declared={}, outcome="continue", reasons=(), look=look,
        looks=(look,), table=summary.table(rows.slice(0, 0), TRIAL, FIRST),
        levels=price_levels.of_arms(levels([], pa.array([], pa.string()), [], []), ARMS),
        answered={}, lineage={},
    )  # fmt: skip
    assert "Every metric" in report.html(found, dict(report.report_plots.drawings(found)))
    assert {f.value for f in summary.figures(found) if f.name.startswith("abtest_users")} == {0}
