"""What is packed is what was evaluated; where nothing can be, the gate has its say."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from infra.errors import PartitionMissing
from infra.registry import MODEL
from pipeline import steps
from pipeline.release import gating, recording
from pipeline.release.incumbent import registry_of
from serving import bundle as served
from tests.chain import DAYS, EVALUATED, smoke

KEY = f"dupn-{DAYS[-2]}"


@pytest.fixture
def home(chain, tmp_path):
    """A copy of the chain's home."""
    return smoke(Path(shutil.copytree(chain.settings.home, tmp_path / "home")))


def test_without_a_moment_to_record_the_gate_has_its_say_where_it_is_a_no(home, monkeypatch):
    """Else a night of few pages would fail before anybody heard of "not enough evidence"."""
    monkeypatch.setattr(recording, "record", lambda *_: [])
    place = home.store.partition("bundles", None, KEY)
    before = place.manifest()
    sure, few = (smoke(home.home, f"gate.min_positives={n}") for n in (1, 10**6))
    assert gating.gate(sure, EVALUATED)["promoted"]
    with pytest.raises(
        PartitionMissing, match=r"no moment .* to record.* --leave-out` ends a night"
    ):
        steps.bundle(sure, EVALUATED)
    told = steps.bundle(few, EVALUATED)
    assert (told["run"], told["recorded"]) == (KEY, 0)
    assert told["note"].endswith(f"promotes nobody. {gating.UNPACKED}")
    assert steps.gate(few, EVALUATED)["outcome"] == "not enough evidence"
    assert place.manifest() == before


def test_so_it_has_where_the_no_is_a_persons(home, monkeypatch):
    """Version 1 was moved away from, so no figures bring it back."""
    monkeypatch.setattr(recording, "record", lambda *_: [])
    sure = smoke(home.home, "gate.min_positives=1")
    with pytest.raises(PartitionMissing, match="no moment"):
        steps.bundle(sure, EVALUATED)
    registry, first = registry_of(home), registry_of(home).version("1")
    others = {**first.tags, "run_key": "another"}
    registry.client.create_model_version(MODEL, first.source, "another", tags=others)
    registry.promote("2", "a better one")
    assert steps.bundle(sure, EVALUATED)["note"].endswith(gating.UNPACKED)
    assert not steps.gate(sure, EVALUATED)["promoted"]


def test_tables_of_another_day_than_the_evaluations_are_not_registered(home):
    place = home.store.partition("bundles", None, KEY)
    lineage = dict(place.manifest().lineage)
    other = {**lineage, "day": str(EVALUATED - timedelta(days=1))}
    with place.publish(**other) as out:
        out.record([out.write_bytes(served.RECORDED, b"[]", rows=1)])
    versions = len(registry_of(home).versions())
    for step in (steps.register, steps.canary):
        with pytest.raises(
            PartitionMissing,
            match=rf"has the tables of {other['day']}, not of {EVALUATED}. Run `dupn bundle --day",
        ):
            step(home, EVALUATED)
    assert len(registry_of(home).versions()) == versions
