"""From a look to a verdict, and from a final verdict to the registry, through the ledger.

`verdict` decides and keeps what it rests on; `conclude` makes it so. **Ship**: `champion` moves to
the newest version of the challenger's line that passed the gate, and the nights from then on
continue that line. **Stop**: `challenger` is taken away, so that line is updated no more. Either is
one conditional append to the ledger, made only if champion and challenger are still of the lines
that were compared; one that was cut off is finished by running it again.
"""

import json
import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

from evaluation import filed
from evaluation.abtest.experiment import Experiment
from evaluation.abtest.readout import ReadOut
from evaluation.abtest.verdict import Outcome, decide
from features.abtest import traffic
from infra.errors import ConfigError, PartitionMissing
from infra.ledger import Entry
from infra.record import loaded, reading
from infra.registry import crowned
from infra.store import Store
from pipeline.abtest import experiments, looks
from pipeline.release import standing
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings

logger = logging.getLogger(__name__)

WHO = "experiment"
"""Moves aliases by a verdict."""


def verdict(settings: Settings, experiment: str, day: date) -> Mapping[str, Any]:
    """Decide at the end of a day; kept under `reports/abtest/<id>/dt=D`."""
    mine = experiments.find(settings.store, experiment).experiment
    seen = looks.look(settings, mine, day)
    found = decide(seen, mine)
    settings.store.put(key(settings.store, mine.id, day, "look"), seen.model_dump_json(indent=1))
    content = {
        "id": mine.id,
        "day": day.isoformat(),
        "digest": mine.digest(),
        "outcome": str(found.outcome),
        "final": found.final,
        "trusted": seen.trusted,
        "readouts": _readouts(settings.store, mine, day),
        "reasons": list(found.reasons),
        "figures": [figure.model_dump() for figure in seen.figures()],
    }
    settings.store.put(key(settings.store, mine.id, day, "verdict"), json.dumps(content, indent=1))
    logger.info("%s on %s: %s. %s", mine.id, day, found.outcome, found.reasons[0])
    return content


def conclude(
    settings: Settings, experiment: str, day: date | None = None, stop: str = ""
) -> Mapping[str, Any]:
    """Make a final verdict so; one that is not final changes nothing.

    A conclusion that the ledger has already, but that was cut off before its end was noted, is
    finished as it was entered, whatever is asked now; `note` in the result says so if they differ.

    Args:
        settings: whose registry.
        experiment: the id.
        day: of the verdict.
        stop: a person's reason to end the experiment without one: the champion stays.

    Raises:
        ConfigError: neither a day nor a reason, a verdict of a later day is kept, or the experiment
            never began.
        PartitionMissing: no verdict of the day, or one on what was made again since.
        RegistryError: other lines are in place than were compared, or another move came first.
    """
    found = experiments.find(settings.store, experiment)
    mine = found.experiment
    if found.ended is not None:
        return {"id": experiment, "moved": False, **found.ended}
    _require_begun(settings.store, experiment)
    told = _by_hand(stop) if stop else _kept(settings.store, mine, day)
    entry = _entered(settings, mine)
    if entry is None and not told["final"]:
        return {
            "id": experiment,
            "moved": False,
            "outcome": told["outcome"],
            "why": told["reasons"][0],
        }
    if entry is None and day is not None and not stop:
        _require_newest(settings.store, mine, day)
        _require_of_now(settings.store, mine, day, told)
    made = entry or _move(settings, mine, told)
    facts = _facts(made, told)
    traffic.end(settings.store, experiment, facts)
    differs = {} if facts["outcome"] == told["outcome"] else {"note": _note(made, told)}
    return {
        "id": experiment,
        "moved": True,
        **facts,
        **standing.moved(settings, made),
        **differs,
    }


def question(settings: Settings, experiment: str, day: date) -> str:
    """What a person is asked before a verdict is made so.

    Raises:
        ConfigError: a verdict of a later day is kept, so `conclude` would refuse after a yes.
    """
    mine = experiments.find(settings.store, experiment).experiment
    told = _kept(settings.store, mine, day)
    if _entered(settings, mine) is None:
        _require_newest(settings.store, mine, day)
    reasons = "\n".join(f"- {reason}" for reason in told["reasons"])
    report = settings.store.address(key(settings.store, experiment, day, "report", "html"))
    return f"{experiment} on {day}: {told['outcome']}.\n\n{reasons}\n\nReport: {report}\n"


def key(store: Store, experiment: str, day: date, name: str, suffix: str = "json") -> str:
    """Where a file about a day of an experiment lies."""
    return f"{folder(store, experiment, day)}/{name}.{suffix}"


def folder(store: Store, experiment: str, day: date) -> str:
    """Where everything about a day of an experiment lies."""
    return store.partition(filed.experiment(experiment), day).key


def _kept(store: Store, experiment: Experiment, day: date | None) -> Mapping[str, Any]:
    if day is None:
        raise ConfigError("conclude what? Give `--day D`, or `--stop --why TEXT`.")
    content = store.get(key(store, experiment.id, day, "verdict"))
    if content is None:
        raise PartitionMissing(
            f"there is no verdict of {experiment.id} on {day}. "
            f"Run `dupn abtest verdict --id {experiment.id} --day {day}` first."
        )
    return _told(store, experiment.id, day, content)


