"""Commands for what has arrived and what is kept: raw, rebuild, backfill, sweep, whereis."""

import sys
from typing import Annotated

import typer

from pipeline.cli.front import Day, From, TheDay, To, days_of, front


def raw(day: TheDay) -> None:
    """Say what has arrived of a day's raw data; exit code 1 while a night would wait."""
    from pipeline import steps

    found = steps.raw(front.settings(), day.date())
    front.say("raw", found)
    if not found["complete"]:
        raise typer.Exit(1)


def rebuild(day: TheDay) -> None:
    """Build carried state of a day again from events, where it is missing or spoilt."""
    from pipeline import steps

    front.say("rebuild", steps.rebuild(front.settings(), day.date()))


def backfill(
    day: Day = None,
    first: From = None,
    last: To = None,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be redone, and do nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Publish past days again, and what follows from them; says first what that may be."""
    from pipeline import steps
    from pipeline.upkeep import backfill as filling

    settings, asked = front.settings(), days_of(day, first, last)
    if only_plan or not (yes or front.as_json):
        planned = filling.describe(settings, asked[0], asked[-1])
        front.say("backfill plan", planned if front.as_json else planned["plan"])
        if planned["models"] and not front.as_json:
            names = ", ".join(planned["models"])
            front.say("models", {"learnt from this and keep what they learnt": names})
    if only_plan:
        return
    if not yes and not _agreed():
        raise typer.BadParameter("nobody agreed. Say --yes to redo it, or --plan to look only.")
    front.say("backfill", steps.backfill(settings, asked[0], asked[-1]))


def _agreed() -> bool:
    return sys.stdin.isatty() and typer.confirm("Redo it?", err=True)


def sweep(day: TheDay) -> None:
    """Remove state older than its retention, and files of lost attempts."""
    from pipeline import steps

    front.say("sweep", steps.sweep(front.settings(), day.date()))


def whereis(
    user: Annotated[str, typer.Argument(help="The id, as the log has it.")],
) -> None:
    """Say in which folders of the home a person is found; changes nothing."""
    from pipeline.upkeep import whereis as looking

    if not user.strip():
        raise typer.BadParameter("an empty id is nobody's. Give the id as the log has it.")
    front.say("whereis", looking.run(front.looking(), user), nothing="found nowhere")


def add(app: typer.Typer) -> None:
    """Give the commands to the application."""
    for command in (raw, rebuild, backfill, sweep, whereis):
        app.command()(command)
