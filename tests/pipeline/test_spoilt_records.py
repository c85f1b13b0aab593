"""Small files of a home that a power loss left empty: each is named with what makes it again."""

import json
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation import filed, nights, report
from evaluation.watch import Night
from features.abtest import traffic
from infra.errors import PartitionCorrupt, RecordCorrupt
from pipeline.abtest import experiments, verdicts
from pipeline.jobs import quality
from pipeline.learn import recipes
from pipeline.learn.learning import Candidate
from pipeline.nights import night_page, nightly, volumes
from pipeline.quality import judged
from pipeline.release import gating, promotion
from pipeline.release import verdicts as gates
from pipeline.upkeep import backfill
from serving import bundle, served
from tests import first_night
from tests.first_night import DAY, ONE, published

KEY = f"dupn-{DAY}"
MINE = Candidate(key=KEY, days=(DAY,), run_id="")
GATE, REPORT = gates.key(KEY), filed.report(KEY)
NIGHT = f"{filed.nightly('dupn')}/dt={DAY}/night.json"
JUDGED = judged.report(DAY, "events")
LOOK, VERDICT = (f"{filed.experiment('e')}/dt={DAY}/{name}.json" for name in ("look", "verdict"))
DECLARED, TRAFFIC, ENDED = (f"experiments/e/{n}.json" for n in ("experiment", "traffic", "ended"))
TURN = f"{traffic.TURNS}/000001.json"
E = SimpleNamespace(id="e")

AGAIN = {
    "gate": f"`dupn gate --day {DAY} --run {KEY}` again",
    "evaluate": f"`dupn evaluate --day {DAY} --run {KEY}` again",
    "quality": f"`dupn quality --day {DAY} --of events` again",
    "verdict": f"`dupn abtest verdict --id e --day {DAY}` again",
}
READ = [
    (NIGHT, lambda s: nightly.read(s, DAY), f"Remove it, .*`dupn run nightly --day {DAY}`"),
    (GATE, lambda s: promotion.question(s, DAY, KEY), AGAIN["gate"]),
    (GATE, lambda s: gates.outcome(s.store, KEY), f"`dupn gate --day D --run {KEY}` again"),
    (REPORT, lambda s: gating.report_on(s, MINE, DAY), AGAIN["evaluate"]),
    (REPORT, lambda s: report.read(s.store, KEY), f"`dupn evaluate --day D --run {KEY}` again"),
    (JUDGED, lambda s: judged.objection(s.store, DAY, "events"), AGAIN["quality"]),
    (JUDGED, lambda s: list(volumes.figures(s.store, DAY, KEY)), AGAIN["quality"]),
    (LOOK, lambda s: verdicts.read_look(s.store, "e", DAY), AGAIN["verdict"]),
    (VERDICT, lambda s: verdicts.look_of_now(s.store, E, DAY), AGAIN["verdict"]),
    (TURN, lambda s: traffic.running(s.store), "from a backup"),
    (TRAFFIC, lambda s: traffic.running(s.store), "from a backup"),
    (ENDED, lambda s: traffic.ended(s.store, "e"), "from a backup"),
    (DECLARED, lambda s: recipes.declared(s.store, "dupn"), "from a backup"),
    (DECLARED, lambda s: experiments.find(s.store, "e"), "from a backup"),
]


@pytest.fixture
def settings(tmp_path):
    settings = first_night.home(tmp_path)
    settings.store.put(TURN, json.dumps({"id": "e"}))
    settings.store.put(TRAFFIC, "{}")
    return settings


@pytest.mark.parametrize("content", [b"", b'{"day": "2026', b"null"], ids=["empty", "cut", "null"])
@pytest.mark.parametrize(("key", "read", "said"), READ, ids=[str(n) for n in range(len(READ))])
def test_it_is_named_with_what_makes_it_again(settings, monkeypatch, key, read, said, content):
    monkeypatch.setattr(promotion.learning, "candidate", lambda *_: MINE)
    settings.store.put(key, content)
    with pytest.raises(RecordCorrupt, match=rf"^{key} cannot be read \(.*\)\. .*{said}"):
        read(settings)


