"""Live histories: in order, once, at once, and still there after a kill."""

import signal
import sqlite3
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.buckets import hash_ids
from features.schemas import SEQUENCES
from infra.errors import ServingUnavailable
from infra.store import Store
from serving import snapshot
from serving.histories import EDGE_MS, KEPT, LiveBehavior, LocalHistories, user_hash
from serving.snapshot import Past
from tests.disks import files_up_to

DAY = date(2026, 3, 3)
MIDNIGHT = 1_772_582_400_000  # of the day after
NEXT = MIDNIGHT + 1_000


def behavior(ts, item="i1", user="u1", event="", **more):
    given = {"type": 1, "scenario": 1} | more
    return LiveBehavior(user_id=user, item_id=item, ts=ts, event_id=event, **given)


@pytest.fixture
def histories(tmp_path):
    return LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")


def items(past):
    return past.item.tolist()


def hashes(*ids):
    return hash_ids(pa.array(ids)).tolist()


def test_the_next_request_sees_a_behavior(histories):
    assert histories.add([behavior(NEXT)], NEXT) == 1
    assert items(histories.before("u1", NEXT + 1)) == hashes("i1")


def test_no_other_user_of_the_machine_may_read_what_came_in(histories):
    histories.add([behavior(NEXT)], NEXT)
    files = [histories.file.with_name(f"live.db{end}") for end in ("", "-wal", "-shm")]
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600] * 3


def test_a_behavior_is_not_before_its_own_moment(histories):
    histories.add([behavior(NEXT)], NEXT)
    assert not len(histories.before("u1", NEXT).ts)


def test_late_ones_are_put_in_their_place(histories):
    histories.add([behavior(NEXT + 20, "b"), behavior(NEXT + 10, "a")], NEXT + 30)
    assert items(histories.before("u1", NEXT + 99)) == hashes("a", "b")


def test_of_equal_times_what_came_first_stands_first(histories):
    for item in ("a", "b", "c"):
        histories.add([behavior(NEXT, item)], NEXT)
    assert items(histories.before("u1", NEXT + 1)) == hashes("a", "b", "c")


def test_an_event_that_is_sent_twice_is_taken_once(histories):
    assert histories.add([behavior(NEXT, event="e1")], NEXT) == 1
    assert histories.add([behavior(NEXT, event="e1")], NEXT) == 0
    assert histories.add([behavior(NEXT), behavior(NEXT)], NEXT) == 2  # real repeat clicks
    assert len(histories.before("u1", NEXT + 1).ts) == 3


def test_an_event_is_known_among_its_users_newest(histories):
    sent = [behavior(NEXT + n, event=f"e{n}") for n in range(KEPT + 1)]
    assert histories.add(sent, NEXT) == KEPT + 1
    assert histories.add(sent[1:], NEXT) == 0
    assert histories.add(sent[:1], NEXT) == 1


def test_an_event_is_its_users(histories):
    both = [behavior(NEXT, user=user, event="e1") for user in ("u1", "u2")]
    assert histories.add(both, NEXT) == 2


def test_a_day_ends_at_midnight_of_the_data_sets_zone(tmp_path):
    """The night of the day carries what came before; what came after counts beside it.

    What comes just before may be delivered after: it counts too, if the caller said when it was.
    """
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "Asia/Shanghai")
    midnight = MIDNIGHT - 8 * 3_600_000
    early = midnight - EDGE_MS
    histories.add([behavior(early - 2, "carried")], early - 1)
    histories.add([behavior(midnight - 1, "carried", dated=False)], midnight - 1)
    histories.add([behavior(early, "last")], early)
    histories.add([behavior(midnight - 2, "late")], midnight)
    histories.add([behavior(midnight, "after", dated=False)], midnight)
    assert items(histories.before("u1", NEXT)) == hashes("last", "late", "after")


def test_what_comes_in_after_a_snapshot_counts_though_its_day_has_not_ended(tmp_path):
    """A marketplace in days of its own, or a day that was closed early."""
    ahead = snapshot.empty(date(2199, 1, 1))
    histories = LocalHistories(tmp_path / "live.db", ahead, "UTC")
    histories.add([behavior(NEXT, "live")])
    histories.add([behavior(NEXT, "of the day")], NEXT)  # replayed: the snapshot holds it
    assert items(histories.before("u1", NEXT + 1)) == hashes("live")
    histories.take_over(snapshot.empty(date(2199, 1, 2)))
    assert not items(histories.before("u1", NEXT + 1))


