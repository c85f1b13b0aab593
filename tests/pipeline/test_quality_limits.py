"""What the quality step holds a day's figures against."""

from datetime import date

import pyarrow as pa

from features import measured
from features import quality as figures
from features.quality import QualityConfig
from features.raw_table import TABLES
from features.schemas import BEHAVIORS, CATALOG, FOLLOWS, IMPRESSIONS, ITEMS, SAMPLES, conform
from pipeline import quality

DAY = date(2026, 3, 2)
ONE_ROW = pa.table({"ts": [1_772_409_600_000]})


def test_every_share_has_a_limit():
    """And volume and mix, which are told once there are three days before."""
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
            for name, value in measured.measure(table, conform(ONE_ROW, schema)).items()
        }
        seen = ("read", "rejected", "duplicate", "kept") if of == "events" else ()
        counts = {f"{table}_{what}": 1 for table in TABLES for what in seen}
        told = figures.metrics(tally, counts, DAY, "UTC", [tally] * 3)
        judged = {one.figure for one in quality.suite(of, told, QualityConfig())}
        assert {name for name in told if not name.endswith(".rows")} - judged == set()
        assert sum(name.endswith("_share") for name in told) > 8