@pytest.mark.parametrize(
    "read", [judged.objection, judged.stopped, lambda s, *_: volumes._quality(s, DAY)]
)
def test_a_report_of_quality_that_does_not_say_whether_it_passed_is_named(settings, read):
    settings.store.put(JUDGED, b"{}")
    with pytest.raises(RecordCorrupt, match=rf"does not say 'passed'\)\. Run {AGAIN['quality']}"):
        read(settings.store, DAY, "events")


def test_a_report_of_quality_without_figures_is_named(settings):
    settings.store.put(JUDGED, b'{"passed": true}')
    with pytest.raises(RecordCorrupt, match=rf"does not say 'figures'\)\. Run {AGAIN['quality']}"):
        volumes._quality(settings.store, DAY)


def test_a_night_whose_report_of_quality_cannot_be_read_has_its_row(settings):
    nightly.begin(settings, DAY, "r1")
    night = Night(day=str(DAY - ONE), run=KEY, parent="", figures=())
    nights.put(settings.store, "dupn", night)
    settings.store.put(JUDGED, b"")
    assert night_page.draw(settings)
    assert f"{DAY}".encode() in settings.store.get(f"{filed.nightly('dupn')}/{nights.PAGE}")


def test_a_night_whose_record_was_removed_as_it_says_begins_and_ends(settings):
    nightly.begin(settings, DAY, "r1")
    nightly.begin(settings, DAY, "r2", take_over=True)
    settings.store.put(NIGHT, b"")
    with pytest.raises(RecordCorrupt, match="and any turn-"):
        nightly.begin(settings, DAY, "r3")
    for file in Path(settings.home, NIGHT).parent.iterdir():
        file.unlink()
    nightly.begin(settings, DAY, "r3")
    assert nightly.end(settings, DAY, "r3", "promote").state == "ended"


def test_a_backfill_whose_note_is_empty_counts_as_one_that_has_not_ended(settings, caplog):
    settings.store.put(f"{backfill.NOTES}/{DAY}.json", b"")
    settings.store.put(f"{backfill.NOTES}/{DAY + ONE}.json", json.dumps({"open": False}))
    assert backfill.unfinished(settings.store) == {DAY: DAY}
    assert f"{backfill.NOTES}/{DAY}.json cannot be read" in caplog.text


def test_figures_of_a_night_that_cannot_be_read_hide_no_other_night(settings, caplog):
    for day in (DAY, DAY + ONE):
        night = Night(day=day.isoformat(), run=f"dupn-{day}", parent="", figures=())
        nights.put(settings.store, "dupn", night)
    settings.store.put(nights.figures_key(settings.store, "dupn", f"{DAY}"), b"")
    found = nights.read(settings.store, "dupn", date.max, 9)
    assert [one.day for one in found] == [str(DAY + ONE)]
    assert f"`dupn watch --day {DAY}` writes it again" in caplog.text


def test_a_night_whose_record_cannot_be_read_has_its_row(settings):
    store = settings.store
    night = Night(day=str(DAY), run=KEY, parent="", figures=())
    nights.put(store, "dupn", night)
    store.put(nightly.key(settings, DAY + ONE), b"")
    assert night_page.draw(settings)
    assert b"its record cannot be read" in store.get(f"{filed.nightly('dupn')}/{nights.PAGE}")


def test_files_of_partitions_that_are_no_json_spoil_the_partition(settings, tmp_path):
    published(settings, DAY, "quality", "events")  # its one file is no tally
    with pytest.raises(PartitionCorrupt, match=rf"quality/dt={DAY}/events/.* cannot be read"):
        quality.read(settings.store.partition("quality", DAY, "events"))
    with pytest.raises(PartitionCorrupt, match=r"bundle\.json cannot be read .*`dupn bundle`"):
        bundle.described(b"", "bundle.json")
    (tmp_path / served.CHECKSUMS).write_bytes(b"[]")
    with pytest.raises(PartitionCorrupt, match=r"no JSON object\)\. Remove "):
        served.load(tmp_path, tmp_path, served.Name(version="1"))
