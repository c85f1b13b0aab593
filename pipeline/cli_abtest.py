"""The commands below `abtest`: online experiments."""

from typing import Annotated

import typer

from pipeline.front import front

abtest = typer.Typer(
    help="Online experiments: plan them, and see what their statistics are worth.",
    no_args_is_help=True,
)

FARTHEST = 365
"""Days up to which a plan looks for enough users."""


@abtest.command()
def aa(
    experiments: Annotated[int, typer.Option(min=1, help="A/A experiments.")] = 2000,
    quick: Annotated[bool, typer.Option(help="A size that only shows that it runs.")] = False,
) -> None:
    """Simulate experiments in which nothing differs, or a known effect is planted."""
    from pipeline import abtesting

    front.say("abtest aa", abtesting.aa(front.settings(), experiments, quick=quick))


@abtest.command()
def plan(  # noqa: PLR0913, PLR0917  # each is an option of the command
    effect: Annotated[float, typer.Option(help="Relative effect to find: 0.02 is +2 %.")],
    days: Annotated[int, typer.Option(min=1, max=FARTHEST, help="Planned length.")],
    users_per_day: Annotated[float, typer.Option(help="New users a day, all arms.")],
    mean: Annotated[float, typer.Option(help="Of the metric per user.")],
    variance: Annotated[float, typer.Option(help="Of it between users.")],
    correlation: Annotated[float, typer.Option(help="With the pre-period (CUPED).")] = 0.0,
    share: Annotated[float, typer.Option(help="Of the users that are treated.")] = 0.5,
    alpha: Annotated[float, typer.Option(help="Two-sided error.")] = 0.05,
    power: Annotated[float, typer.Option(help="Wanted chance to find the effect.")] = 0.8,
) -> None:
    """How long an experiment must run, or that the traffic cannot answer."""
    from evaluation.abtest.power import Wanted, steady
    from pipeline import abtesting

    wanted = Wanted(
        effect=effect, days=days, shares=(1 - share, share), correlation=correlation,
        alpha=alpha, power=power,
    )  # fmt: skip
    traffic = steady(mean, variance, users_per_day, FARTHEST)
    front.say("abtest plan", abtesting.plan(traffic, wanted))


def add(app: typer.Typer) -> None:
    """Give the commands to the application."""
    app.add_typer(abtest, name="abtest")
