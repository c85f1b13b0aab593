"""Versions come in whole and heard, or not at all."""

import errno
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from infra.errors import (
    PartitionCorrupt,
    PartitionMissing,
    RegistryError,
    RegistryUnavailable,
    StoreError,
)
from serving import items, user_graph
from serving import served as disassembled
from serving.served import Name
from serving.snapshot import Past
from serving.user_part import OnnxPart, Runtime, TorchPart
from serving.versions import Versions
from tests.chain import logged_bundle

_NOBODY = np.empty(0, np.int32)
_ONE = np.array([2], np.int32)


@dataclass
class Shelf:
    """A source whose arms point where the test says."""

    bundles: dict[str, Path]
    arms: dict[str, str]
    fetched: list[str] = field(default_factory=list)
    down: bool = False
    away: Exception | None = None
    stamps: dict[str, str] = field(default_factory=dict)

    def wanted(self):
        if self.down:
            raise RegistryError("MLflow does not answer")
        return dict(self.arms)

    def fetch(self, number):
        self.fetched.append(number)
        if self.away:
            raise self.away
        return Name(version=number, line="dupn"), self.bundles[number]

    def stamp(self, number):
        return self.stamps.get(number, "")


@pytest.fixture
def shelf(chain, tmp_path):
    good = logged_bundle(chain)
    liar, broken = tmp_path / "liar", tmp_path / "broken"
    shutil.copytree(good, liar)
    recorded = json.loads((liar / "recorded.json").read_text())
    recorded[0]["ctr"][0] += 0.01
    (liar / "recorded.json").write_text(json.dumps(recorded))
    shutil.copytree(good, broken)
    (broken / "model.pt").write_bytes(b"half a file")
    return Shelf({"1": good, "2": good, "3": liar, "4": broken}, {"champion": "1"})


@pytest.fixture
def versions(shelf, tmp_path):
    return Versions(shelf, tmp_path / "versions", 1e-4)


def version(versions, arm="champion"):
    return versions.served[arm].name.version


def test_a_moved_alias_is_taken_over(versions, shelf):
    assert versions.refresh()
    assert version(versions) == "1"
    shelf.arms["champion"] = "2"
    before = versions.served["champion"]
    assert versions.refresh()
    assert version(versions) == "2"
    assert [folder.name for folder in versions.work.iterdir()] == ["v2"]
    assert before.answer(before.moment(0, Past.empty(), None, _NOBODY), _ONE).ranked.ctr.shape
    assert before.name.version == "1"  # who holds the old one keeps it


def test_rolling_back_is_the_same_path(versions, shelf):
    for number in ("1", "2", "1"):
        shelf.arms["champion"] = number
        versions.refresh()
        assert version(versions) == number


def test_what_has_not_moved_is_not_loaded_again(versions, shelf):
    versions.refresh()
    assert not versions.refresh()
    assert shelf.fetched == ["1"]


def test_a_version_of_another_time_zone_is_refused_with_what_to_do(shelf, tmp_path):
    there = Versions(shelf, tmp_path / "versions", 1e-4, zone="Asia/Shanghai")
    assert not there.refresh()
    assert "midnight in UTC, those of this service in Asia/Shanghai" in there.refused["1"]
    assert "dupn --set dataset=NAME serve" in there.refused["1"]
    here = Versions(shelf, tmp_path / "versions", 1e-4, zone="UTC")
    assert here.refresh()


@pytest.mark.parametrize(("bad", "why"), [("3", "differ by 0.01"), ("4", "Error")])
def test_a_bad_version_is_refused_once_and_the_old_one_serves(versions, shelf, bad, why):
    versions.refresh()
    shelf.arms["champion"] = bad
    for _ in range(2):
        assert not versions.refresh()
        assert version(versions) == "1"
    assert why in versions.refused[bad]
    assert shelf.fetched == ["1", bad]


@pytest.mark.parametrize(
    "error",
    [
        StoreError("the disk is full"),
        PartitionMissing("not published yet"),
        RegistryUnavailable("MLflow is silent"),
        OSError(errno.ENOSPC, "no space"),
        TimeoutError("the store is slow"),
        RuntimeError("what a client of some store says of a lost connection"),
    ],
)
def test_what_fails_around_a_version_is_tried_again_ever_more_rarely(
    versions, shelf, error, caplog
):
    shelf.away = error
    tried = []
    for _ in range(200):
        versions.refresh()
        tried.append(len(shelf.fetched))
    assert [tried.index(n) for n in range(1, 8)] == [0, 1, 3, 7, 15, 31, 63]
    assert tried[-1] == 11  # every 32nd look from then on
    assert "nothing is served" in caplog.text
    shelf.away = None
    for _ in range(32):
        versions.refresh()
    assert version(versions) == "1"
    assert versions.refused == {}


