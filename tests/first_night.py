"""A home on the eve of its first night, in which partitions are there and say nothing."""

from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from pipeline.settings import Settings, load

ONE = timedelta(days=1)
DAY = date(2026, 3, 13)


def home(path: Path) -> Settings:
    """Its initial training has ended the day before."""
    settings = load("smoke", str(path), ["dataset=rees46"])
    published(settings, DAY - ONE)
    return settings


def published(
    settings: Settings, day: date | None, stage: str = "samples", *names: str, **told: object
):
    """A partition of one row, whose lineage says what is told."""
    with settings.store.partition(stage, day, *names).publish(**told) as out:
        out.record([out.write_table("part", pa.table({"x": [1]}))])
