"""What every command of the CLI shares: the options before it, its days, and how it answers."""

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any

import typer

from infra.errors import ConfigError
from pipeline.cli import show
from pipeline.days import require_reach

logger = logging.getLogger(__name__)


@dataclass
class Front:
    """What stands before the command on the line, and how results are printed."""

    preset: str = "demo"
    home: str | None = None
    pairs: list[str] = field(default_factory=list)
    as_json: bool = False
    debug: bool = False

    def settings(self) -> Any:
        """The `Settings` that the options ask for (`Any`: importing them takes a second)."""
        from pipeline.settings import load

        return load(self.preset, self.home, self.pairs)

    def looking(self) -> Any:
        """The same for a command whose answer is a list: an empty home is told beside it."""
        settings = self.settings()
        nothing = settings.store.nothing_yet()
        if nothing:
            logger.warning("%s", nothing)
        return settings

    def say(
        self,
        title: str,
        result: Mapping[str, Any] | list[Any],
        *,
        nothing: str = "nothing yet",
    ) -> None:
        """Print what a command returned: for people, or as one line of JSON."""
        if self.as_json:
            sys.stdout.write(json.dumps(result, default=str) + "\n")
        else:
            show.result(title, result, nothing=nothing)


front = Front()
"""Of this process: set by the options, read by the command."""


def tell_version(asked: bool) -> None:
    """Say which dupn this is, and leave."""
    if not asked:
        return
    from infra.installed import NAME, installed

    found = installed()
    if front.as_json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        lines = (f"{NAME if name == 'version' else name} {value}" for name, value in found.items())
        sys.stdout.write("\n".join(lines) + "\n")
    raise typer.Exit


def of_day(meaning: str, *names: str) -> Any:
    """An option that takes a day."""
    return typer.Option(*names, formats=["%Y-%m-%d"], help=meaning, callback=_within_reach)


def _within_reach(day: datetime | None) -> datetime | None:
    try:
        if day:
            require_reach(day.date())
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    return day


Day = Annotated[datetime | None, of_day("One day, YYYY-MM-DD.")]
From = Annotated[datetime | None, of_day("First day of a range.", "--from")]
To = Annotated[datetime | None, of_day("Last day of a range.", "--to")]
TheDay = Annotated[datetime, of_day("YYYY-MM-DD.", "--day")]
Run = Annotated[
    str, typer.Option("--run", metavar="KEY", help="The candidate's run key, `<line>-<last day>`.")
]


def days_of(day: datetime | None, first: datetime | None, last: datetime | None) -> list[date]:
    """The days that the options name.

    Raises:
        typer.BadParameter: neither one day nor a range.
    """
    from features.carry import ONE_DAY

    if day and not (first or last):
        return [day.date()]
    if first and last and not day and first <= last:
        start = first.date()
        return [start + ONE_DAY * i for i in range((last.date() - start).days + 1)]
    raise typer.BadParameter(
        "which day? Give `--day D`, or `--from D --to D` with the older day first."
    )
