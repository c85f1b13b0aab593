"""Registered experiments: declared once, immutable once started, one at a time.

`experiments/<id>/experiment.json` is written once and never again; `features.abtest.traffic` keeps
the small files that say whose turn it is. Starting the same declaration again goes on with it.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from evaluation.abtest.experiment import Experiment, parse
from features.abtest import traffic
from features.carry import ONE_DAY
from features.raw.dataset import load as load_dataset
from infra.config import flatten
from infra.errors import ConfigError, RecordCorrupt, RegistryError
from infra.record import reading
from infra.registry import Version
from infra.store import Store
from pipeline.learn import recipes
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings

RECENT = timedelta(days=7)
"""A log of others whose newest day is as young as this follows the clock."""


@dataclass(frozen=True)
class Registered:
    """An experiment of the store."""

    experiment: Experiment
    at: str
    """When it was registered (UTC)."""
    ended: Mapping[str, Any] | None
    """Outcome, day and reasons."""


def declared(text: str) -> Experiment:
    """The experiment that a form's TOML declares.

    Raises:
        ConfigError: the first thing that is wrong, with its line.
    """
    try:
        return parse(text, "the declaration")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the declaration is not valid TOML: {error}. Mend that line.") from None


def start(
    settings: Settings, experiment: Experiment, now: datetime | None = None
) -> Mapping[str, Any]:
    """Register an experiment and let it split the users from its first day on.

    Args:
        settings: whose store and registry.
        experiment: what is declared.
        now: the time, which counts in a log that follows the clock; default now.

    Raises:
        ConfigError: the id was used for something else, it has ended, another one runs, its first
            day has begun, or a recipe cannot be followed.
        RegistryError: its lines are not those in place.
    """
    store = settings.store
    known = _kept(store, experiment.id)
    if known is not None:
        _require_same(known, experiment)
    running = traffic.running(store)
    if running is None or running.experiment != experiment.id:
        _require_turn(store, experiment, known)
        _require_ahead(settings, experiment, now or datetime.now(UTC))
        _require_another_split(store, experiment)
        for recipe in experiment.recipes.values():
            recipes.applied(settings, recipe)
        require_lines(settings, experiment)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        content = {"experiment": experiment.model_dump(mode="json"), "at": at}
        store.put_new(traffic.key(experiment.id, "experiment"), json.dumps(content, indent=1))
        _require_same(find(store, experiment.id), experiment)
        if not traffic.take_turn(store, experiment.traffic):
            raise ConfigError(
                f"another experiment started at the same time as {experiment.id}. "
                "See `dupn abtest list`."
            )
    return summary(find(store, experiment.id))


def was_started(store: Store, experiment: Experiment) -> bool:
    """Whether this very experiment was started before, be it running or over.

    Raises:
        ConfigError: another one has its id.
    """
    known = _kept(store, experiment.id)
    if known is not None:
        _require_same(known, experiment)
    return experiment.id in traffic.started(store)


def find(store: Store, experiment: str) -> Registered:
    """The experiment of an id.

    Raises:
        ConfigError: there is none; the message names those that there are.
        RecordCorrupt: its declaration cannot be read.
    """
    found = _kept(store, experiment)
    if found is None:
        known = ", ".join(traffic.started(store)) or "none"
        raise ConfigError(
            f"experiment {experiment!r} is not registered (known: {known}). "
            "Start it with `dupn abtest start FILE`."
        )
    return found


def of_day(store: Store, day: date) -> str:
    """Id of the experiment that a day belongs to; empty if none ran then.

    One that has ended is still that of the days that it was looked at, so that a day can be done
    again: up to that of its verdict, or, where a person ended it, those that were read out.
    """
    for one in reversed(traffic.started(store)):
        if not _over(store, one, day) and find(store, one).experiment.runs(day):
            return one
    return ""


def over_by(store: Store, day: date) -> str:
    """Which experiment had ended before its day was looked at, and how; empty if none had.

    A verdict may be made so while nights go on: the looks that wait find nothing to do then.
    """
    for one in reversed(traffic.started(store)):
        known = _kept(store, one)
        if known is not None and known.ended is not None and known.experiment.runs(day):
            return f"{one} was over ({known.ended['outcome']}) before {day} was looked at"
    return ""


def listing(settings: Settings) -> list[Mapping[str, Any]]:
    """All experiments that were started, oldest first; `note` says so of what cannot be read."""
    store = settings.store
    return [_listed(store, one) for one in traffic.started(store)]


def _listed(store: Store, experiment: str) -> Mapping[str, Any]:
    """A row of its own also for one whose declaration is spoilt or gone."""
    try:
        return summary(find(store, experiment))
    except (ConfigError, RecordCorrupt) as error:
        return {"id": experiment, "state": "not known", "note": str(error)}


def summary(found: Registered) -> Mapping[str, Any]:
    """An experiment in a few words."""
    experiment, ended = found.experiment, found.ended
    return {
        "id": experiment.id,
        "state": f"ended: {ended['outcome']}" if ended else "running",
        "arms": dict(experiment.arms),
        "primary": experiment.rule.primary,
        "minimum_effect": experiment.rule.minimum_effect,
        "first_day": experiment.first_day.isoformat(),
        "last_day": experiment.last_day.isoformat(),
        "digest": experiment.digest(),
        "registered": found.at,
        "ended": dict(ended) if ended else None,
    }


def require_lines(settings: Settings, experiment: Experiment) -> tuple[Version, Version]:
    """Champion and challenger, which must be of the experiment's lines.

    Raises:
        RegistryError: naming the arm that is not in place.
    """
    registry = registry_of(settings)
    champion, challenger = registry.champion(), registry.challenger()
    wanted = {"champion": experiment.control, "challenger": experiment.challenger}
    found = {"champion": champion, "challenger": challenger}
    for alias, line in wanted.items():
        version = found[alias]
        of = version.tags.get("line", "an unknown line") if version else "nobody"
        if of != line:
            raise RegistryError(
                f"experiment {experiment.id} has {line} as the {alias}'s line, and the {alias} "
                f"is of {of}. See `dupn log`; release {line} first, or declare the lines in place."
            )
    assert champion is not None
    assert challenger is not None
    return champion, challenger


def _require_ahead(settings: Settings, experiment: Experiment, now: datetime) -> None:
    """Refuse a first day of which users have seen pages already: they were not split."""
    store, first = settings.store, experiment.first_day
    there = (
        day
        for day in reversed(store.dates("events"))
        if store.partition("events", day, "behaviors").exists()
    )
    newest = next(there, date.min)
    today = now.astimezone(ZoneInfo(load_dataset(settings.dataset).time_zone)).date()
    # A marketplace lives in days of its own, and so does a log of the past that is replayed.
    follows = settings.dataset != "marketplace" and timedelta() <= today - newest <= RECENT
    if newest < first and not (follows and first <= today):
        return
    told = f"events up to {newest} are published" if newest >= first else f"it is {today} already"
    possible = max(newest, today) if follows else newest
    raise ConfigError(
        f"experiment {experiment.id} cannot begin on {first}: {told}, so users saw pages of its "
        f"first day before they were split. Declare first_day = {possible + ONE_DAY} or later."
    )


def _require_another_split(store: Store, experiment: Experiment) -> None:
    """Refuse a salt by which users were split in the pre-period, where arms must not differ.

    What an earlier experiment did to its treatment would be taken off the effect of this one: of
    5 % then and now, half. The pre-period check seldom sees so little.
    """
    for back in range(1, experiment.before_days + 1):
        day = experiment.first_day - timedelta(days=back)
        other = of_day(store, day)
        if other and find(store, other).experiment.traffic.salt == experiment.traffic.salt:
            raise ConfigError(
                f"experiment {experiment.id} has the salt of {other}, so on {day}, of its "
                "pre-period, its users were split alike. Leave `salt` out, or declare another one, "
                f"or a before_days below {back}."
            )


def _over(store: Store, experiment: str, day: date) -> bool:
    """Whether an experiment had ended before anybody looked at its day, by how it ended alone.

    The declaration of one that is long over is not needed then; one whose folder was pruned, so
    that it splits nobody (`traffic.running`), is over for every day.
    """
    ended = traffic.ended(store, experiment)
    if ended is None:
        return not store.names(f"{traffic.FOLDER}/{experiment}")
    if last := ended["day"]:
        return bool(last < day.isoformat())
    return not store.partition(f"{traffic.FOLDER}/{experiment}/readout", day).exists()


def _kept(store: Store, experiment: str) -> Registered | None:
    place = traffic.key(experiment, "experiment")
    plain = traffic.read(store, place)
    if plain is None:
        return None
    with reading(place, traffic.RESTORE):
        declared, at = Experiment.model_validate(plain["experiment"]), str(plain["at"])
    return Registered(declared, at, traffic.ended(store, experiment))


def _require_same(known: Registered, experiment: Experiment) -> None:
    if known.experiment.digest() == experiment.digest():
        return
    changed = next(_differences(known.experiment, experiment))
    raise ConfigError(
        f"experiment {experiment.id} was registered at {known.at} and cannot be changed: "
        f"{changed}. Declare the changed one under an id of its own."
    )


def _differences(was: Experiment, now: Experiment) -> Iterator[str]:
    old, new = flatten(was.model_dump(mode="json")), flatten(now.model_dump(mode="json"))
    for name in [*old, *new]:
        if old.get(name) != new.get(name):
            yield f"{name} was {old.get(name)}, and is {new.get(name)} now"
    yield "its arms stand in another order"


def _require_turn(store: Store, experiment: Experiment, known: Registered | None) -> None:
    if known is not None and known.ended is not None:
        raise ConfigError(
            f"experiment {experiment.id} has ended ({known.ended['outcome']}). "
            "Declare another one under an id of its own."
        )
    running = traffic.running(store)
    if running is not None:
        raise ConfigError(
            f"experiment {running.experiment} is running, and one runs at a time. Wait for its "
            f"verdict, or `dupn abtest conclude --id {running.experiment} --stop --why TEXT`."
        )
