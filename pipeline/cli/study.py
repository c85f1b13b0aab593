"""The command `study`: many runs and what they show together."""

from typing import Annotated

import typer

from pipeline.cli.front import front


def study(
    name: Annotated[
        str,
        typer.Argument(
            help="table2, letter, multitask, transfer, attention, excerpts, drift, abtest."
        ),
    ],
    seeds: Annotated[int, typer.Option(min=1, help="Worlds: the seeds 1, 2, ...")] = 5,
    quick: Annotated[
        bool, typer.Option(help="A size that only shows that it runs: one seed.")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Cells at once, each with a thread.")] = 1,
    preset: Annotated[
        str | None,
        typer.Option(help="Settings: a preset or .toml file; if absent, the study's own preset."),
    ] = None,
) -> None:
    """Run a study, or what is left of it, with the preset that it is made for, or another."""
    from pipeline.settings import load
    from pipeline.studies.studying import preset_of, run

    settings = load(preset or preset_of(name), front.home, front.pairs)
    front.say(f"study {name}", run(settings, name, seeds=seeds, quick=quick, jobs=jobs))


def add(app: typer.Typer) -> None:
    """Give the command to the application."""
    app.command()(study)