def _told(store: Store, experiment: str, day: date, content: bytes) -> dict[str, Any]:
    return loaded(content, key(store, experiment, day, "verdict"), _again(experiment, day))


def _again(experiment: str, day: date) -> str:
    return f"Run `dupn abtest verdict --id {experiment} --day {day}` again."


def _require_begun(store: Store, experiment: str) -> None:
    """Refuse one whose start lost its turn or was cut off: the challenger is another one's."""
    if experiment not in traffic.started(store):
        raise ConfigError(
            f"experiment {experiment} is registered and was never started: nobody was split by it, "
            "so there is nothing to conclude. See `dupn abtest list`."
        )


def _require_newest(store: Store, experiment: Experiment, day: date) -> None:
    """Refuse a verdict while one of a later day is kept: it was drawn knowing less.

    Harm that a later look has found must not be shipped by an older verdict.
    """
    later = (one for one in reversed(_looked_at(store, experiment.id)) if one > day)
    newest = next(later, None)
    if newest is None:
        return
    told = _kept(store, experiment, newest)
    raise ConfigError(
        f"the verdict of {experiment.id} on {day} is not its newest: {newest} says "
        f"{told['outcome']} ({told['reasons'][0]}). Give `--day {newest}`, or `--stop --why TEXT`."
    )


def _looked_at(store: Store, experiment: str) -> list[date]:
    """Days of which a verdict is kept, oldest first."""
    days = store.dates(filed.experiment(experiment))
    there = (store.get(key(store, experiment, one, "verdict")) for one in days)
    return [one for one, content in zip(days, there, strict=True) if content is not None]


def _require_of_now(
    store: Store, experiment: Experiment, day: date, told: Mapping[str, Any]
) -> None:
    """Refuse a verdict whose read-outs, or what they rest on, were made again since."""
    days = looks.read(store, experiment, day)["readout"]
    looks.require_fresh(store, experiment, days)
    if told.get("readouts") not in (None, _readouts(store, experiment, day)):
        raise PartitionMissing(
            f"days of {experiment.id} were read out again since the verdict on {day}. "
            f"Run `dupn abtest verdict --id {experiment.id} --day {day}` first."
        )


def _readouts(store: Store, experiment: Experiment, day: date) -> dict[str, str]:
    """What a verdict rests on."""
    return {one.key: one.stamp() for one in looks.read(store, experiment, day)["readout"]}


def _by_hand(why: str) -> Mapping[str, Any]:
    return {"outcome": str(Outcome.STOP), "final": True, "reasons": [why], "day": ""}


def _entered(settings: Settings, experiment: Experiment) -> Entry | None:
    """The move of this experiment, if it was made before and only its end was not noted."""
    entries = registry_of(settings).look()
    made = [one for one in entries if not one.given_up]
    mine = [one for one in made if one.facts.get("experiment") == experiment.id]
    return mine[-1] if mine else None


def _facts(entry: Entry, told: Mapping[str, Any]) -> dict[str, Any]:
    """What ended the experiment: the ledger decides, for the aliases stand as it says.

    All reasons are known only of what is told now; of another conclusion, the first one, which is
    in the ledger.
    """
    day, first = entry.facts["verdict_day"], entry.why.partition(": ")[2]
    same = (entry.action, day, first) == (told["outcome"], told["day"], told["reasons"][0])
    reasons = list(told["reasons"]) if same else [first]
    return {
        "outcome": entry.action, "day": day, "reasons": reasons, "ledger": entry.number,
        "at": entry.at,
    }  # fmt: skip


def _note(entry: Entry, told: Mapping[str, Any]) -> str:
    undo = "; `dupn rollback --why TEXT` undoes a ship" if entry.action == Outcome.SHIP else ""
    return (
        f"{told['outcome']} was asked, but entry {entry.number} of the ledger had concluded "
        f"{entry.action} before it was cut off; that was finished{undo}."
    )


def _move(settings: Settings, experiment: Experiment, told: Mapping[str, Any]) -> Entry:
    registry = registry_of(settings)
    entries = registry.look()
    now = dict(entries[-1].aliases) if entries else {}
    why = f"{experiment.id}: {told['reasons'][0]}"
    facts = {
        "experiment": experiment.id,
        "experiment_digest": experiment.digest(),
        "verdict_day": str(told["day"]),
    }
    if told["outcome"] == Outcome.SHIP:
        _, challenger = experiments.require_lines(settings, experiment)
        return registry.move(entries, "ship", crowned(now, challenger.number), why, WHO, facts)
    rival = registry.challenger()
    if rival is not None and rival.tags.get("line") == experiment.challenger:
        now.pop("challenger", None)
    return registry.move(entries, "stop", now, why, WHO, facts)


def read_look(store: Store, experiment: str, day: date) -> ReadOut | None:
    """A look that was kept, or None."""
    place = key(store, experiment, day, "look")
    content = store.get(place)
    if content is None:
        return None
    with reading(place, _again(experiment, day)):
        return ReadOut.model_validate_json(content)


def look_of_now(store: Store, experiment: Experiment, day: date) -> ReadOut | None:
    """A look that was kept, or None, also where a day was read out again since its verdict."""
    content = store.get(key(store, experiment.id, day, "verdict"))
    told = {} if content is None else _told(store, experiment.id, day, content)
    if told.get("readouts") != _readouts(store, experiment, day):
        return None
    return read_look(store, experiment.id, day)
