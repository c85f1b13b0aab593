"""How a night waits for its data."""

from pydantic import Field, field_validator, model_validator

from features.raw.raw_table import TABLES
from infra.config import CENTURY, Config, incompatible, named


class NightlyConfig(Config):
    """The nightly run."""

    tables: tuple[str, ...] = ()
    """Raw tables that a night waits for, beside behaviors; empty: the logs that the day before
    had."""
    settle_minutes: float = Field(10.0, ge=0, le=1_440)
    """Plain files without `_SUCCESS` are complete when nothing has changed for so long."""
    deadline_hours: float = Field(6.0, ge=0, le=24 * CENTURY)
    """An alert says what is missing when a night has waited so long; it goes on waiting."""
    give_up_hours: float = Field(48.0, ge=0, le=24 * CENTURY)
    """The night fails when it has waited so long; the nights after it stop."""

    @field_validator("tables")
    @classmethod
    def _known(cls, tables: tuple[str, ...]) -> tuple[str, ...]:
        """A table that there is not would never come, and every night would wait for it."""
        return tuple(named(dict.fromkeys(tables), TABLES, "a raw table"))

    @model_validator(mode="after")
    def _told_before_it_fails(self) -> "NightlyConfig":
        if self.give_up_hours < self.deadline_hours:
            raise incompatible(
                "nightly.give_up_hours is less than nightly.deadline_hours, so that no alert would "
                "ever tell of a late night: set nightly.deadline_hours to fewer"
            )
        return self
