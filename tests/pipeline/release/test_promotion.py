"""What a release rests on, without a model: quality, force, what was logged, who was champion."""

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from evaluation import filed
from evaluation.results import OfflineReport, TaskResult
from infra.errors import PartitionMissing, RegistryError
from infra.ledger import Entry
from infra.registry import Version
from infra.store import Store
from pipeline import steps
from pipeline.learn.learning import Candidate
from pipeline.quality import judged
from pipeline.release import gating, incumbent, moved_away, promotion, verdicts
from pipeline.release.incumbent import Incumbent
from tests.chain import DAYS, smoke
from training.ancestry import Part

FORCED = Part(day=DAYS[2], forced="it is all right")
MINE = Candidate(
    "dupn-2026-03-04", DAYS[:3], "", learnt=(Part(day=DAYS[0]), Part(day=DAYS[1]), FORCED)
)


@pytest.mark.parametrize("step", ["gate", "bundle", "canary", "register", "promote"])
def test_without_a_model_every_step_says_which_command(tmp_path, step):
    other = smoke(tmp_path, "line=other")
    with pytest.raises(PartitionMissing, match=r"line other .* `dupn --set line=other train"):
        getattr(steps, step)(other, DAYS[2])


def test_a_day_that_did_not_pass_quality_is_said_unless_it_was_forced(tmp_path):
    settings = smoke(tmp_path)
    for day in DAYS:
        for of in judged.GROUPS:
            report = json.dumps({"passed": day == DAYS[0]})
            settings.store.put(judged.report(day, of), report)
    said = gating._quality_failures(settings, MINE, DAYS[3])
    assert said == [
        f"{of} of {day} did not pass quality."
        for of in ("events", "samples")
        for day in (DAYS[1], DAYS[3])
    ]


def test_what_was_forced_is_said_and_not_judged_but_on_the_day_that_judges():
    (check,) = gating._forced(MINE, DAYS[3])
    assert check.passed is None
    assert check.sentence == f"{DAYS[2]} was trained by force: it is all right"
    assert gating._forced(MINE, DAYS[2]) == []


@pytest.mark.parametrize("clicks", [True, False])
def test_of_who_was_trained_for_clicks_they_must_be_measured(tmp_path, clicks):
    untrained = frozenset() if clicks else frozenset(["ctr"])
    settings, mine = smoke(tmp_path), replace(MINE, untrained=untrained, learnt=())
    for of in judged.GROUPS:
        settings.store.put(judged.report(DAYS[3], of), json.dumps({"passed": True}))
    asked = TaskResult.model_construct(name="ctr_auc", questions=9, positives=9, users=9, reason="")
    report = OfflineReport.model_construct(figures=(), tasks=(asked,), counts={"clicks": 9})
    verdict = gating._decide(settings, DAYS[3], mine, report)
    assert verdict.promoted is not clicks
    said = "CTR AUC could not be judged: everything that was shown that day was clicked"
    assert any(said in sentence for sentence in verdict.failed) is clicks


def test_a_verdict_on_another_report_than_there_is_now_does_not_count(tmp_path):
    settings, at = smoke(tmp_path), verdicts.key(MINE.key)
    settings.store.put(filed.report(MINE.key), "{}")
    verdict = {"day": str(DAYS[3]), "promoted": True}
    judged_on = verdict | gating.judged_of(settings, MINE, DAYS[3])
    settings.store.put(at, json.dumps(judged_on))
    assert promotion._passed(settings, DAYS[3], MINE) == judged_on
    settings.store.put(filed.report(MINE.key), "{ }")
    again = rf"evaluated again .* `dupn gate --day {DAYS[3]} --run {MINE.key}` again"
    for ask in (promotion._passed, lambda *given: promotion._breaks(given[0], MINE, given[1])):
        with pytest.raises(RegistryError, match=again):
            ask(settings, DAYS[3], MINE)
    settings.store.put(at, json.dumps(verdict))  # of a release that did not say what it judged
    assert promotion._passed(settings, DAYS[3], MINE) == verdict