def test_a_bad_version_whose_bundle_is_published_anew_is_tried_at_once(versions, shelf):
    shelf.arms["champion"] = "3"
    versions.refresh()
    versions.refresh()
    shelf.bundles["3"], shelf.stamps["3"] = shelf.bundles["1"], "anew"
    assert versions.refresh()
    assert version(versions) == "3"
    assert shelf.fetched == ["3", "3"]


def test_a_served_version_that_is_published_anew_is_taken_over(versions, shelf):
    shelf.stamps["1"] = "one day"
    versions.refresh()
    first = versions.served["champion"]
    assert not versions.refresh()
    shelf.stamps["1"] = "the next"
    assert versions.refresh()
    assert versions.served["champion"] is not first
    assert not versions.refresh()
    assert len(shelf.fetched) == 2


def test_what_was_published_anew_and_is_bad_leaves_the_old_one_serving(versions, shelf):
    shelf.stamps["1"] = "one day"
    versions.refresh()
    first, shelf.bundles["1"], shelf.stamps["1"] = (
        versions.served["champion"], shelf.bundles["3"], "the next",
    )  # fmt: skip
    assert not versions.refresh()
    assert versions.served["champion"] is first
    assert "recorded" in versions.refused["1"]
    assert not versions.refresh()
    assert len(shelf.fetched) == 2


def test_a_bad_version_is_tried_again_when_an_alias_comes_back_to_it(versions, shelf):
    for number in ("3", "1", "3"):
        shelf.arms["champion"] = number
        versions.refresh()
    assert shelf.fetched == ["3", "1", "3"]
    assert version(versions) == "1"


def test_a_silent_registry_changes_nothing(versions, shelf):
    versions.refresh()
    shelf.down = True
    assert not versions.refresh()
    assert version(versions) == "1"


def test_a_bundle_that_cannot_be_read_keeps_no_other_arm_from_moving(versions, shelf, monkeypatch):
    def stamp(number):
        if number == "1":
            raise PermissionError(errno.EACCES, "not yours")
        return ""

    shelf.arms["rival"] = "1"
    versions.refresh()
    monkeypatch.setattr(shelf, "stamp", stamp)
    shelf.arms["champion"] = "2"
    assert versions.refresh()
    assert (version(versions), version(versions, "rival")) == ("2", "1")


def test_two_arms_share_a_version_that_both_name(versions, shelf):
    shelf.arms = {"champion": "1", "challenger": "1"}
    versions.refresh()
    assert versions.served["champion"] is versions.served["challenger"]
    assert shelf.fetched == ["1"]


def test_an_arm_that_leaves_is_nothing_served_anew(versions, shelf):
    told = []
    versions.remember = lambda served: told.append(sorted(served))
    shelf.arms["rival"] = "1"
    assert versions.refresh()
    del shelf.arms["rival"]
    assert not versions.refresh()
    assert told == [["champion", "rival"], ["champion"]]


def test_an_arm_that_still_has_users_is_kept_until_they_are_split_anew(versions, shelf):
    versions.refresh()
    shelf.arms = {"old": "1", "new": "2"}
    versions.refresh(keep=["champion"])
    assert set(versions.served) == {"champion", "old", "new"}
    assert versions.served["champion"] is versions.served["old"]
    versions.refresh()
    assert set(versions.served) == {"old", "new"}


@pytest.mark.parametrize("name", [items.FILE, user_graph.FILE])
def test_a_changed_file_is_noticed(chain, tmp_path, name):
    bundle = logged_bundle(chain)
    disassembled.disassemble(bundle, tmp_path)
    raw = bytearray((tmp_path / name).read_bytes())
    raw[-1] ^= 1
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(PartitionCorrupt, match="is not the file that was written"):
        disassembled.load(bundle, tmp_path, Name(version="1"))


@pytest.mark.parametrize(("name", "kind"), [("onnx", OnnxPart), ("torch", TorchPart)])
def test_the_runtime_that_is_set_answers_the_recorded_questions(shelf, tmp_path, name, kind):
    versions = Versions(shelf, tmp_path, 1e-5, Runtime(name))
    assert versions.refresh(), versions.refused
    assert isinstance(versions.served["champion"].ranker.user_part, kind)
