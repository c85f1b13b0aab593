"""Register and promote: a candidate that passed becomes a version, and the champion of its line.

Within the champion's line a promotion moves `champion`; the newest of another line becomes
`challenger`, since replacing the line in production takes an A/B verdict (or a person, by number).
So it does where nobody is champion, as after a hand took the alias away. A person makes any version
of another line challenger, too (`challenge`).
A decision rests on who was champion when it was made: if that changed, or if the version was
champion once and was moved away from, or an experiment has retired its line since, the step refuses
and says how to go on. A version's bundle is published before an alias names it
(`pipeline.release.bundling`).
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from evaluation import filed
from infra import run_key
from infra.errors import PartitionMissing, RegistryError
from infra.ledger import Entry
from infra.record import loaded
from infra.registry import MODEL, Registry, Version
from infra.succession import reigns
from pipeline.learn import learning
from pipeline.learn.learning import Candidate
from pipeline.release import bundling, gating, incumbent, moved_away, standing, verdicts
from pipeline.release.incumbent import Incumbent, registry_of
from pipeline.settings import Settings

NEWEST = 3
"""Parts of the ancestry that a tag spells out."""


def register(settings: Settings, day: date, run: str = "") -> Mapping[str, Any]:
    """Enter the logged model in the registry, once, and publish its bundle to serve from."""
    mine = learning.askable(settings, day, run)
    lineage = gating.packed(settings, mine, day).manifest().lineage  # tags say of which day
    registry = registry_of(settings)
    tags = {
        "run_key": mine.key,
        "line": mine.line,
        "parent": mine.parent,
        "trained_on": f"{mine.days[0]}..{mine.days[-1]}",
        "watermark": str(mine.ancestry.watermark),
        "moments": str(mine.ancestry.moments),
        "ancestry": _ancestry(mine),
        "evaluated_on": day.isoformat(),
        "report": settings.store.address(filed.page(mine.key)),
        "bundle": f"bundles/{mine.key}",
        "representations": f"representations/{mine.key}",
        "representation": str(_representation(settings, registry, mine, day)),
    }
    version = registry.register(lineage["model_uri"], lineage["run_id"], tags)
    bundling.ensure(settings, registry, version.number)
    return {"model": MODEL, "version": version.number, **tags}


def promote(
    settings: Settings, day: date, version: str = "", why: str = "", run: str = ""
) -> Mapping[str, Any]:
    """Move `champion`; without a version, to the candidate's, if the gate let it pass."""
    registry = registry_of(settings)
    if version:
        bundling.ensure(settings, registry, version)
        entries = registry.look()
        entry = registry.promote(version, why or "promoted by hand", after=entries)
        return standing.moved(settings, entry) | _already(entries, entry, version, "champion")
    mine = learning.askable(settings, day, run)
    verdict = _passed(settings, day, mine)
    _require_judged(settings, day, mine, verdict)
    number = register(settings, day, mine.key)["version"]
    entries = registry.look()
    against = incumbent.of(settings, mine.key)
    _require_same(verdict, against, mine)
    _require_new(entries, number, mine)
    _require_line(entries, registry, mine)
    rival = incumbent.is_rival(registry, mine.line)
    _require_standing(entries, registry, number, mine, rival=rival)
    why = why or f"{mine.key} passed the gate on {day}"
    if rival:
        return _beside(settings, registry, number, why, entries)
    entry = registry.promote(number, why, after=entries)
    return standing.moved(settings, entry) | _already(entries, entry, number, "champion")


def challenge(settings: Settings, version: str, why: str) -> Mapping[str, Any]:
    """Make a version `challenger` that the gate did not let pass; the champion stays.

    Raises:
        RegistryError: it is of no line, or of the champion's, or nobody is there to challenge.
    """
    registry = registry_of(settings)
    entries, chosen = registry.look(), registry.found(version)
    _require_rival(registry, chosen)
    bundling.ensure(settings, registry, chosen.number)
    return _beside(settings, registry, chosen.number, why, entries)