@pytest.mark.parametrize("versions", [["2"], ["1", "2"], ["2", "3"]])
def test_what_the_gate_kept_is_promoted_by_its_version_once_it_has_one(
    tmp_path, monkeypatch, versions
):
    """Not by that of its key which it was trained over, by force."""
    settings, keys = smoke(tmp_path), {"1": MINE.key, "2": "dupn-2026-03-03", "3": MINE.key}
    runs = {"1": "before", "2": "", "3": MINE.run_id}
    known = [
        Version(number=one, source="", run_id=runs[one], tags={"run_key": keys[one]})
        for one in versions
    ]
    there = SimpleNamespace(versions=lambda: known, champion=lambda: None, challenger=lambda: None)
    monkeypatch.setattr(promotion, "registry_of", lambda _: there)
    verdict = {"day": str(DAYS[3]), "promoted": False, "outcome": "kept", "checks": []}
    verdict["failed"] = ["It is bad."]
    settings.store.put(verdicts.key(MINE.key), json.dumps(verdict))
    said = {
        "2": f"It is bad. .*, run `dupn register --day {DAYS[3]} --run {MINE.key}`, and then "
        "`dupn promote --version N ",
        "3": "It is bad. .* the same: `dupn promote --version 3 ",
    }
    with pytest.raises(RegistryError, match=said[versions[-1]]):
        promotion._passed(settings, DAYS[3], MINE)


@pytest.mark.parametrize("packed", [{}, {"weights": "a"}, {"weights": "b"}])
def test_a_bundle_of_other_weights_than_were_judged_is_not_promoted(tmp_path, packed):
    settings = smoke(tmp_path)
    with settings.store.partition("bundles", None, MINE.key).publish(**packed) as out:
        out.record([out.write_bytes("recorded.json", b"[]")])
    promotion._require_judged(settings, DAYS[3], MINE, {})  # a verdict of before it said so
    promotion._require_judged(settings, DAYS[3], MINE, {"weights_digest": packed.get("weights")})
    if packed:
        with pytest.raises(RegistryError, match="packed from other weights than the gate judged"):
            promotion._require_judged(settings, DAYS[3], MINE, {"weights_digest": "c"})


def test_a_representation_that_is_no_number_is_told_by_version_and_tag(monkeypatch):
    known = [
        Version(number=n, source="", run_id="", tags={"run_key": n, "representation": tag})
        for n, tag in {"1": "1", "2": "v2"}.items()
    ]
    monkeypatch.setattr(incumbent, "of", lambda *_: None)
    there = SimpleNamespace(versions=lambda: known)
    with pytest.raises(RegistryError, match="version 2 of dupn has the tag representation = 'v2'"):
        promotion._representation(None, there, MINE, DAYS[3])
    with pytest.raises(RegistryError, match="version 2 of dupn"):
        _ = Incumbent("", "", known[1]).representation
    known.pop()
    assert promotion._representation(None, there, MINE, DAYS[3]) == 2
    assert incumbent.representation_of(replace(known[0], tags={})) == 1


@pytest.mark.parametrize(("forced", "speaks"), [((FORCED,), 6), ((), 5)])
def test_a_model_trained_anew_by_force_does_not_speak_as_the_version_of_its_key(
    monkeypatch, forced, speaks
):
    tags = {"run_key": MINE.key, "representation": "5"}
    known = [Version(number="2", source="", run_id="before", tags=tags)]
    monkeypatch.setattr(incumbent, "of", lambda *_: None)
    there, mine = SimpleNamespace(versions=lambda: known), replace(MINE, learnt=forced)
    assert promotion._representation(None, there, mine, DAYS[3]) == speaks


