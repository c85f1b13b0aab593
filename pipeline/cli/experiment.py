"""The commands of `abtest` about one experiment, from its start to its conclusion."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.front import Day, TheDay, front

Id = Annotated[str, typer.Option("--id", metavar="ID", help="Of the experiment.")]


def start(
    file: Annotated[Path, typer.Argument(help="A TOML that declares the experiment.")],
) -> None:
    """Register an experiment and split the users as it says; it cannot be changed afterwards."""
    from evaluation.abtest.experiment import load
    from pipeline.abtest import experiments

    front.say("abtest start", experiments.start(front.settings(), load(file)))


def listing() -> None:
    """All experiments, oldest first, and how they ended."""
    from pipeline.abtest import experiments

    front.say("abtest list", experiments.listing(front.looking()))


def readout(experiment: Id, day: TheDay) -> None:
    """Read a day out: sums per user and arm, and how pages were answered."""
    from pipeline.abtest import looks

    front.say("abtest readout", looks.readout(front.settings(), experiment, day.date()))


def verdict(experiment: Id, day: TheDay) -> None:
    """Decide at the end of a day: continue, ship or stop, with every reason; moves nothing."""
    from pipeline.abtest import verdicts

    front.say("abtest verdict", verdicts.verdict(front.settings(), experiment, day.date()))


def report(experiment: Id, day: TheDay) -> None:
    """Write the page of a day of an experiment."""
    from pipeline.abtest import reporting

    made: Mapping[str, Any] = reporting.write(front.settings(), experiment, day.date())
    front.say("abtest report", made)


def conclude(
    experiment: Id,
    day: Day = None,
    stop: Annotated[bool, typer.Option("--stop", help="End it without a verdict.")] = False,
    why: Annotated[str, typer.Option(help="The reason for --stop; kept in the ledger.")] = "",
) -> None:
    """Make a final verdict so: the challenger's line becomes the champion's, or is retired."""
    from pipeline.abtest import verdicts

    if stop != bool(why.strip()) or stop == bool(day):
        raise typer.BadParameter(
            'conclude what? Give `--day D` for the verdict of a day, or `--stop --why "..."`.'
        )
    chosen = day.date() if day else None
    front.say(
        "abtest conclude", verdicts.conclude(front.settings(), experiment, chosen, why.strip())
    )


def add(app: typer.Typer) -> None:
    """Give the commands to `dupn abtest`."""
    for command in (start, readout, verdict, report, conclude):
        app.command()(command)
    app.command("list")(listing)
