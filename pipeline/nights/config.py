"""How a night waits for its data."""

from pydantic import Field, field_validator

from features.raw.raw_table import TABLES
from infra.config import Config, named


class NightlyConfig(Config):
    """The nightly run."""

    tables: tuple[str, ...] = ()
    """Raw tables that a night waits for; empty: behaviors, and the logs that the day before had."""
    settle_minutes: float = Field(10.0, ge=0)
    """Plain files without `_SUCCESS` are complete when nothing has changed for so long."""
    deadline_hours: float = Field(6.0, ge=0)
    """An alert says what is missing when a night has waited so long; it goes on waiting."""
    give_up_hours: float = Field(48.0, ge=0)
    """The night fails when it has waited so long; the nights after it stop."""

    @field_validator("tables")
    @classmethod
    def _known(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        """A table that there is not would never come, and every night would wait for it."""
        return tuple(named(dict.fromkeys(tables), TABLES, "a raw table"))