def test_another_bundle_is_logged_anew_and_so_is_one_whose_model_is_gone(tmp_path):
    place, lineage = Store(tmp_path).partition("bundles", None, "r"), {"run": "r", "digest": "d"}
    there, gone = (SimpleNamespace(holds={"models:/m-1": held}.get) for held in (True, False))
    assert gating._logged(place, there, lineage) == ""
    with place.publish(model_uri="models:/m-1", **lineage) as out:
        out.record([out.write_bytes("bundle.json", b"{}")])
    assert gating._logged(place, there, lineage) == "models:/m-1"
    assert gating._logged(place, there, {**lineage, "digest": "e"}) == ""
    assert gating._logged(place, gone, lineage) == ""


def champions(*numbers):
    return [
        Entry(
            number=n, action="promote", aliases={"champion": one}, why=f"as {n}", who="", at="now"
        )
        for n, one in enumerate(numbers, 1)
    ]


def test_a_version_that_was_champion_is_told_of_its_last_end():
    with pytest.raises(RegistryError, match=r"until ledger entry 4 \(promote: as 4\)"):
        promotion._require_new(champions("1", "2", "1", "3"), "1", MINE)


def test_the_child_of_a_version_that_was_rolled_back_is_promoted_only_by_name():
    registry = SimpleNamespace(
        versions=lambda: [
            SimpleNamespace(number=n, tags={"run_key": f"dupn-2026-03-1{n}"}) for n in "123"
        ]
    )
    child = SimpleNamespace(key="dupn-2026-03-14", parent="dupn-2026-03-12")
    moves = champions("1", "2")
    promotion._require_standing(moves, registry, "9", child)  # its parent is in place
    promotion._require_standing(
        champions("1", "2", "3"), registry, "9", child
    )  # a sister replaced it
    back = replace(champions("1", "2", "1")[-1], action="rollback", why="prices were wrong")
    with pytest.raises(RegistryError, match=r"rolled back since \(ledger entry 3: prices were"):
        promotion._require_standing([*moves, back], registry, "9", child)
    again = replace(champions("1", "2", "1", "2")[-1], why="it was not that one")
    promotion._require_standing([*moves, back, again], registry, "9", child)
    rival = replace(
        back, number=4, action="challenge", aliases={"champion": "1", "challenger": "2"}
    )
    promotion._require_standing([*moves, back, rival], registry, "9", child, rival=True)


@pytest.mark.parametrize("ends", ["ship", "stop"])
def test_an_update_of_a_line_that_an_experiment_retired_since_comes_back_only_by_name(ends):
    """Else it would be challenger, and nobody would update it."""
    lines = {"1": "wide", "2": "dupn", "3": "dupn"}
    known = [
        Version(number=n, source="", run_id="", tags={"run_key": f"{line}-2026-03-1{n}"})
        for n, line in lines.items()
    ]
    lost, won = ("wide", {"champion": "2", "previous": "1"}), ("dupn", {"champion": "1"})
    line, after = lost if ends == "ship" else won
    compared = replace(champions("1")[0], aliases={"champion": "1", "challenger": "2"})
    over = replace(compared, number=2, action=ends, aliases=after, why="e: +3 %")
    over = replace(over, facts={"experiment": "e"})
    there = SimpleNamespace(versions=lambda: known, look=lambda: [compared, over])
    night = replace(MINE, key=f"{line}-2026-03-15", parent=f"{line}-2026-03-14")
    promotion._require_line([compared], there, night)
    with pytest.raises(RegistryError, match=rf"2 \({ends}: e: \+3 %\), since which line {line} is"):
        promotion._require_line([compared, over], there, night)
    (check,) = moved_away.checks(there, night)  # the night ends with the champion kept, and green
    assert (check.name, check.passed) == ("retired", False)
    assert "`dupn promote --version N --challenger --why ...`" in check.sentence
    first = replace(night, parent="")
    promotion._require_line([compared, over], there, first)  # the line is begun anew
    named = {"wide": {"champion": "2", "challenger": "1"}, "dupn": compared.aliases}[line]
    promotion._require_line([compared, over, replace(over, aliases=named)], there, night)
    by_hand = replace(over, action="observed", facts={})
    promotion._require_line([compared, by_hand], there, night)


