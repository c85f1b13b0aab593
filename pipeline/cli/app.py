"""The `dupn` command: every step by hand, without Airflow.

Exit codes: 0 done; 1 `DupnError` (one sentence; `--debug` shows the trace); 2 usage; 3 the gate
kept the champion. `--json` anywhere prints a machine-readable result on stdout and nothing else
there. Everything that is said while working goes to stderr.
"""

import sys
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from infra import logs
from infra.errors import DupnError
from infra.exhausted import exhausted
from infra.visible import visible
from pipeline.cli import abtest, release, serve, state, study
from pipeline.cli.ending import when_told
from pipeline.cli.front import Day, From, TheDay, To, days_of, front, of_day, tell_version
from pipeline.cli.release import KEPT
from pipeline.days import LONGEST

BENCHES = "simulate, samples, nights, train, serve, runtime, gate or readout"
"""Written out: `pipeline.bench.benching` takes a second to import."""

TRAINING_DAYS = 10
"""Of `run initial`, unless said."""

BEFORE = ("--preset", "--home", "--set")
"""Options of all commands."""

app = typer.Typer(
    name="dupn",
    help=(__doc__ or "").splitlines()[0],
    epilog="Anywhere on the line: --json prints the result as JSON on stdout and nothing else "
    "there; --debug shows the trace of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _options(
    preset: Annotated[
        str, typer.Option(envvar="DUPN_PRESET", help="smoke, demo, paper, ... or a .toml file.")
    ] = "demo",
    home: Annotated[
        str | None,
        typer.Option(
            envvar="DUPN_HOME", show_default="./artifacts", help="Where everything is written."
        ),
    ] = None,
    pairs: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Override a setting.")
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", is_eager=True, callback=tell_version, help="Which dupn this is."),
    ] = False,
) -> None:
    """Options that stand before the command."""
    del version  # said already, where it was asked for
    front.preset, front.home, front.pairs = preset, home, pairs or []


def _over_days(step: str, days: list[date]) -> None:
    from pipeline import steps

    settings = front.settings()
    results = {}
    for one in days:
        results[one.isoformat()] = dict(getattr(steps, step)(settings, one))
    front.say(step, results)


@app.command()
def simulate(
    days: Annotated[int, typer.Option(min=1, max=LONGEST, help="How many days.")] = 11,
    first: Annotated[datetime | None, of_day("First day.")] = None,
    spoil: Annotated[
        float, typer.Option(min=0, max=1, help="Break this share of behaviours, for a drill.")
    ] = 0.0,
) -> None:
    """Let the marketplace live some days: raw logs, and the truth about them."""
    from pipeline import steps

    settings = front.settings()
    start = first.date() if first else settings.first_day
    front.say("simulate", steps.simulate(settings, start, days, spoil))


@app.command("import")
def import_log(
    dataset: Annotated[str, typer.Argument(help="A name in infra/datasets, or a .toml file.")],
    files: Annotated[list[str], typer.Argument(help="Files, or table=file.")],
    day: Annotated[
        datetime | None,
        of_day("Of snapshots that come without a log."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Overwrite days that hold rows of other files.")
    ] = False,
) -> None:
    """Take your own log in: raw partitions by day, rows as received."""
    from pipeline import steps

    paths = [Path(name) for name in files]
    of = day.date() if day else None
    found = steps.import_log(front.settings(), dataset, paths, day=of, replace=replace)
    front.say("import", found)


@app.command()
def events(day: Day = None, first: From = None, last: To = None) -> None:
    """Parse, canonicalise and deduplicate a day of raw rows; refused rows go to rejects."""
    _over_days("events", days_of(day, first, last))


@app.command()
def vocabulary(day: Day = None, first: From = None, last: To = None) -> None:
    """Grow the vocabulary and the catalog by a day."""
    _over_days("vocabulary", days_of(day, first, last))


@app.command()
def statistics(day: Day = None, first: From = None, last: To = None) -> None:
    """Counts, conversions, price quantiles and LR-CTR weights up to a day."""
    _over_days("statistics", days_of(day, first, last))


@app.command()
def sequences(day: Day = None, first: From = None, last: To = None) -> None:
    """Carry every user's last 100 behaviours on by a day."""
    _over_days("sequences", days_of(day, first, last))


@app.command()
def samples(day: Day = None, first: From = None, last: To = None) -> None:
    """Publish the moments whose attribution window closes on a day."""
    _over_days("samples", days_of(day, first, last))


@app.command()
def quality(
    of: Annotated[str, typer.Option(help="events or samples.")],
    day: Day = None,
    first: From = None,
    last: To = None,
) -> None:
    """Judge a day of events or samples with Great Expectations."""
    from pipeline import steps

    if of not in ("events", "samples"):
        raise typer.BadParameter(f"--of {of} is not a table group. Say events or samples.")
    settings = front.settings()
    results = {
        one.isoformat(): dict(steps.quality(settings, one, of)) for one in days_of(day, first, last)
    }
    front.say(f"quality of {of}", results)


@app.command()
def train(
    until: Annotated[datetime, of_day("Last training day.")],
    days: Annotated[int, typer.Option(min=1, max=LONGEST, help="How many, up to that one.")] = 10,
) -> None:
    """Train the network for the first time on some days."""
    from pipeline import steps
    from pipeline.learn import recipes

    front.say("train", steps.train(recipes.of_line(front.settings()), until.date(), days))


@app.command()
def update(
    day: TheDay,
    force: Annotated[
        bool, typer.Option("--force", help="Learn the day although quality failed or it is known.")
    ] = False,
    why: Annotated[str, typer.Option(help="The reason for --force; kept with the model.")] = "",
) -> None:
    """Let the promoted version learn a night: what it missed, and the day but for a holdout."""
    from pipeline import steps
    from pipeline.learn import recipes

    if force != bool(why.strip()):
        raise typer.BadParameter('--force needs a reason, and only it: `--force --why "..."`.')
    settings = recipes.by_hand(front.settings())
    front.say("update", steps.update(settings, day.date(), forced=why.strip()))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help=f"{BENCHES}.")],
    quick: Annotated[bool, typer.Option(help="Small sizes: shows that it runs.")] = False,
) -> None:
    """Measure; prints figures and keeps them under reports/bench.

    A bench has settings of its own: presets and DUPN_SET change nothing, --set is refused.
    """
    from pipeline.bench.benching import run

    if front.pairs:
        raise typer.BadParameter("bench takes no --set: its settings are its own. Leave it out.")
    front.say(f"bench {name}", run(front.settings(), name, quick=quick))


