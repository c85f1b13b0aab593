"""Who is champion after whom: pure readings of the aliases and of the ledger's entries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from infra.ledger import Entry
from infra.registered import ALIASES

OBSERVED = "observed"
"""The action of a move that was made elsewhere and is only entered."""
ROLLBACK = "rollback"


def changes(then: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which aliases moved, from where to where."""
    names = [name for name in ALIASES if then.get(name) != now.get(name)]
    return ", ".join(f"{one} {then.get(one, 'none')} -> {now.get(one, 'none')}" for one in names)


def crowned(now: Mapping[str, str], number: str, *, again: bool = False) -> dict[str, str]:
    """The aliases once a version is champion: the old champion is `previous`.

    Args:
        now: the aliases before.
        number: of the version.
        again: it is the champion's very model, released again: `previous` stays another one.
    """
    aliases = {**now, "champion": number}
    if "champion" in now and not again:
        aliases["previous"] = now["champion"]
    if now.get("challenger") == number:
        aliases.pop("challenger")
    return aliases


def rolled_back(now: Mapping[str, str], number: str, further: str = "") -> dict[str, str]:
    """The aliases once a version is champion again.

    Args:
        now: the aliases before.
        number: of the version.
        further: whom the next rollback would go to, who is `previous`; empty: nobody is.
    """
    aliases = {**now, "champion": number}
    aliases.pop("previous", None)
    if further:
        aliases["previous"] = further
    return aliases


def before(entries: Sequence[Entry]) -> list[str]:
    """Who was champion before: whom a rollback goes to, and who is next if that one is gone.

    `previous` says it, whoever set it. But a hand that moves `champion` alone leaves `previous` as
    it was, one champion too old: then it is who served until that move. Versions of the champion's
    own model (of the MLflow run that trained it) are passed over: they answer as it does. So are
    those that a rollback left, so that each goes one further and none back to what was bad.
    """
    now = entries[-1].aliases if entries else {}
    made = [entry for entry in entries if not entry.given_up]
    reigns = _Reigns.of(entries)
    served, said = reversed(reigns.served), now.get("previous")
    were = [*served, said] if _left_behind(made) else [said, *served]
    passed_over = reigns.left | ({_model(entries[-1])} if "champion" in now else set())
    return [
        one
        for one in dict.fromkeys(were)
        if one and one != now.get("champion") and reigns.models.get(one, one) not in passed_over
    ]


def left(entries: Sequence[Entry]) -> list[str]:
    """Versions that a rollback went away from, and that nobody made champion again since."""
    reigns = _Reigns.of(entries)
    return [one for one, model in reigns.models.items() if model in reigns.left]


def is_it(entries: Sequence[Entry], number: str, key: str) -> bool:
    """Whether the version of that number and run key may be whom the entries had as champion.

    Another MLflow counts from 1 again, so that a number alone says little.
    """
    had = [one.facts.get("run_key") for one in entries if one.aliases.get("champion") == number]
    return not had or key in had or None in had


def reigns(entries: Sequence[Entry], number: str, key: str) -> list[int]:
    """Places of the entries by which that version became or stayed champion."""
    return [
        place
        for place, one in enumerate(entries)
        if one.aliases.get("champion") == number and is_it([one], number, key)
    ]


def dethroned(entries: Sequence[Entry], number: str, key: str) -> Entry | None:
    """The move away from that version, if it was champion and is it no more."""
    made = [entry for entry in entries if not entry.given_up]
    was = reigns(made, number, key)
    return made[was[-1] + 1] if was and was[-1] + 1 < len(made) else None


def _left_behind(entries: Sequence[Entry]) -> bool:
    """Whether the champion came by hand, and `previous` has not been moved with him or since.

    Where a hand took the alias away and nobody is champion, `previous` stands: whoever was champion
    shall not serve.
    """
    if not entries or "champion" not in entries[-1].aliases:
        return False
    for later, earlier in pairwise(reversed(entries)):
        if later.aliases.get("previous") != earlier.aliases.get("previous"):
            return False
        if later.aliases.get("champion") != earlier.aliases.get("champion"):
            return later.action == OBSERVED
    return False


@dataclass
class _Reigns:
    """The entries told anew, up to their last."""

    served: list[str] = field(default_factory=list)
    """The champion, and under it who was before; a rollback takes off who served since then."""
    left: set[str] = field(default_factory=set)
    """Models that a rollback went away from."""
    models: dict[str, str] = field(default_factory=dict)
    """Of every version that was champion."""

    now: Mapping[str, str] = field(default_factory=dict)
    """The aliases."""

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> "_Reigns":
        reigns, half = cls(), ""
        for entry in entries:
            rolled = entry.action == ROLLBACK
            if entry.given_up:  # its champion may have been made, and not what came after
                half = entry.aliases.get("champion", "") if rolled else ""
                continue
            made_half = entry.action == OBSERVED and entry.aliases.get("champion") == half
            reigns._move(entry, back=rolled or made_half)
            half = ""
        return reigns

    def _move(self, entry: Entry, *, back: bool) -> None:
        before, self.now = self.now, entry.aliases
        was, number = before.get("champion"), self.now.get("champion")
        named = self.now.get("previous")
        if entry.action == OBSERVED and named and named != before.get("previous"):
            self.left.discard(self.models.get(named, named))
        if number is None or number == was:
            return
        if back and was is not None:
            self.left.add(self.models[self.served.pop()])
        if back and number in self.served:
            del self.served[len(self.served) - self.served[::-1].index(number) :]
        if self.served[-1:] != [number]:
            self.served.append(number)
        self.models[number] = _model(entry)
        self.left.discard(_model(entry))


def _model(entry: Entry) -> str:
    """What answers as the entry's champion does: its MLflow run, or the version where it has none.

    Empty where nobody is champion.
    """
    return entry.facts.get("run_id") or entry.aliases.get("champion", "")
