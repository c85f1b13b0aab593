"""Versions come in whole and heard, or not at all."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from infra.errors import RegistryError
from serving import served as disassembled
from serving.served import Name
from serving.snapshot import Past
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

    def wanted(self):
        if self.down:
            raise RegistryError("MLflow does not answer")
        return dict(self.arms)

    def fetch(self, number):
        self.fetched.append(number)
        return Name(version=number, line="dupn"), self.bundles[number]


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


@pytest.mark.parametrize(("bad", "why"), [("3", "differ by 0.01"), ("4", "Error")])
def test_a_bad_version_is_refused_once_and_the_old_one_serves(versions, shelf, bad, why):
    versions.refresh()
    shelf.arms["champion"] = bad
    for _ in range(2):
        assert not versions.refresh()
        assert version(versions) == "1"
    assert why in versions.refused[bad]
    assert shelf.fetched == ["1", bad]


def test_a_silent_registry_changes_nothing(versions, shelf):
    versions.refresh()
    shelf.down = True
    assert not versions.refresh()
    assert version(versions) == "1"


def test_two_arms_share_a_version_that_both_name(versions, shelf):
    shelf.arms = {"champion": "1", "challenger": "1"}
    versions.refresh()
    assert versions.served["champion"] is versions.served["challenger"]
    assert shelf.fetched == ["1"]


def test_an_arm_that_still_has_users_is_kept_until_they_are_split_anew(versions, shelf):
    versions.refresh()
    shelf.arms = {"old": "1", "new": "2"}
    versions.refresh(keep=["champion"])
    assert set(versions.served) == {"champion", "old", "new"}
    assert versions.served["champion"] is versions.served["old"]
    versions.refresh()
    assert set(versions.served) == {"old", "new"}


def test_a_changed_item_table_is_noticed(chain, tmp_path):
    bundle = logged_bundle(chain)
    disassembled.disassemble(bundle, tmp_path)
    raw = bytearray((tmp_path / "items.npy").read_bytes())
    raw[-1] ^= 1
    (tmp_path / "items.npy").write_bytes(raw)
    with pytest.raises(Exception, match="is not the file that was written"):
        disassembled.load(bundle, tmp_path, Name(version="1"))