def _beside(
    settings: Settings, registry: Registry, number: str, why: str, entries: Sequence[Entry]
) -> Mapping[str, Any]:
    """A version becomes `challenger`, on condition that the ledger is as it was."""
    entry = registry.challenge(number, why, after=entries)
    told = standing.moved(settings, entry) | {"challenger": number}
    told.pop("warning", "")  # of the champion, which did not move
    version = registry.found(number)
    key = version.tags.get("run_key", "")
    if said := incumbent.replaced(settings.store, key, version.run_id):
        told["warning"] = f"{said} {incumbent.instead(key, rival=True)}"
    return told | _already(entries, entry, number, "challenger")


def _already(entries: Sequence[Entry], entry: Entry, number: str, alias: str) -> dict[str, str]:
    """A note where nothing was moved: what is told is of the entry before."""
    if entry.number > len(entries):
        return {}
    return {
        "note": f"version {number} is {alias} already: nothing moved, and why is that of the "
        f"newest entry of the ledger ({entry.action})."
    }


def question(settings: Settings, day: date, run: str = "") -> str:
    """What a person is asked before a promotion: the verdict in a few lines, and the report."""
    mine = learning.candidate(settings, day, run)
    verdict = _passed(settings, day, mine)
    against = verdict.get("champion") or "nobody: it is the first"
    checks = "\n".join(f"- {check['sentence']}" for check in verdict["checks"])
    report = settings.store.address(filed.page(mine.key))
    return (
        f"{mine.key} passed the gate on {day} against {against}.\n\n{checks}\n\nReport: {report}\n"
    )


def _verdict(settings: Settings, day: date, mine: Candidate) -> Mapping[str, Any]:
    """Of the gate, on the report that is there now; one made before it said so is taken as such."""
    key = verdicts.key(mine.key)
    again = f"Run `dupn gate --day {day} --run {mine.key}` again."
    verdict = loaded(gating.kept(settings, key, mine, day), key, again)
    judged = verdict.get("report_digest")
    if judged and judged != gating.judged_of(settings, mine, day)["report_digest"]:
        raise RegistryError(
            f"{mine.key} was evaluated again since the gate judged it, and its report is another "
            f"now. {again}"
        )
    return verdict


def _passed(settings: Settings, day: date, mine: Candidate) -> Mapping[str, Any]:
    verdict = _verdict(settings, day, mine)
    if verdict["day"] != day.isoformat():
        raise PartitionMissing(
            f"the gate judged {mine.key} on {verdict['day']}, not on {day}. "
            f"Run `dupn gate --day {day} --run {mine.key}` first."
        )
    if not verdict["promoted"]:
        raise RegistryError(
            f"the gate did not let {mine.key} pass ({verdict['outcome']}): "
            + " ".join([*verdict["failed"], *_all_the_same(settings, day, mine, verdict)])
        )
    return verdict


def _all_the_same(
    settings: Settings, day: date, mine: Candidate, verdict: Mapping[str, Any]
) -> list[str]:
    """How a person promotes what the gate did not let pass: by its version, once it has one.

    Nothing where a check that failed says it already.
    """
    failed = {check["name"] for check in verdict["checks"] if check["passed"] is False}
    place = settings.store.partition("bundles", None, mine.key)
    other = place.exists() and place.manifest().lineage["day"] != day.isoformat()
    if failed.intersection(moved_away.MOVED_AWAY) or other:
        return []  # or there was nothing to pack on the day, so there is nothing to register
    registry = registry_of(settings)
    made, rival = learning.versions_of(registry, mine), incumbent.is_rival(registry, mine.line)
    what = "make it challenger" if rival else "promote it"
    named = incumbent.by_version(made[-1].number if made else "N", rival=rival)
    if made:
        return [f"To {what} all the same: {named}."]
    return [
        f"To {what} all the same, run `dupn register --day {day} --run {mine.key}`, and then "
        f"{named} with the version that it says."
    ]


def _require_judged(
    settings: Settings, day: date, mine: Candidate, verdict: Mapping[str, Any]
) -> None:
    """The bundle was packed from the weights that the gate judged, where both say which."""
    packed = gating.bundle_of(settings, mine, day).manifest().lineage.get("weights")
    if packed and packed != verdict.get("weights_digest", packed):
        raise RegistryError(
            f"bundles/{mine.key} was packed from other weights than the gate judged: {mine.key} "
            f"was trained again in between. Run `dupn evaluate --day {day} --run {mine.key}`, and "
            "then `dupn bundle` and `dupn gate`, again."
        )


