"""Places of a service's workers that stay empty for a while: no room, or nothing to serve."""

import pytest

from serving import workers
from tests.serving.test_workers import (
    Fake,
    watched,  # noqa: F401  # a fixture
)


def test_ever_longer_pauses_lie_between_tries_for_which_there_is_no_room(
    watched,  # noqa: F811  # a fixture
    monkeypatch,
):
    supervisor, look = watched
    for one in Fake.made:
        one.serve()
    look()
    Fake.made[0].fail()
    tried = []
    monkeypatch.setattr(Fake, "start", lambda new: tried.append(new) or exec("raise OSError(24)"))
    for second in range(1, 200):
        Fake.made[1].serve()
        look(second)
    assert len(tried) == 9  # at seconds 1, 2, 3, 6, 13, 28, 59, 119, 179
    assert all(one.parent_conn.closed and one.child_conn.closed for one in tried)
    assert not supervisor.should_exit.is_set()


def test_a_machine_without_files_ends_no_service(watched, monkeypatch):  # noqa: F811  # a fixture
    supervisor, look = watched
    for one in Fake.made:
        one.serve()
    look()
    Fake.made[0].fail()
    with monkeypatch.context() as full:
        full.setattr(workers, "Worker", lambda *_: exec("raise OSError(24, 'Too many open files')"))
        assert look(1) == 2
    assert look(2) == 3
    assert not supervisor.should_exit.is_set()


@pytest.mark.parametrize("ended", [False, True])
def test_a_restart_goes_on_past_a_place_whose_worker_had_ended(
    watched,  # noqa: F811  # a fixture
    monkeypatch,
    caplog,
    ended,
):
    supervisor, _ = watched
    if ended:
        Fake.made[0].fail()
    monkeypatch.setattr(Fake, "start", lambda new: setattr(new, "pid", 9) or new.fail("busy."))
    supervisor.restart_all()
    said = "its place stays empty" if ended else "1 goes on"
    assert f"process 9 does not serve; {said}. busy." in caplog.text
    assert caplog.text.count("does not serve") == 1 + ended


def test_who_ended_before_it_served_leaves_no_metrics(
    watched,  # noqa: F811  # a fixture
    monkeypatch,
    tmp_path,
):
    """Worker 1 never served, worker 2 did, and 12 is somebody else."""
    _, look = watched
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    for name in ("counter_1.db", "histogram_1.db", "counter_2.db", "counter_12.db"):
        (tmp_path / name).touch()
    Fake.made[1].serve()
    look()
    for one in Fake.made:
        one.fail()
    look(1)
    assert {file.name for file in tmp_path.iterdir()} == {"counter_2.db", "counter_12.db"}
