"""Live histories in SQLite: of one machine, bounded, and still there after a kill.

What any store does stands in `test_any_histories.py`.
"""

import signal
import sqlite3
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from infra.errors import ServingUnavailable
from infra.store import Store
from serving import snapshot
from serving.histories import KEPT, LocalHistories, user_hash
from tests.disks import files_up_to
from tests.serving.history_stores import DAY, NEXT, behavior, hashes, history, items, publish


@pytest.fixture
def histories(tmp_path):
    return LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")


def rows(histories):
    """Live ones that the file has."""
    return histories._live.connection().execute("SELECT count(*) FROM live").fetchone()[0]


def test_no_other_user_of_the_machine_may_read_what_came_in(histories):
    histories.add([behavior(NEXT)], NEXT)
    files = [histories.file.with_name(f"live.db{end}") for end in ("", "-wal", "-shm")]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3


def test_a_snapshot_is_taken_over_though_the_disk_is_full(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")
    with files_up_to(64), pytest.raises(ServingUnavailable, match="could not be read or written"):
        histories.take_over(snapshot.empty(date(2026, 3, 4)))
    assert histories.day == date(2026, 3, 4)


def test_what_is_kept_a_user_is_bounded(histories):
    histories.add([behavior(NEXT + i, f"i{i}") for i in range(3 * KEPT)], NEXT)
    assert rows(histories) <= KEPT
    newest = histories.before("u1", NEXT + 10 * KEPT)
    assert len(newest.ts) == 100
    assert newest.ts[-1] == NEXT + 3 * KEPT - 1


def test_what_is_no_longer_needed_leaves_the_file(histories):
    late_first = [behavior(NEXT - i, f"i{i}") for i in range(KEPT + 50)]
    for part in (late_first[:KEPT], late_first[KEPT:]):
        histories.add(part, NEXT)
    times = [
        row[0] for row in histories._live.connection().execute("SELECT ts FROM live ORDER BY ts")
    ]
    assert times == [NEXT - KEPT + 1 + i for i in range(KEPT)]


@pytest.fixture
def known(tmp_path):
    """Two users with a history at the end of the day."""
    store = Store(tmp_path / "home")
    publish(
        store, DAY, history(("u1", NEXT - 500, "a"), ("u1", NEXT - 400, "b"), ("u2", NEXT, "c"))
    )
    snapshot.build(store, DAY, tmp_path / "snapshot")
    return snapshot.load(tmp_path / "snapshot")


def test_a_snapshot_has_every_user_and_nobody_else(known):
    assert items(known.of(user_hash("u1"))) == hashes("a", "b")
    assert items(known.of(user_hash("u2"))) == hashes("c")
    assert not len(known.of(user_hash("u3")).ts)


def test_what_is_missed_is_kept_for_others_until_the_snapshot_after(tmp_path, known):
    first, second = (LocalHistories(tmp_path / "live.db", known, "UTC") for _ in range(2))
    days = [NEXT + day * 86_400_000 for day in range(4)]
    for place, ts in enumerate(days):
        first.add([behavior(ts, f"i{place}")], ts)
    first.take_over(snapshot.empty(date(2026, 3, 6)))  # three nights at once
    assert items(second.before("u1", days[-1] + 1)) == hashes("a", "b", "i0", "i1", "i2", "i3")
    assert items(first.before("u1", days[-1] + 1)) == hashes("i3")
    first.take_over(snapshot.empty(date(2026, 3, 7)))
    assert rows(first) == 1


def test_a_service_that_is_down_while_nights_end_forgets_as_one_that_runs(tmp_path):
    for place in range(5):  # started in the morning, stopped in the evening
        day = DAY + timedelta(days=place)
        histories = LocalHistories(tmp_path / "live.db", snapshot.empty(day), "UTC")
        ts = NEXT + place * 86_400_000
        histories.add([behavior(ts, f"i{place}")], ts)
        assert rows(histories) == min(place + 1, 2)
    assert items(histories.before("u1", ts + 1)) == hashes("i4")


def test_a_process_that_starts_beside_others_forgets_nothing_that_they_need(tmp_path, known):
    first, second = (LocalHistories(tmp_path / "live.db", known, "UTC") for _ in range(2))
    for place in range(3):
        ts = NEXT + place * 86_400_000
        first.add([behavior(ts, f"i{place}")], ts)
    for _ in range(2):  # second has not looked yet
        LocalHistories(tmp_path / "live.db", snapshot.empty(date(2026, 3, 6)), "UTC")
    assert items(second.before("u1", ts + 1)) == hashes("a", "b", "i0", "i1", "i2")


def test_others_write_between_while_much_is_forgotten(histories, monkeypatch):
    monkeypatch.setattr("serving.histories.FORGOTTEN", 10)
    histories.add([behavior(NEXT + place) for place in range(25)], NEXT)
    now = NEXT + 3 * 86_400_000
    other = sqlite3.connect(histories.file, timeout=0)  # which waits for nobody
    row = "INSERT INTO live VALUES (1, ?, 0, 0, 1, 1, 99999, NULL)"

    def write(_):
        with other:
            other.execute(row, (now + other.total_changes,))

    monkeypatch.setattr("time.sleep", write)
    histories.take_over(snapshot.empty(date(2026, 3, 6)))
    histories.take_over(snapshot.empty(date(2026, 3, 7)))
    assert other.execute("SELECT count(*), min(ts) FROM live").fetchone() == (4, now)
    other.close()


def test_a_file_that_cannot_be_written_is_said_with_what_to_do(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")
    histories.add([behavior(NEXT)], NEXT)
    said = r"live\.db could not be read or written: .*serve\.work"
    with files_up_to(4096), pytest.raises(ServingUnavailable, match=said):
        histories.add([behavior(NEXT + place, event="e" * 999) for place in range(99)], NEXT)
    assert items(histories.before("u1", NEXT + 1)) == hashes("i1")
    assert histories.add([behavior(NEXT + 1)], NEXT) == 1


def test_a_file_that_is_spoilt_is_said_with_what_to_do(tmp_path):
    (tmp_path / "live.db").write_bytes(b"no database" * 999)
    with pytest.raises(ServingUnavailable, match=r"live\.db .*spoilt: .* move live\.db\* away"):
        LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")


def test_behaviors_survive_a_kill(tmp_path):
    code = (
        "import os, signal, sys; from datetime import date; from pathlib import Path;"
        "from serving import snapshot; from serving.histories import LocalHistories, LiveBehavior;"
        f"h = LocalHistories(Path(sys.argv[1]), snapshot.empty(date(2026, 3, 3)), 'UTC');"
        f"h.add([LiveBehavior('u1', 'i1', 1, 1, {NEXT})], {NEXT});"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    file = tmp_path / "live.db"
    done = subprocess.run([sys.executable, "-c", code, str(file)], cwd=Path.cwd(), check=False)
    assert done.returncode == -signal.SIGKILL
    again = LocalHistories(file, snapshot.empty(DAY), "UTC")
    assert items(again.before("u1", NEXT + 1)) == hashes("i1")


FIRST = """
import sys, time
from pathlib import Path
from datetime import date
from serving import snapshot
from serving.histories import LocalHistories

print("ready", flush=True)
begin = float(sys.stdin.readline())
for number in range(60):
    while time.time() < begin + 0.01 * number:
        pass
    LocalHistories(Path(sys.argv[1]) / f"{number}.db", snapshot.empty(date(2026, 3, 3)), "UTC")
"""


def test_processes_that_make_the_file_at_once_do_not_stumble(tmp_path):
    command = [sys.executable, "-c", FIRST, str(tmp_path)]
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(4)
    ]
    for worker in workers:
        worker.stdout.readline()
    begin = time.time() + 0.2
    for worker in workers:
        worker.stdin.write(f"{begin}\n")
        worker.stdin.flush()
    assert [(worker.communicate()[1], worker.returncode) for worker in workers] == [("", 0)] * 4
