"""The log of live behaviours, or its index, is removed alone while services have the file open."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from infra.errors import ServingUnavailable
from tests.serving.hold_live import add, count, opened

REMOVED = r"live\.db-wal or live\.db-shm was moved, removed or replaced while the service ran "
LOOKED = REMOVED + r"\(who has it open keeps what it held\): stop the service, put neither there"
KEPT = REMOVED + r"\(what it held stands in live\.db\): stop the service, put neither there"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "live.db"


@pytest.fixture
def another(file):
    """Another process that has the file open: what it answers; killed at the end."""
    command = [sys.executable, "-m", "tests.serving.hold_live", str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:

        def ask(said):
            process.stdin.write(f"{said}\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        ask.kill = process.kill
        yield ask
        process.kill()


@pytest.fixture
def thread():
    with ThreadPoolExecutor(1) as thread:
        yield thread


def close(histories):
    histories._live.connection().close()


def sound(histories):
    (found,) = histories._live.connection().execute("PRAGMA integrity_check").fetchone()
    return found == "ok"


@pytest.mark.parametrize("gone", [("log",), ("index",), ("log", "index")])
def test_nothing_is_taken_or_lost_and_nobody_makes_another(file, another, thread, gone):
    assert another("count") == "0"
    histories = opened(file)
    assert [add(histories, place) for place in range(8)] == [1] * 8
    assert another("8") == "1"
    for one in gone:
        getattr(histories._live, one).unlink()
    with pytest.raises(ServingUnavailable, match=LOOKED):
        thread.submit(count, histories).result()
    with pytest.raises(ServingUnavailable, match=LOOKED):
        thread.submit(opened, file).result()
    for _ in range(2):
        with pytest.raises(ServingUnavailable, match=KEPT):
            add(histories, 9)
    assert "what it held stands in live.db" in another("10")
    assert not any(getattr(histories._live, one).exists() for one in gone)
    another.kill()
    close(histories)
    again = thread.submit(opened, file).result()
    assert thread.submit(count, again).result() == 9
    assert thread.submit(sound, again).result()


def test_what_a_reader_holds_up_is_kept_by_the_next_call(file, thread):
    histories = opened(file)
    assert [add(histories, place) for place in range(9)] == [1] * 9
    reader = sqlite3.connect(file)
    rows = reader.execute("SELECT * FROM live")
    rows.fetchone()
    assert add(histories, 9) == 1
    histories._live.log.unlink()
    with pytest.raises(ServingUnavailable, match=REMOVED + r"\(what it held may be lost\)"):
        count(histories)
    rows.close()
    reader.close()
    with pytest.raises(ServingUnavailable, match=KEPT):
        count(histories)
    close(histories)
    again = thread.submit(opened, file).result()
    assert thread.submit(count, again).result() == 10


def test_a_log_that_somebody_else_put_there_is_not_taken_into_the_file(file):
    histories = opened(file)
    assert add(histories, 0) == 1
    log, before = histories._live.log, file.read_bytes()
    copy = log.read_bytes()
    log.unlink()
    log.write_bytes(copy)
    with pytest.raises(ServingUnavailable, match=REMOVED + r"\(what it held may be lost\)"):
        add(histories, 1)
    assert file.read_bytes() == before


def test_a_file_whose_log_went_with_a_killed_service_is_opened(file, another):
    assert another("0") == "1"
    assert another("count") == "1"
    another.kill()
    with closing(sqlite3.connect(file)) as other:  # takes the log in, as it is the last
        other.execute("SELECT * FROM live").fetchone()
    file.with_name("live.db-shm").write_bytes(b"")
    histories = opened(file)
    assert count(histories) == 1
    assert add(histories, 1) == 1


def test_threads_that_come_and_go_find_their_log(file):
    kept = opened(file)
    for workers in (1, 8):
        for place in range(10):
            with ThreadPoolExecutor(workers) as threads:
                tried = [
                    threads.submit(add, kept, 100 * workers + 10 * place + one)
                    for one in range(workers)
                ]
            assert [one.result() for one in tried] == [1] * workers
    assert count(kept) == 90
