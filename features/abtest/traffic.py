"""How users are split while an experiment runs: the few small files that serving and read-out read.

`experiments/turns/<number>.json` names the experiments in the order in which they started; one runs
at a time, because only one line can become the champion's. A turn is taken by a conditional write,
so of two starts at once one loses. `experiments/<id>/traffic.json` says salt and shares and is
never changed, `experiments/<id>/ended.json` ends it. Serving reads these three files and nothing
else of an experiment; arms are names of lines.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date
from typing import Any

from pydantic import Field

from infra.config import Config
from infra.errors import RecordCorrupt
from infra.record import as_object, loaded, reading
from infra.store import Store

FOLDER = "experiments"
TURNS = f"{FOLDER}/turns"
_TURN = re.compile(r"(\d{6,})\.json")
"""A copy that somebody put beside one is none."""
RESTORE = "Take it from a backup: users were split by what it says, and no step writes it again."


class Traffic(Config):
    """Who sees what."""

    experiment: str
    """Its id."""
    salt: str
    """Of the hash that assigns users to arms (`features.abtest.assignment`)."""
    shares: dict[str, float] = Field(min_length=1)
    """Line -> share of the users; the order counts."""
    first_day: date | None = None
    """On which users are split; None: as soon as it is known."""


def key(experiment: str, name: str) -> str:
    """Where a small file of an experiment lies."""
    return f"{FOLDER}/{experiment}/{name}.json"


def read(store: Store, place: str) -> dict[str, Any] | None:
    """A small file of an experiment, or None.

    Raises:
        RecordCorrupt: it cannot be read.
    """
    content = store.get(place)
    return None if content is None else loaded(content, place, RESTORE)


def running(store: Store) -> Traffic | None:
    """The split of the experiment that runs now, or None.

    Raises:
        RecordCorrupt: its turn, split or end cannot be read.
    """
    turns = _turns(store)
    if not turns:
        return None
    last = _id(store, turns[-1])
    place = key(last, "traffic")
    content = store.get(place)
    if content is None or ended(store, last) is not None:
        return None
    with reading(place, RESTORE):
        return Traffic.model_validate_json(content)


def started(store: Store) -> list[str]:
    """Ids of all experiments that were ever started, oldest first.

    Raises:
        RecordCorrupt: a turn cannot be read, and so nobody knows whose it was.
    """
    return [_id(store, name) for name in _turns(store)]


def ended(store: Store, experiment: str) -> Mapping[str, Any] | None:
    """How an experiment ended, or None."""
    return read(store, key(experiment, "ended"))


def take_turn(store: Store, traffic: Traffic) -> bool:
    """Let an experiment begin to split the users; False if another one came first."""
    store.put(key(traffic.experiment, "traffic"), traffic.model_dump_json(indent=1))
    number = max(map(_number, _turns(store)), default=0) + 1  # their count, if none were lost
    return store.put_new(f"{TURNS}/{number:06d}.json", json.dumps({"id": traffic.experiment}))


def end(store: Store, experiment: str, facts: Mapping[str, Any]) -> bool:
    """End an experiment; False if it had ended before."""
    return store.put_new(key(experiment, "ended"), json.dumps(facts, indent=1))


def _turns(store: Store) -> list[str]:
    return [name for name in store.names(TURNS) if _TURN.fullmatch(name)]


def _number(name: str) -> int:
    return int(name.removesuffix(".json"))


def _id(store: Store, name: str) -> str:
    try:
        return _named(store, name)
    except RecordCorrupt as error:
        raise RecordCorrupt(f"{error}{_unnamed(store)}.") from None


def _named(store: Store, name: str) -> str:
    remedy = (
        'Take it from a backup, or write {"id": "ID"} into it, where ID is the experiment that no '
        "other turn names: "
    )
    with reading(f"{TURNS}/{name}", remedy):
        return str(as_object(store.get(f"{TURNS}/{name}") or b"")["id"])


def _unnamed(store: Store) -> str:
    """Experiments that may have had a turn that cannot be read; which of several, a person knows.

    One that lost its turn to another has its split here, too.
    """
    named = set()
    for name in _turns(store):
        with suppress(RecordCorrupt):
            named.add(_named(store, name))
    there = [one for one in store.names(FOLDER) if store.get(key(one, "traffic")) is not None]
    return ", ".join(one for one in there if one not in named) or "its folder is gone"