def _require_same(verdict: Mapping[str, Any], against: Incumbent | None, mine: Candidate) -> None:
    then, now = verdict.get("champion", ""), against.key if against else ""
    day = verdict["day"]
    if then != now:
        raise RegistryError(
            f"{mine.key} was judged against {then or 'nobody'}, and now {now or 'nobody'} is in "
            f"place. Run `dupn evaluate --day {day} --run {mine.key}` and `dupn gate` again."
        )


def _require_new(entries: Sequence[Entry], number: str, mine: Candidate) -> None:
    """A version that was champion and was moved away from comes back only by name."""
    if said := moved_away.withdrawn(entries, number, mine.key):
        raise RegistryError(said)


def _require_line(entries: Sequence[Entry], registry: Registry, mine: Candidate) -> None:
    """A line that an experiment has retired comes back only by name."""
    if said := moved_away.retired(entries, registry, mine):
        raise RegistryError(said)


def _require_standing(
    entries: Sequence[Entry],
    registry: Registry,
    number: str,
    mine: Candidate,
    *,
    rival: bool = False,
) -> None:
    """A child of a version that a person rolled back has learnt on what was not wanted.

    Unless somebody has named that version since: to be champion again, or challenger.
    """
    parents = [one.number for one in registry.versions() if one.tags.get("run_key") == mine.parent]
    made = [entry for entry in entries if not entry.given_up]
    now = made[-1].aliases if made else {}
    was = sorted(place for parent in parents for place in reigns(made, parent, mine.parent))
    if not was or {now.get("champion"), now.get("challenger")}.intersection(parents):
        return
    left = made[was[-1] + 1]
    if left.action == "rollback":
        raise RegistryError(
            f"{mine.key} was trained on from {mine.parent}, which was rolled back since (ledger "
            f"entry {left.number}: {left.why}). Its night ends without it when it is run again "
            f"(`dupn run nightly --day {run_key.until(mine.key)}`; in Airflow clear `update` "
            "and what lies after it), and the next one goes on from the champion. To promote this "
            f"one all the same, name its version: {incumbent.by_version(number, rival=rival)}."
        )


def _require_rival(registry: Registry, version: Version) -> None:
    """What is no rival would be compared with nobody, and its nights be taken for the champion's.

    Raises:
        RegistryError: why, and what makes it champion.
    """
    line = incumbent.line_in(version)
    if line and incumbent.is_rival(registry, line):
        return
    if not line:
        why = "it was not registered by dupn, so it is of no line that nights could update"
    elif registry.champion() is None:
        why = "nobody is champion whom it could challenge"
    else:
        why = f"it is of the champion's own line, {line}, and a challenger is of another"
    raise RegistryError(
        f"version {version.number} of {MODEL} was not made challenger: {why}. To make it champion: "
        f"{incumbent.by_version(version.number, rival=False)}."
    )


def _representation(settings: Settings, registry: Registry, mine: Candidate, day: date) -> int:
    """The version of the 256 dimensions: kept within a line, a new one where heads would break."""
    known, same = registry.versions(), learning.versions_of(registry, mine)
    if same and "representation" in same[-1].tags:
        return incumbent.representation_of(same[-1])
    against = incumbent.of(settings, mine.key)
    if against is not None and against.line == mine.line and not _breaks(settings, mine, day):
        return against.representation
    return max(map(incumbent.representation_of, known), default=0) + 1


def _breaks(settings: Settings, mine: Candidate, day: date) -> bool:
    """Whether heads frozen on the champion's dimensions would break, or nobody could compare."""
    verdict = _verdict(settings, day, mine)
    return any(
        check["name"].startswith(("frozen", "comparison")) and check["passed"] is False
        for check in verdict["checks"]
    )


def _ancestry(mine: Candidate) -> str:
    """Short: MLflow bounds the length of a tag."""
    return json.dumps(
        {
            "digest": mine.ancestry.digest,
            "parts": len(mine.ancestry.parts),
            "newest": [part.plain() for part in mine.ancestry.parts[-NEWEST:]],
        }
    )
