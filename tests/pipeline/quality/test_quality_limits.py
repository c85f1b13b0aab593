"""What the quality step holds a day's figures against."""

from datetime import date

import pyarrow as pa
import pytest

from features import measured
from features import quality as figures
from features.changes import Changed
from features.joined import Joined
from features.quality import QualityConfig
from features.raw_table import TABLES
from features.schemas import BEHAVIORS, CATALOG, FOLLOWS, IMPRESSIONS, ITEMS, SAMPLES, conform
from pipeline.quality import checks

DAY = date(2026, 3, 2)
MANY_ROWS = pa.table({"ts": range(1_772_409_600_000, 1_772_409_600_300), "price_level": [1] * 300})


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
    joins = [
        Joined(
            figure="behaviors.user_id.joined_share", keys=1, found=1, meaning="", sampled=sampled
        )
        for sampled in (False, True)
    ]
    changed = Changed(figure="users.city.changed_share", users=1, changed=0, days=2, before="")

    def asked(config):
        of_days = [checks.suite(of, told, config) for of, told in told_of_every_table()]
        of_users = checks._of_joins(joins, config) + checks._of_changes([changed], config)
        return [one for day in of_days for one in day] + of_users

    before = asked(QualityConfig())
    held = {name for name in QualityConfig.model_fields if name != "history_days"}
    moved = {}
    for name in held:
        value = getattr(QualityConfig(), name)
        after = asked(QualityConfig(**{name: value + 1 if value >= 1 else value + 0.001}))
        moved |= {at: name for at in range(len(before)) if before[at] != after[at]}
    assert [one.setting for one in before] == [moved.get(at, "") for at in range(len(before))]
    assert set(moved.values()) == held
