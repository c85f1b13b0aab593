"""Who is champion after whom: pure readings of the aliases and of the ledger's entries."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from infra.ledger import Entry

OBSERVED = "observed"
"""The action of a move that was made elsewhere and is only entered."""


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


def rolled_back(now: Mapping[str, str], number: str) -> dict[str, str]:
    """The aliases once a version is champion again: the champion, if there is one, `previous`."""
    aliases = {**now, "champion": number}
    aliases.pop("previous", None)
    if "champion" in now:
        aliases["previous"] = now["champion"]
    return aliases


def before(entries: Sequence[Entry]) -> list[str]:
    """Who was champion before: whom a rollback goes to, and who is next if that one is gone.

    `previous` says it, whoever set it. But a hand that moves `champion` alone leaves `previous` as
    it was, one champion too old: then it is who served until that move. Versions of the champion's
    own model (of the MLflow run that trained it) are passed over: they answer as it does.
    """
    now = entries[-1].aliases if entries else {}
    made = [entry for entry in entries if not entry.given_up]
    run = entries[-1].facts.get("run_id") if entries else None
    same = [one.aliases.get("champion") for one in made if run and one.facts.get("run_id") == run]
    champions = [entry.aliases.get("champion") for entry in reversed(made)]
    served = [number for number in champions if number not in same]
    said = None if now.get("previous") in same else now.get("previous")
    were = [*served, said] if _left_behind(made) else [said, *served]
    return [one for one in dict.fromkeys(were) if one and one != now.get("champion")]


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