@app.command()
def run(
    what: Annotated[str, typer.Argument(help="initial, nightly or demo.")],
    first: Annotated[datetime | None, of_day("initial: first training day.")] = None,
    days: Annotated[
        int | None,
        typer.Option(min=1, max=LONGEST, show_default="10", help="initial: training days."),
    ] = None,
    day: Annotated[datetime | None, of_day("nightly: which, YYYY-MM-DD.")] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="nightly: carry a dirty day on, unlearnt.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="nightly: go on with one that another run began.")
    ] = False,
) -> None:
    """A whole chain: `initial` and `nightly` here, `demo` through a real Airflow."""
    from pipeline import chain

    if what not in ("initial", "nightly", "demo"):
        raise typer.BadParameter(f"run {what} is not a chain. Say initial, nightly or demo.")
    if what == "nightly" and not day:
        raise typer.BadParameter("run nightly goes through one day. Say which: --day D.")
    _require_own(what, "initial", {"--first": first, "--days": days})
    _require_own(
        what, "nightly", {"--day": day, "--leave-out": leave_out, "--take-over": take_over}
    )
    settings = front.settings()
    if what == "demo":
        _demo(settings)
        return
    if day:
        result = chain.nightly(settings, day.date(), leave_out=leave_out, take_over=take_over)
    else:
        start = first.date() if first else settings.first_day
        result = chain.initial(settings, start, days or TRAINING_DAYS)
    front.say(f"run {what}", result)
    if result["promoted"] is False:
        raise typer.Exit(KEPT)


def _require_own(what: str, chain: str, options: Mapping[str, object]) -> None:
    """Refuse options of another chain: who gives them expects them to do something.

    Raises:
        typer.BadParameter: naming the first of them.
    """
    foreign = [option for option, value in options.items() if value and what != chain]
    if foreign:
        raise typer.BadParameter(
            f"run {what} takes no {foreign[0]}, which is for `run {chain}`. Leave it out."
        )


def _demo(settings: Any) -> None:
    from pipeline.demo import service, story

    result = story.run(settings, front.preset, front.pairs)
    if not front.as_json:
        story.show(settings, stopped=result["stopped"])
        result = service.show(result)
    front.say("run demo", result)


@app.command()
def up() -> None:
    """Start Airflow, the MLflow UI and the service; prints home, addresses and login."""
    from infra import runtime
    from infra.tracking import require
    from pipeline.settings import handed_on

    settings = front.settings()
    variables = handed_on(settings, front.preset, front.pairs)
    place, tracking = (settings.home, settings.runtime, variables), settings.tracking.uri
    if tracking is None and settings.store.is_local:
        require(settings.tracking, settings.store)
    runtime.up(*place, tracking=tracking)
    found = runtime.up_serve(*place, tracking=tracking)
    front.say("up", {"home": settings.store.root, **found})


@app.command()
def down() -> None:
    """Stop Airflow, the MLflow UI and the service."""
    from infra import runtime

    front.say("down", runtime.down(front.settings().home))


abtest.add(app)
release.add(app)
serve.add(app)
state.add(app)
study.add(app)


def main() -> None:
    """Entry point of the `dupn` command."""
    arguments = sys.argv[1:]
    front.as_json = "--json" in arguments
    front.debug = "--debug" in arguments
    logs.configure(quiet=front.as_json)
    try:
        with when_told():
            code = app(
                args=[a for a in arguments if a not in ("--json", "--debug")],
                prog_name="dupn",
                standalone_mode=False,
            )
    except DupnError as error:
        if front.debug:
            raise
        words = visible(str(error), keep="\n\t")  # names of files may stand in it
        sys.stderr.write(f"{type(error).__name__}: {words}\n")
        sys.exit(1)
    except typer.Exit as leave:
        sys.exit(leave.exit_code)
    except Exception as error:
        if not front.debug and (told := exhausted(error)):
            sys.stderr.write(f"MemoryError: {visible(told)}\n")
            sys.exit(1)
        if not hasattr(error, "exit_code") or not hasattr(error, "show"):
            raise
        usage: Any = error  # of the option parser
        if getattr(usage, "option_name", "") in BEFORE:
            usage.message += ". Write it before the command, right after `dupn`."
        usage.show()
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
