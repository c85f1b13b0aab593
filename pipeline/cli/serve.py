"""The command that serves."""

from typing import Annotated

import typer

from pipeline.cli.ending import when_told
from pipeline.cli.front import front


def serve(
    port: Annotated[int | None, typer.Option(min=1024, max=65000, help="Where to listen.")] = None,
    bundle: Annotated[
        str, typer.Option(help="A bundle of the store, RUN or RUN/vN: MLflow is not asked.")
    ] = "",
) -> None:
    """Answer over HTTP with the champion of the registry, until stopped."""
    with when_told(0):  # being stopped is no failure, while it comes up neither
        from pipeline.cli.serving_setup import setup
        from serving.running import serve as run

        run(setup(front.settings(), port, bundle))


def add(app: typer.Typer) -> None:
    """Give the command to the application."""
    app.command()(serve)