def test_a_candidate_that_was_judged_against_another_is_told_its_day():
    said = rf"Run `dupn evaluate --day {DAYS[3]} --run {MINE.key}`"
    with pytest.raises(RegistryError, match=said):
        promotion._require_same({"champion": "dupn-2026-03-01", "day": str(DAYS[3])}, None, MINE)


def test_who_never_was_champion_or_is_it_now_may_be_promoted():
    promotion._require_new([], "1", MINE)
    promotion._require_new(champions("1", "2"), "3", MINE)
    promotion._require_new(champions("1", "2", "1"), "1", MINE)


def known(number, key, **more):
    """An entry whose champion is that version, trained under that key."""
    return replace(champions(number)[0], facts={"run_key": key}, **more)


def test_the_number_of_another_model_in_another_mlflow_is_not_the_same_version():
    moves = [known("1", "dupn-2026-03-11"), known("2", "dupn-2026-03-12")]
    promotion._require_new(moves, "1", SimpleNamespace(key="dupn-2026-03-15"))
    with pytest.raises(RegistryError, match="was champion until"):
        promotion._require_new(moves, "1", SimpleNamespace(key="dupn-2026-03-11"))
    child = SimpleNamespace(key="dupn-2026-03-16", parent="dupn-2026-03-15")
    there = SimpleNamespace(
        versions=lambda: [Version(number="1", source="", run_id="", tags={"run_key": child.parent})]
    )
    back = known("2", "dupn-2026-03-12", action="rollback")
    promotion._require_standing([moves[0], back], there, "9", child)


def named(**keys):
    """A registry whose aliases name versions of these run keys, without a tag `line`."""
    there = {
        alias: Version(number=str(n), source="", run_id="", tags={"run_key": key})
        for n, (alias, key) in enumerate(keys.items(), 1)
    }
    return SimpleNamespace(
        champion=lambda: there.get("champion"), challenger=lambda: there.get("challenger")
    )


def test_a_champion_whose_tag_line_is_gone_is_of_the_line_of_its_run_key():
    there = named(champion="dupn-2026-03-01", challenger="rival-2026-03-03")
    assert incumbent.is_rival(there, "rival")
    assert not incumbent.is_rival(there, "dupn")


def test_where_nobody_is_champion_the_rival_line_stays_the_rival():
    assert incumbent.is_rival(named(challenger="rival-2026-03-03"), "rival")
    assert not incumbent.is_rival(named(challenger="rival-2026-03-03"), "dupn")
    assert not incumbent.is_rival(named(), "dupn")


def test_a_move_that_was_given_up_made_nobody_champion():
    given_up = known("2", MINE.key, given_up="its challenger was deleted")
    moves = [known("1", "dupn-2026-03-01"), given_up, known("1", "dupn-2026-03-01")]
    promotion._require_new(moves, "2", MINE)
    there = SimpleNamespace(
        versions=lambda: [Version(number="2", source="", run_id="", tags={"run_key": MINE.key})]
    )
    child = SimpleNamespace(key="dupn-2026-03-05", parent=MINE.key)
    back = known("1", "dupn-2026-03-01", action="rollback")
    promotion._require_standing([moves[0], given_up, back], there, "9", child)


def test_nobody_is_held_against_a_move_that_was_given_up_or_a_number_of_another_mlflow(
    tmp_path, monkeypatch
):
    tags = {"1": "dupn-2026-03-08", "2": "dupn-2026-03-09"}
    one = {
        n: Version(number=n, source="", run_id="", tags={"run_key": key}) for n, key in tags.items()
    }
    moves = [known("1", tags["1"]), known("2", tags["2"], given_up="deleted")]
    there = SimpleNamespace(look=lambda: moves, version=one.get)
    monkeypatch.setattr(incumbent, "registry_of", lambda settings: there)
    assert incumbent.of(smoke(tmp_path), "dupn-2026-03-10").key == tags["1"]
    moves[:] = [known("2", "dupn-2026-03-01"), known("1", tags["1"])]
    assert incumbent.of(smoke(tmp_path), tags["1"]) is None
