"""Who was champion when, and why: an append-only ledger with a conditional append.

`ledger/<number>.json` is created only if it is absent; of two moves at once one finds the number
taken and loses whole. `ledger/<number>.done` follows once the aliases were moved; an entry
without it was cut off in between and is finished at the next look.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

from infra.errors import RegistryError
from infra.store import Store


class LedgerTaken(RegistryError):
    """Another move came first; nothing was changed."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One move of the aliases: what they point to from now on (absent: the alias is removed)."""

    number: int
    action: str
    aliases: Mapping[str, str]
    why: str
    who: str
    at: str
    facts: Mapping[str, str] = field(default_factory=dict)
    done: bool = False


class Ledger:
    """The moves, oldest first, under `ledger/` of the store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def entries(self) -> list[Entry]:
        """Every move; grows by one a promotion."""
        names = set(self.store.names("ledger"))
        found = []
        for name in sorted(name for name in names if name.endswith(".json")):
            content = json.loads(self.store.get(f"ledger/{name}") or b"{}")
            done = name.replace(".json", ".done") in names
            found.append(Entry(**{**content, "done": done}))
        return found

    def count(self) -> int:
        """How many moves there are, without reading them."""
        return sum(name.endswith(".json") for name in self.store.names("ledger"))

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
        content.pop("done")
        if not self.store.put_new(f"ledger/{entry.number:08d}.json", json.dumps(content, indent=1)):
            raise LedgerTaken(
                f"ledger entry {entry.number} was taken by another move at the same time. "
                "Nothing was changed; look at `dupn log` and decide again."
            )
        return entry

    def finish(self, entry: Entry) -> None:
        """Note that the aliases now stand as the entry says."""
        self.store.put_new(f"ledger/{entry.number:08d}.done", "")
