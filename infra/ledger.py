"""Who was champion when, and why: an append-only ledger with a conditional append.

`ledger/<number>.json` is created only if it is absent; of two moves at once one finds the number
taken and loses whole. `ledger/<number>.done` follows once the aliases were moved; an entry
without it was cut off in between and is finished at the next look. One that can never be made has
`ledger/<number>.given-up` beside it, which says why. A rollback has work to do after its aliases;
`ledger/<number>.ended` follows that, and one without it is finished by the next rollback.
"""

import json
import re
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from infra.errors import RegistryError
from infra.record import as_object, reading
from infra.store import Store

_NAME = re.compile(r"(\d{8,})\.(?:json|done|given-up|ended)")
"""Of a file of an entry; a copy that somebody put beside it is none."""


_MOVE = "move"
"""Among the facts in a file, an id that no other move has: by it the writer knows it for its own.
Releases that know of none read it as a fact."""


class LedgerTaken(RegistryError):
    """Another move came first; nothing was changed."""


class LedgerBroken(RegistryError):
    """An entry is gone that others were made after."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One move of the aliases: what they point to from now on (absent: the alias is removed).

    `done` is how far it got, not that it was made: one that could not be made is `given_up`, with
    the reason. `ended` is asked of rollbacks only.
    """

    number: int
    action: str
    aliases: Mapping[str, str]
    why: str
    who: str
    at: str
    facts: Mapping[str, str] = field(default_factory=dict)
    done: bool = False
    given_up: str = ""
    ended: bool = False


class Ledger:
    """The moves, oldest first, under `ledger/` of the store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._known: dict[tuple[str, int, datetime], dict[str, Any]] = {}

    def entries(self) -> list[Entry]:
        """Every move; grows by one a promotion.

        Raises:
            LedgerBroken: the file of one is gone: no move can be entered, and none is decided on
                what is left.
            RecordCorrupt: the file of one cannot be read.
        """
        names = self._names()
        newest, found = _newest(names), []
        for name in _entries(names):
            done = name.replace(".json", ".done") in names
            why = name.replace(".json", ".given-up")
            given_up = (self.store.get(f"ledger/{why}") or b"").decode() if why in names else ""
            ended = name.replace(".json", ".ended") in names
            notes = {"done": done, "given_up": given_up, "ended": ended}
            with reading(f"ledger/{name}", _remedy(name, newest)):
                found.append(Entry(**{**self._content(name, *names[name]), **notes}))
        return found

    def _names(self) -> dict[str, tuple[int, datetime]]:
        """The files, among them one of each entry."""
        names = self.store.listing("ledger")
        if _gone(names):  # of two that came meanwhile a listing may have the later one alone
            names = self.store.listing("ledger")
        if gone := _gone(names):
            raise LedgerBroken(f"ledger/{gone}, an entry, is gone. {_remedy(gone, _newest(names))}")
        return names

    def _content(self, name: str, size: int, written: datetime) -> dict[str, Any]:
        """What an entry says: nobody writes one twice, so it is read once, unless it is another."""
        known = (name, size, written)
        if known not in self._known:
            content = as_object(self.store.get(f"ledger/{name}") or b"")
            content.get("facts", {}).pop(_MOVE, None)
            self._known[known] = content
        return self._known[known]

    def count(self) -> int:
        """How many moves there are, without reading them."""
        return len(_entries(self.store.names("ledger")))

    def append(
        self,
        after: Sequence[Entry],
        *,
        action: str,
        aliases: Mapping[str, str],
        why: str,
        who: str = "dupn",
        facts: Mapping[str, str] | None = None,
    ) -> Entry:
        """Add a move, on condition that `after` are still all the moves.

        Raises:
            LedgerTaken: another move came first; nothing was changed.
        """
        entry = Entry(
            number=len(after) + 1,
            action=action,
            aliases=dict(aliases),
            why=why,
            who=who,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            facts=dict(facts or {}),
        )
        content = asdict(entry)
        content["facts"][_MOVE] = uuid.uuid4().hex
        del content["done"], content["given_up"], content["ended"]
        if not self.store.put_new(f"ledger/{entry.number:08d}.json", json.dumps(content, indent=1)):
            raise LedgerTaken(
                f"ledger entry {entry.number} was taken by another move at the same time. "
                "Nothing was changed; look at `dupn log` and decide again."
            )
        return entry

    def finish(self, entry: Entry, given_up: str = "") -> None:
        """Note that the aliases now stand as the entry says, or why they never will."""
        if given_up:
            self.store.put_new(f"ledger/{entry.number:08d}.given-up", given_up)
        self.store.put_new(f"ledger/{entry.number:08d}.done", "")

    def end(self, entry: Entry) -> None:
        """Note that all that belongs to a rollback is in place, not only its aliases."""
        self.store.put_new(f"ledger/{entry.number:08d}.ended", "")


def _entries(names: Collection[str]) -> list[str]:
    return sorted(name for name in names if _NAME.fullmatch(name) and name.endswith(".json"))


def _newest(names: Collection[str]) -> int:
    return max((int(found[1]) for name in names if (found := _NAME.fullmatch(name))), default=0)


def _gone(names: Collection[str]) -> str:
    """The first entry of which there is no file, though there is of it or of a later one."""
    expected = (f"{number:08d}.json" for number in range(1, _newest(names) + 1))
    return next((name for name in expected if name not in names), "")


def _remedy(name: str, newest: int) -> str:
    """What to do about an entry that is gone or cannot be read."""
    if int(name[:8]) == newest:
        return (
            f"Take it from a backup; without one, remove ledger/{name[:8]}.*: the next look "
            "(`dupn status`) enters where the aliases stand."
        )
    return (
        "Others were made after it. Take it from a backup; without one, move the folder ledger out "
        "of the home: a new one begins with who is champion, and no rollback goes back beyond it."
    )