def test_a_snapshot_is_taken_over_though_the_disk_is_full(tmp_path):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")
    with files_up_to(64), pytest.raises(ServingUnavailable, match="could not be read or written"):
        histories.take_over(snapshot.empty(date(2026, 3, 4)))
    assert histories.day == date(2026, 3, 4)


def test_users_do_not_mix(histories):
    histories.add([behavior(NEXT, user="u1"), behavior(NEXT, "i2", "u2")], NEXT)
    assert items(histories.before("u2", NEXT + 1)) == hashes("i2")


def test_what_is_kept_a_user_is_bounded(histories):
    histories.add([behavior(NEXT + i, f"i{i}") for i in range(3 * KEPT)], NEXT)
    count = histories._live.connection().execute("SELECT count(*) FROM live").fetchone()[0]
    assert count <= KEPT
    newest = histories.before("u1", NEXT + 10 * KEPT)
    assert len(newest.ts) == 100
    assert newest.ts[-1] == NEXT + 3 * KEPT - 1


def test_what_is_kept_is_what_happened_last_and_not_what_came_last(histories):
    late_first = [behavior(NEXT - i, f"i{i}") for i in range(KEPT + 50)]
    for part in (late_first[:KEPT], late_first[KEPT:]):
        histories.add(part, NEXT)
    times = [
        row[0] for row in histories._live.connection().execute("SELECT ts FROM live ORDER BY ts")
    ]
    assert times == [NEXT - KEPT + 1 + i for i in range(KEPT)]


def history(*rows):
    """`sequences` rows of (user, ts, item)."""
    users = [row[0] for row in rows]
    table = pa.table(
        [
            pa.array(hash_ids(pa.array(users))),
            pa.array(users),
            pa.array([row[1] for row in rows], pa.int64()),
            pa.array([row[2] for row in rows]),
            pa.array(np.ones(len(rows), np.int8)),
            pa.array(np.ones(len(rows), np.int8)),
            pa.array(np.arange(len(rows), dtype=np.uint64)),
            pa.nulls(len(rows), pa.string()),
        ],
        schema=SEQUENCES,
    )
    return table.sort_by([("user_hash", "ascending"), ("ts", "ascending")])


def publish(store, day, table):
    with store.partition("sequences", day, "history").publish() as out:
        out.record([out.write_table("all", table)])


@pytest.fixture
def known(tmp_path):
    """Two users with a history at the end of the day."""
    store = Store(tmp_path / "home")
    publish(
        store, DAY, history(("u1", NEXT - 500, "a"), ("u1", NEXT - 400, "b"), ("u2", NEXT, "c"))
    )
    snapshot.build(store, DAY, tmp_path / "snapshot")
    return store, snapshot.load(tmp_path / "snapshot")


def test_a_snapshot_has_every_user_and_nobody_else(known):
    _, found = known
    assert items(found.of(user_hash("u1"))) == hashes("a", "b")
    assert items(found.of(user_hash("u2"))) == hashes("c")
    assert not len(found.of(user_hash("u3")).ts)


def test_live_behaviors_follow_the_snapshot(tmp_path, known):
    histories = LocalHistories(tmp_path / "live.db", known[1], "UTC")
    histories.add([behavior(NEXT, "d"), behavior(NEXT - 450, "late")], NEXT)
    assert items(histories.before("u1", NEXT + 1)) == hashes("a", "late", "b", "d")


def test_what_the_snapshot_holds_of_a_moment_is_not_before_it(tmp_path, known):
    histories = LocalHistories(tmp_path / "live.db", known[1], "UTC")
    assert items(histories.before("u1", NEXT - 400)) == hashes("a")
    histories.add([behavior(NEXT - 450, "late")], NEXT)
    assert items(histories.before("u1", NEXT - 400)) == hashes("a", "late")


