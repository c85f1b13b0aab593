"""A declaration is read or refused with its line, and never depends on how it is written."""

import re
from datetime import date

import pytest

from evaluation.abtest import experiment
from infra.errors import ConfigError

TEXT = """id = "new-for-old"
first_day = 2026-03-14
planned_days = 7

[arms]
old = 0.4
new = 0.6

[rule]
primary = "ctr"
"""


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        experiment.parse(text, "e.toml")
    return str(caught.value)


def test_what_is_declared_is_what_is_run():
    mine = experiment.parse(TEXT, "e.toml")
    assert (mine.control, mine.challenger) == ("old", "new")
    assert mine.traffic.model_dump() == {
        "experiment": "new-for-old", "salt": "new-for-old", "shares": {"old": 0.4, "new": 0.6},
        "first_day": date(2026, 3, 14),
    }  # fmt: skip
    assert (mine.runs(date(2026, 3, 14)), mine.runs(date(2026, 3, 20))) == (True, True)
    assert (mine.runs(date(2026, 3, 13)), mine.runs(date(2026, 3, 21))) == (False, False)


def test_an_old_salt_repeats_an_old_split():
    mine = experiment.parse(TEXT.replace("[arms]", 'salt = "before"\n\n[arms]'), "e.toml")
    assert (mine.traffic.salt, mine.traffic.experiment) == ("before", "new-for-old")


def test_the_digest_is_of_what_is_declared_not_of_the_text():
    mine = experiment.parse(TEXT, "e.toml").digest()
    assert experiment.parse("# a comment\n" + TEXT, "e.toml").digest() == mine
    assert experiment.parse(TEXT.replace("0.4", "0.5").replace("0.6", "0.5"), "e").digest() != mine
    swapped = TEXT.replace("old = 0.4\nnew = 0.6", "new = 0.6\nold = 0.4")
    assert experiment.parse(swapped, "e.toml").digest() != mine  # another control


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("primary", "primery", "e.toml line 10: rule.primery is not a key.*mean rule.primary"),
        ("planned_days", "plan_days", "line 3: plan_days is not a key .* mean planned_days"),
        ('id = "new-for-old"\n', "", "line 1: id is missing. Add it."),
        ("new-for-old", "New!", "line 1: id: String should match pattern"),
        ("new = 0.6", "new = 0.5", "line 5: arms: .* add up to 1. Mend the declaration."),
        ("new = 0.6", "new = 0.3\nthird = 0.3", "3 arms: one line is held against the one in"),
        ('"ctr"', '"likes"', "line 10: rule.primary: likes: no such metric"),
        (
            '"ctr"',
            '"ctr"\nguardrails = { salse = 0.0 }',
            "line 11: rule.guardrails: salse: no such",
        ),
        (
            '"ctr"',
            '"ctr"\nmin_days = 8',
            "min_days = 8 is more than planned_days = 7: nothing could",
        ),
        ('"ctr"', '"ctr"\nguardrails = { sales = -0.1 }', "a share from 0 to below 1"),
        ('"ctr"', '"ctr"\nguardrails = { sales = 5 }', "sales = 5: a tolerated drop is a share"),
        ('"ctr"', '"ctr"\nguardrails = { sales = nan }', "guardrails.sales: .* a finite number"),
        ("old = 0.4\nnew = 0.6", "old = nan\nnew = nan", "line 6: arms.old: .* a finite number"),
        ('"ctr"', '"ctr"\nminimum_effect = inf', "line 11: rule.minimum_effect: .* finite"),
        ("2026-03-14", "9999-12-25", "line 2: first_day: .* less than 9000-01-01"),
        ("planned_days = 7", "planned_days = 10000000", "less than or equal to 366"),
        ("[arms]", "before_days = 10000000\n[arms]", "before_days: .* less than or equal to 366"),
        ("[arms]", "planned_errors = { ctr = 0.0 }\n[arms]", "ctr = 0: it must be above 0"),
        ("new-for-old", "turns", "line 1: id: turns is the name of a folder"),
        ('"ctr"', '"ctr"\n[recipes.other]', "recipes: other is no arm"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(was, now, said):
    assert re.search(said, refusal(TEXT.replace(was, now)))


def test_what_is_no_toml_names_its_line(tmp_path):
    (tmp_path / "e.toml").write_text(TEXT.replace("[rule]", "[rule"))
    with pytest.raises(ConfigError, match=r"is not valid TOML: .* line 9"):
        experiment.load(tmp_path / "e.toml")
