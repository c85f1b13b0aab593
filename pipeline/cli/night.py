"""Commands that look after a night: what has arrived."""

import typer

from pipeline.cli.front import TheDay, front


def raw(day: TheDay) -> None:
    """Say what has arrived of a day's raw data; exit code 1 while a night would wait."""
    from pipeline import steps

    found = steps.raw(front.settings(), day.date())
    front.say("raw", found)
    if not found["complete"]:
        raise typer.Exit(1)


def add(app: typer.Typer) -> None:
    """Give the commands to the application."""
    app.command()(raw)