def test_of_a_snapshot_the_last_hundred_before_the_moment_count(tmp_path):
    store, rows = Store(tmp_path / "home"), [("u1", NEXT - 500 + n, f"i{n}") for n in range(120)]
    publish(store, DAY, history(*rows))
    snapshot.build(store, DAY, tmp_path / "snapshot")
    histories = LocalHistories(tmp_path / "live.db", snapshot.load(tmp_path / "snapshot"), "UTC")
    expected = hashes(*[f"i{n}" for n in range(10, 110)])
    assert items(histories.before("u1", NEXT - 390)) == expected
    histories.add([behavior(NEXT - 391, "late")], NEXT)
    assert items(histories.before("u1", NEXT - 390)) == [*expected[1:], *hashes("late")]


def test_a_newer_snapshot_replaces_what_its_days_brought(tmp_path, known):
    store, old = known
    histories = LocalHistories(tmp_path / "live.db", old, "UTC")
    histories.add([behavior(NEXT, "d")], NEXT)
    tomorrow = date(2026, 3, 4)
    publish(store, tomorrow, history(("u1", NEXT - 400, "b"), ("u1", NEXT, "d")))
    snapshot.build(store, tomorrow, tmp_path / "newer")
    after = MIDNIGHT + 86_400_000 + 5
    histories.add([behavior(after, "e")], after)
    histories.take_over(snapshot.load(tmp_path / "newer"))
    assert items(histories.before("u1", after + 1)) == hashes("b", "d", "e")


def test_a_process_that_has_not_looked_yet_still_sees_the_day_that_another_took_over(
    tmp_path, known
):
    store, old = known
    first, second = (LocalHistories(tmp_path / "live.db", old, "UTC") for _ in range(2))
    first.add([behavior(NEXT, "d", event="e1")], NEXT)
    tomorrow = date(2026, 3, 4)
    publish(store, tomorrow, history(("u1", NEXT - 400, "b"), ("u1", NEXT, "d")))
    snapshot.build(store, tomorrow, tmp_path / "newer")
    first.take_over(snapshot.load(tmp_path / "newer"))
    assert items(second.before("u1", NEXT + 1)) == hashes("a", "b", "d")
    assert items(first.before("u1", NEXT + 1)) == hashes("b", "d")
    first.take_over(snapshot.load(tmp_path / "newer"))  # the same day, published anew
    assert items(second.before("u1", NEXT + 1)) == hashes("a", "b", "d")


def test_what_is_missed_is_kept_for_others_until_the_snapshot_after(tmp_path, known):
    first, second = (LocalHistories(tmp_path / "live.db", known[1], "UTC") for _ in range(2))
    days = [NEXT + day * 86_400_000 for day in range(4)]
    for place, ts in enumerate(days):
        first.add([behavior(ts, f"i{place}")], ts)
    first.take_over(snapshot.empty(date(2026, 3, 6)))  # three nights at once
    assert items(second.before("u1", days[-1] + 1)) == hashes("a", "b", "i0", "i1", "i2", "i3")
    assert items(first.before("u1", days[-1] + 1)) == hashes("i3")
    first.take_over(snapshot.empty(date(2026, 3, 7)))
    rows = first._live.connection().execute("SELECT count(*) FROM live").fetchone()[0]
    assert rows == 1


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


def test_a_file_that_cannot_be_written_is_said_with_what_to_do(tmp_path, caplog):
    histories = LocalHistories(tmp_path / "live.db", snapshot.empty(DAY), "UTC")
    histories.add([behavior(NEXT)], NEXT)
    with files_up_to(4096), pytest.raises(ServingUnavailable, match=r"live\.db .*serve\.work"):
        histories.add([behavior(NEXT + place, event="e" * 999) for place in range(99)], NEXT)
    assert "live.db could not be read or written" in caplog.text
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


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=150), st.integers(0, 31))
def test_a_history_is_the_last_hundred_before_the_moment(tmp_path_factory, rows, moment):
    file = tmp_path_factory.mktemp("live") / "live.db"
    histories = LocalHistories(file, snapshot.empty(DAY), "UTC")
    histories.add([behavior(NEXT + ts, f"i{item}") for ts, item in rows], NEXT)
    expected = sorted((r for r in rows if r[0] < moment), key=lambda r: r[0])[-100:]
    found: Past = histories.before("u1", NEXT + moment)
    assert (found.ts - NEXT).tolist() == [ts for ts, _ in expected]
    assert items(found) == hashes(*[f"i{item}" for _, item in expected])
