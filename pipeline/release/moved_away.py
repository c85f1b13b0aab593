"""What the ledger says against a candidate: moves since it was trained that no release undoes.

A version that was champion and was moved away from comes back only by name, and so does a line that
an experiment retired: nobody would update it.
"""

from collections.abc import Sequence

from evaluation.gate import Check
from infra.ledger import Entry
from infra.registry import Registry
from infra.succession import dethroned
from pipeline.learn import learning
from pipeline.learn.learning import Candidate
from pipeline.release.incumbent import by_version, line_in

MOVED_AWAY = WITHDRAWN, RETIRED = "withdrawn", "retired"
"""Checks that say by themselves how a person brings a candidate, or its line, back."""


def checks(registry: Registry, mine: Candidate) -> list[Check]:
    """What the ledger says of a candidate, as trained now, or line that was moved away from."""
    known, entries = learning.versions_of(registry, mine), registry.look()
    found = {
        WITHDRAWN: withdrawn(entries, known[-1].number, mine.key) if known else "",
        RETIRED: retired(entries, registry, mine),
    }
    return [Check(name=name, passed=False, sentence=said) for name, said in found.items() if said]


def withdrawn(entries: Sequence[Entry], number: str, key: str) -> str:
    """By what a version was moved away from that was champion, and how it comes back."""
    away = dethroned(entries, number, key)
    if away is None:
        return ""
    return (
        f"{key} (version {number}) was champion until ledger entry {away.number} ({away.action}: "
        f"{away.why}). To bring it back, name it: `dupn promote --version {number} --why ...`."
    )


def retired(entries: Sequence[Entry], registry: Registry, mine: Candidate) -> str:
    """By which experiment's end an update's line went out of place, and how it comes back.

    A line is updated only while it is in place, so an update was trained before that. A first
    training is not asked: with it somebody begins the line anew.
    """
    ours = {one.number for one in registry.versions() if line_in(one) == mine.line}
    made = [entry for entry in entries if not entry.given_up]
    in_place = [
        place
        for place, one in enumerate(made)
        if ours & {one.aliases.get("champion"), one.aliases.get("challenger")}
    ]
    if not mine.parent or not in_place or in_place[-1] + 1 == len(made):
        return ""
    away = made[in_place[-1] + 1]
    if "experiment" not in away.facts:
        return ""
    return (
        f"{mine.key} was trained before ledger entry {away.number} ({away.action}: {away.why}), "
        f"since which line {mine.line} is neither the champion's nor the challenger's and is "
        "updated no more. To bring the line back, make a version of it challenger: "
        f"{by_version('N', rival=True)}."
    )
