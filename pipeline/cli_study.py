"""The command `study`: many runs and what they show together."""

from typing import Annotated

import typer

from pipeline.front import front


def study(
    name: Annotated[str, typer.Argument(help="drift or abtest.")],
    seeds: Annotated[int, typer.Option(min=1, help="Worlds: the seeds 1, 2, ...")] = 5,
    quick: Annotated[bool, typer.Option(help="A size that only shows that it runs.")] = False,
) -> None:
    """Run a study, or what is left of it, with the preset of its name."""
    from pipeline.settings import load
    from pipeline.studying import run

    settings = load(name, front.home, front.pairs)
    front.say(f"study {name}", run(settings, name, seeds=seeds, quick=quick))


def add(app: typer.Typer) -> None:
    """Give the command to the application."""
    app.command()(study)
