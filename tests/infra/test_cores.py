"""Cores are those that a process may use, and not those that its machine has."""

import os
import subprocess
import sys

import pytest

from infra import cores


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Control groups as Linux shows them, around a process of `/shop/serve` on 6 cores."""
    own = tmp_path / "own"
    own.write_text("4:memory:/shop\n0::/shop/serve\n")
    (tmp_path / "groups" / "shop" / "serve").mkdir(parents=True)
    monkeypatch.setattr(cores, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(cores, "OWN", own)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)), raising=False)
    return tmp_path / "groups"


@pytest.mark.parametrize(
    ("quota", "found"),
    [
        ("max 100000", 6),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("10000 100000", 1),
        ("900000 100000", 6),
    ],
)
def test_a_quota_of_processor_time_counts_rounded_up(groups, quota, found):
    (groups / "shop" / "serve" / "cpu.max").write_text(f"{quota}\n")
    assert cores.usable() == found


def test_the_tightest_quota_of_all_groups_around_a_process_counts(groups):
    (groups / "cpu.max").write_text("500000 100000\n")
    (groups / "shop" / "cpu.max").write_text("300000 100000\n")
    (groups / "shop" / "serve" / "cpu.max").write_text("400000 100000\n")
    assert cores.usable() == 3


def test_a_container_sees_its_quota_where_the_root_should_be(groups, tmp_path):
    (groups / "cpu.max").write_text("200000 100000\n")
    (tmp_path / "own").write_text("0::/../../of/the/machine\n")
    assert cores.usable() == 2


def test_without_groups_the_processors_count_that_a_process_is_bound_to(groups, monkeypatch):
    monkeypatch.setattr(cores, "OWN", groups / "absent")
    assert cores.usable() == 6
    monkeypatch.delattr("os.sched_getaffinity")
    assert cores.usable() == os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="a system without affinity")
def test_a_process_that_is_bound_to_one_processor_has_one_core():
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from infra import cores; print(cores.usable())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1
