"""What the quality step holds a day's figures against."""

from datetime import date

import pyarrow as pa
import pytest

from features.quality import figures, measured
from features.quality.changes import Changed
from features.quality.figures import QualityConfig
from features.quality.joined import Joined
from features.quality.requests import Named
from features.raw.raw_table import TABLES
from features.schemas import (
    BEHAVIORS,
    CATALOG,
    FOLLOWS,
    IMPRESSIONS,
    ITEMS,
    SAMPLES,
    BehaviorType,
    conform,
)
from pipeline.quality import checks
from pipeline.settings import load
from tests.first_night import published

DAY = date(2026, 3, 2)
MANY_ROWS = pa.table({"ts": range(1_772_409_600_000, 1_772_409_600_300), "price_level": [1] * 300})

HELD = {name for name in QualityConfig.model_fields if name != "history_days"}
"""Settings that are limits."""


def another(name):
    """A value of a limit that is not the one of the defaults."""
    value = getattr(QualityConfig(), name)
    return value + 1 if value >= 1 else value + 0.001


def told_of_every_table():
    """Suite -> figures, as of a day with three before it."""
    tables = {
        "events": {
            "behaviors": BEHAVIORS, "impressions": IMPRESSIONS, "follows": FOLLOWS, "items": ITEMS,
        },
        "samples": {"samples": SAMPLES},
        "catalog": {"catalog": CATALOG},
    }  # fmt: skip
    for of, schemas in tables.items():
        tally = {
            name: value
            for table, schema in schemas.items()
            for name, value in measured.measure(table, conform(MANY_ROWS, schema)).items()
        }
        seen = ("read", "rejected", "duplicate", "kept") if of == "events" else ()
        counts = {f"{table}_{what}": 1 for table in TABLES for what in seen}
        yield of, figures.metrics(tally, counts, DAY, "UTC", [tally] * 3)


def told_of_other_tables():
    """Of requests, users and items that behaviours name, and of profiles that changed."""
    joins = [
        Joined(
            figure="behaviors.user_id.joined_share", keys=1, found=1, meaning="", sampled=sampled
        )
        for sampled in (False, True)
    ]
    changed = Changed(figure="users.city.changed_share", users=1, changed=0, days=2, before="")
    named = Named(type=BehaviorType.CART, rows=30, named=1, clicks_named=1)
    return joins, [changed], [named]


def test_every_share_has_a_limit():
    """And volume and mix, which are told once there are three days before."""
    for of, told in told_of_every_table():
        judged = {one.figure for one in checks.suite(of, told, QualityConfig())}
        assert {name for name in told if not name.endswith(".rows")} - judged == set()
        assert sum(name.endswith("_share") for name in told) > 8


def test_a_metric_that_nothing_judges_is_not_passed_over():
    with pytest.raises(AssertionError, match=r"behaviors\.type\.oddness is held against nothing"):
        checks.suite("events", {"behaviors.type.oddness": 1.0}, QualityConfig())


def test_a_limit_names_the_setting_that_moves_it_and_only_a_limit_that_none_moves_names_none():
    joins, changed, named = told_of_other_tables()

    def asked(config):
        of_days = [checks.suite(of, told, config) for of, told in told_of_every_table()]
        of_users = checks._of_joins(joins, config) + checks._of_changes(changed, config)
        return [one for day in of_days for one in day] + of_users + checks._of_named(named, config)

    before = asked(QualityConfig())
    moved = {}
    for name in HELD:
        after = asked(QualityConfig(**{name: another(name)}))
        moved |= {at: name for at in range(len(before)) if before[at] != after[at]}
    assert [one.setting for one in before] == [moved.get(at, "") for at in range(len(before))]
    assert set(moved.values()) == HELD


@pytest.fixture
def judged_by(tmp_path, monkeypatch):
    """What a day is held against, by settings; of a day of which every figure is told."""
    every = dict(told_of_every_table())
    joins, changed, named = told_of_other_tables()
    tables = {"events": ("behaviors",), "samples": ("samples", "catalog")}
    told = {"events": every["events"], "samples": every["samples"] | every["catalog"]}
    seen = []
    monkeypatch.setattr(checks.job, "run", lambda *_: {})
    monkeypatch.setattr(checks.joined, "of_day", lambda *_: joins)
    monkeypatch.setattr(checks.changes, "of_day", lambda *_: changed)
    monkeypatch.setattr(checks.requests, "of_tally", lambda *_: named)
    monkeypatch.setattr(checks, "judge", lambda *given: seen.extend(given[-1]) or [])
    settings = load("smoke", str(tmp_path))
    published(settings, DAY, "events", "behaviors")
    for name in tables["samples"]:
        published(settings, DAY, name)

    def held(*pairs):
        seen.clear()
        for of in tables:
            monkeypatch.setattr(checks.quality, "metrics", lambda *_, of=of: told[of])
            checks.run(load("smoke", str(tmp_path), pairs), DAY, of)
        return list(seen)

    return held


@pytest.mark.parametrize("name", sorted(HELD))
def test_every_limit_that_is_set_is_the_one_that_judges(name, judged_by):
    before, after = judged_by(), judged_by(f"quality.{name}={another(name)}")
    moved = [one.setting for one, now in zip(before, after, strict=True) if one != now]
    assert moved == [name] * sum(one.setting == name for one in before) != []


def test_a_day_is_held_against_as_many_days_before_as_are_set(judged_by, monkeypatch):
    asked = []
    monkeypatch.setattr(checks, "_before", lambda *given: asked.append(given[-1]) or [])
    judged_by("quality.history_days=3")
    assert asked == [3, 3]


@pytest.mark.parametrize(("usual", "rows"), [(5_000, 0), (0, 5_000)])
def test_all_or_nothing_stops_the_day_until_a_limit_lets_it_pass(usual, rows):
    before = [{"sum:follows.rows": float(usual)}] * 4
    told = figures.metrics({"sum:follows.rows": float(rows)}, {}, DAY, "UTC", before)
    name, stops = "follows.volume_ratio", {}
    for limit in (10, 6_000):
        asked = checks.suite("events", told, QualityConfig(max_volume_ratio=limit))
        (one,) = (one for one in asked if one.figure == name and one.critical)
        stops[limit] = not one.low <= told[name] <= one.high
    assert stops == {10: True, 6_000: False}
