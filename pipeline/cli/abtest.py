"""The commands below `abtest`: online experiments."""

from datetime import datetime
from typing import Annotated

import typer

from pipeline.cli import experiment
from pipeline.cli.front import front, of_day

abtest = typer.Typer(
    help="Online experiments: from a plan to a verdict that moves the champion.",
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
    from pipeline.abtest import planning

    front.say("abtest aa", planning.aa(front.settings(), experiments, quick=quick))


@abtest.command()
def plan(  # noqa: PLR0913, PLR0917  # each is an option of the command
    effect: Annotated[float, typer.Option(help="Relative effect to find: 0.02 is +2 %.")],
    days: Annotated[int, typer.Option(min=1, max=FARTHEST, help="Planned length.")],
    users_per_day: Annotated[float | None, typer.Option(help="New users a day, all arms.")] = None,
    mean: Annotated[float | None, typer.Option(help="Of the metric per user.")] = None,
    variance: Annotated[float | None, typer.Option(help="Of it between users.")] = None,
    like: Annotated[
        str, typer.Option(metavar="ID", help="Instead: an experiment whose read-outs say these.")
    ] = "",
    metric: Annotated[str, typer.Option(help="With --like; its primary, if absent.")] = "",
    correlation: Annotated[
        float | None, typer.Option(help="With the pre-period (CUPED); 0, or what --like says.")
    ] = None,
    share: Annotated[float, typer.Option(help="Of the users that are treated.")] = 0.5,
    alpha: Annotated[float, typer.Option(help="Two-sided error.")] = 0.05,
    power: Annotated[float, typer.Option(help="Wanted chance to find the effect.")] = 0.8,
) -> None:
    """How long an experiment must run, or that the traffic cannot answer."""
    from evaluation.abtest.power import Wanted, steady
    from pipeline.abtest import planning

    given = (mean, variance, users_per_day)
    if any(value is None for value in given) if not like else given != (None, None, None):
        raise typer.BadParameter(
            "give --users-per-day, --mean and --variance, or --like ID, which says all three."
        )
    if like:
        from pipeline.abtest import looks

        seen = looks.traffic(front.settings(), like, metric)
        traffic, known = seen.traffic, seen.correlation
    else:
        traffic, known = steady(mean or 0.0, variance or 0.0, users_per_day or 0.0, FARTHEST), 0.0
    wanted = Wanted(
        effect=effect, days=days, shares=(1 - share, share),
        correlation=known if correlation is None else correlation, alpha=alpha, power=power,
    )  # fmt: skip
    front.say("abtest plan", planning.plan(traffic, wanted))


@abtest.command()
def simulate(  # noqa: PLR0913, PLR0917  # each is an option of the command
    days: Annotated[int, typer.Option(min=1, help="How many days.")] = 7,
    first: Annotated[datetime | None, of_day("First day; the next, if absent.")] = None,
    arms: Annotated[
        list[str] | None,
        typer.Option("--arm", metavar="NAME=SOURCE", help="An arm, the control first."),
    ] = None,
    shares: Annotated[
        list[float] | None, typer.Option("--share", help="Of the users, an arm each.")
    ] = None,
    salt: Annotated[str, typer.Option(help="Of the hash that splits the users.")] = "",
    nightly: Annotated[
        bool, typer.Option("--nightly", help="Every night is that of the setting `line`.")
    ] = False,
    twins: Annotated[
        bool, typer.Option("--twins", help="Let worlds live in which everybody is in one arm.")
    ] = False,
) -> None:
    """Let the marketplace live days whose pages are ranked by the arms; effects, said twice."""
    from pipeline.abtest import simulated

    settings = front.settings()
    given = simulated.running(settings)
    named = dict(arm.partition("=")[::2] for arm in arms) if arms else given["arms"]
    parts = shares or ([1 / len(named)] * len(named) if arms else list(given["shares"].values()))
    once = len(named) == len(arms or named)
    if len(parts) != len(named) or not once or not all(named.values()):
        raise typer.BadParameter(
            "give `--arm NAME=SOURCE` for every arm, each name once, and a --share for each."
        )
    wanted = simulated.Wanted(
        days=days,
        first=first.date() if first else None,
        arms=named,
        shares=dict(zip(named, parts, strict=True)),
        salt=salt or given["salt"],
        nightly=nightly,
        twins=twins,
    )
    front.say("abtest simulate", simulated.run(settings, wanted))


def add(app: typer.Typer) -> None:
    """Give the commands to the application."""
    experiment.add(abtest)
    app.add_typer(abtest, name="abtest")
