"""Commands between a trained candidate and a champion, and those that say who is."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import typer

from pipeline.cli.front import Day, Run, TheDay, front

KEPT = 3
"""Exit code: the gate kept the champion."""


def _release_step(step: str, day: datetime, run: str) -> Mapping[str, Any]:
    from pipeline import steps
    from pipeline.learn import recipes

    settings = recipes.by_hand(front.settings(), run)
    result: Mapping[str, Any] = getattr(steps, step)(settings, day.date(), run=run)
    front.say(step, result)
    return result


def _require_one(step: str, day: datetime | None, version: str, run: str) -> None:
    """Refuse what would be dropped: a version says by itself which day and run it is of.

    Raises:
        typer.BadParameter: neither a day nor a version, both, or a run beside a version.
    """
    if bool(day) == bool(version):
        raise typer.BadParameter(f"{step} what? Give `--day D` or `--version N`, one of them.")
    if version and run:
        raise typer.BadParameter(
            f"{step} --version {version} takes no --run: a version is of one run. Leave it out, or "
            "give `--day D` and `--run KEY` without a version."
        )


def evaluate(day: TheDay, run: Run = "") -> None:
    """Judge the candidate on a day that it did not train on; writes the report."""
    _release_step("evaluate", day, run)


def bundle(
    day: Day = None,
    version: Annotated[
        str, typer.Option(help="Of a registered version or alias: what it is served from.")
    ] = "",
    run: Run = "",
) -> None:
    """Pack candidate and tables into a self-contained model and log it to MLflow."""
    from pipeline import steps
    from pipeline.learn import recipes

    _require_one("bundle", day, version, run)
    settings = front.settings()
    if day:
        settings = recipes.by_hand(settings, run)
    chosen = day.date() if day else settings.first_day
    front.say("bundle", steps.bundle(settings, chosen, run, version))


def gate(day: TheDay, run: Run = "") -> None:
    """Decide: promote the candidate or keep the champion (exit code 3)."""
    if not _release_step("gate", day, run)["promoted"]:
        raise typer.Exit(KEPT)


def canary(day: TheDay, run: Run = "") -> None:
    """Load the logged model in a fresh process and ask it recorded moments."""
    _release_step("canary", day, run)


def register(day: TheDay, run: Run = "") -> None:
    """Enter the logged model in the registry, and publish what it is served from."""
    _release_step("register", day, run)


def promote(
    day: Day = None,
    version: Annotated[str, typer.Option(help="A registered version.")] = "",
    challenger: Annotated[
        bool, typer.Option("--challenger", help="Of another line: beside the champion.")
    ] = False,
    why: Annotated[str, typer.Option(help="A sentence for the ledger.")] = "",
    run: Run = "",
) -> None:
    """Make a version the champion: the one registered for a day, or any by number.

    With --challenger, it becomes the challenger, and the champion stays.
    """
    from pipeline import steps
    from pipeline.learn import recipes
    from pipeline.release import incumbent

    _require_one("promote", day, version, run)
    if version and not why.strip():
        raise typer.BadParameter(
            f"no gate speaks for version {version}: say why for the ledger, "
            f'`--version {version} --why "..."`.'
        )
    if challenger and not version:
        raise typer.BadParameter(
            "--challenger is for `--version N`: of a day, another line's candidate that passed the "
            "gate becomes challenger by itself. Leave it out."
        )
    settings = front.settings()
    incumbent.require_answering(settings)
    if day:
        settings = recipes.by_hand(settings, run)
    chosen = day.date() if day else settings.first_day
    done = steps.promote(settings, chosen, version, why, run, challenger=challenger)
    front.say("promote", done)


def rollback(
    why: Annotated[str, typer.Option(help="A sentence for the ledger.")],
) -> None:
    """Make the previous champion champion again."""
    from pipeline import steps
    from pipeline.release import incumbent

    if not why.strip():
        raise typer.BadParameter('say why for the ledger: `dupn rollback --why "..."`.')
    settings = front.settings()
    incumbent.require_answering(settings)
    front.say("rollback", steps.rollback(settings, why))


def check(day: TheDay, run: Run = "") -> None:
    """Ask `models:/dupn@champion` the moments that were recorded for it."""
    from pipeline.release import incumbent

    incumbent.require_answering(front.settings())
    _release_step("check", day, run)


def watch(day: TheDay, run: Run = "") -> None:
    """Watch a night: the champion on the new day, staleness, forgetting, volumes, durations."""
    _release_step("watch", day, run)


def refresh(day: TheDay) -> None:
    """Let champion and challenger be served with the tables of a day: new items, new statistics."""
    from pipeline import steps

    front.say("refresh", steps.refresh(front.settings(), day.date()))


def represent(day: TheDay) -> None:
    """The champion's representation of every user with a behaviour, at the end of a day."""
    from pipeline import steps

    front.say("represent", steps.represent(front.settings(), day.date()))


def status() -> None:
    """What is published, who is champion, where the reports are."""
    from pipeline.release.standing import NO_TABLE
    from pipeline.release.standing import status as look

    found = look(front.settings())
    if not front.as_json:
        found = {**found, "representations": found["representations"] or NO_TABLE}
    front.say("status", found)


def log() -> None:
    """Who was champion when, and why."""
    from pipeline.release.standing import log as read

    front.say("log", read(front.looking()))


def add(app: typer.Typer) -> None:
    """Give the commands to the application."""
    judging = (evaluate, bundle, gate, canary, register, promote, rollback, check)
    for command in (*judging, watch, refresh, represent, status, log):
        app.command()(command)
