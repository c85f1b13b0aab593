"""Worker processes of a small service: which are replaced, and that the service ends in time."""

import multiprocessing
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from itertools import pairwise
from types import SimpleNamespace
from typing import ClassVar

import psutil
import pytest
import uvicorn

from infra.errors import ServingUnavailable
from serving import running, workers

PATIENCE_S = 40
"""Less than the minute for which a worker that does not answer is waited for."""
SMALL = """
from pathlib import Path
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        (Path(__file__).parent / str(__import__("os").getpid())).touch()
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        (Path(__file__).parent / "ended").touch()
        await send({"type": "lifespan.shutdown.complete"})
"""


@contextmanager
def started(folder, workers=2, **constants):
    """A service of workers that are up; its process, and a function that tells them."""
    (folder / "small.py").write_text(SMALL)
    said = "".join(f"workers.{name} = {value}\n" for name, value in constants.items())
    code = (
        f"import socket, sys\nsys.path.append({str(folder)!r})\n"
        f"from serving import workers\n{said}"
        f"workers.run('small:app', socket.create_server(('127.0.0.1', 0)), workers={workers}, "
        "log_level='warning', timeout_graceful_shutdown=1, timeout_worker_healthcheck=60)"
    )
    process = psutil.Process(subprocess.Popen([sys.executable, "-c", code]).pid)

    def up():
        """Numbers of the workers that have begun to serve."""
        there = children(process) if workers > 1 else [process]
        return {one.pid for one in there if (folder / str(one.pid)).exists()}

    try:
        wait(lambda: len(up()) == workers)
        yield process, up
    finally:
        for one in (*children(process), process):
            with suppress(psutil.NoSuchProcess):
                one.kill()


def children(process):
    with suppress(psutil.NoSuchProcess):
        return process.children()
    return []


def test_a_worker_has_the_promised_time_to_end():
    assert running.GRACE_S + running.LEAVE_S < workers.END_S < 30  # s, after which Kubernetes kills


def wait(until):
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, "it did not become so"
        time.sleep(0.05)


UNABLE = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no"})
"""


LACKING = """
from infra.errors import ConfigError
def app():
    raise ConfigError("serve.x is no setting. Leave it out.")
"""


def ended(folder, source, processes, **options):
    """A service of an application, after it has ended by itself."""
    (folder / "unable.py").write_text(source)
    code = (
        f"import socket, sys\nsys.path.append({str(folder)!r})\n"
        "from serving import workers\nworkers.run('unable:app', "
        f"socket.create_server(('127.0.0.1', 0)), workers={processes}, **{options})"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=80)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_service_that_cannot_start_says_so_to_who_started_it(tmp_path, processes):
    done = ended(tmp_path, UNABLE, processes, log_level="critical")
    assert done.returncode == 1
    assert "ServingUnavailable: the service could not start" in done.stderr


def test_a_service_none_of_whose_workers_can_start_ends_with_the_sentence_of_why(tmp_path):
    done = ended(tmp_path, LACKING, 2, factory=True)
    said = "could not start: serve.x is no setting. Leave it out."
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(said)
    assert (done.stderr.count("serve.x"), done.stderr.count("Traceback")) == (1, 1)


class Fake:
    """A worker that does as a test says, on the test's clock."""

    made: ClassVar[list] = []
    room = True

    def __init__(self, *_):
        self.parent_conn, self.child_conn = multiprocessing.Pipe()
        self.process, self.exitcode = SimpleNamespace(is_alive=lambda: self.exitcode is None), None

    def start(self):
        if not Fake.room:
            raise BlockingIOError("Resource temporarily unavailable")
        Fake.made.append(self)
        self.pid = len(Fake.made)

    def kill(self):
        self.parent_conn.close()

    def join(self): ...

    def serve(self):
        while self.child_conn.poll():  # else its pipe is full of questions one day
            self.child_conn.recv()
        self.child_conn.send(True)

    def fail(self, sentence=""):
        self.exitcode = 3
        if sentence:
            self.child_conn.send(sentence)


@pytest.fixture
def watched(monkeypatch):
    """A supervisor of two fake workers, and a function that looks at them at a time."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(Fake, "made", [])
    monkeypatch.setattr(workers, "Worker", Fake)
    monkeypatch.setattr(workers, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    supervisor = workers.Workers(uvicorn.Config("x:y", workers=2), [])
    supervisor.init_processes()

    def look(at=0.0):
        clock.now = at
        supervisor.keep_subprocess_alive()
        return len(Fake.made)

    return supervisor, look


def test_ever_longer_pauses_lie_between_workers_that_end_before_they_serve(watched, caplog):
    supervisor, look = watched
    begun = []
    for second in range(300):
        Fake.made[0].serve()
        if look(second) > 1 + len(begun):
            begun.append(second)
            Fake.made[-1].fail("no room.")
    assert [b - a - 1 for a, b in pairwise(begun)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert not supervisor.should_exit.is_set()
    assert "another is started in 60 s: no room." in caplog.text


def test_a_worker_that_served_is_replaced_at_once(watched):
    _, look = watched
    for one in Fake.made:
        one.serve()
    look()
    Fake.made[1].fail()
    assert look(0.5) == 3


def test_a_service_starts_though_one_of_its_workers_could_not(watched):
    supervisor, look = watched
    Fake.made[0].fail("busy.")
    assert look(9) == 2
    Fake.made[1].serve()
    look(10)
    look(11)
    assert look(12) == 3
    assert not supervisor.should_exit.is_set()
    assert supervisor.lacked is None


def test_a_service_whose_workers_are_killed_before_they_serve_goes_on(watched):
    supervisor, look = watched
    for one in Fake.made:
        one.exitcode = -signal.SIGKILL
    look()
    assert look(1) == 4
    assert not supervisor.should_exit.is_set()


def test_a_restart_whose_first_new_worker_cannot_start_says_why(watched, monkeypatch, caplog):
    supervisor, _ = watched
    monkeypatch.setattr(Fake, "start", lambda new: setattr(new, "pid", 9) or new.fail("busy."))
    supervisor.restart_all()
    assert "process 9 does not serve; 1 goes on. busy." in caplog.text


@pytest.mark.usefixtures("watched")
def test_a_service_for_whose_workers_there_is_no_room_does_not_start(monkeypatch):
    monkeypatch.setattr(Fake, "room", False)
    with pytest.raises(ServingUnavailable, match=r"0 of 2 processes .* serve\.workers lower"):
        workers.Workers(uvicorn.Config("x:y", workers=2), []).init_processes()


@pytest.mark.parametrize("handled", [False, True])
def test_no_worker_is_started_once_the_service_shall_end(watched, handled):
    supervisor, look = watched
    for one in Fake.made:
        one.serve()
    look()
    Fake.made[0].exitcode = -signal.SIGTERM  # of the whole process group
    supervisor.signal_queue.append(signal.SIGTERM)
    if handled:
        supervisor.handle_signals()
    assert look(5) == 2


def test_a_worker_for_which_there_was_no_room_is_started_at_a_later_look(watched, monkeypatch):
    supervisor, look = watched
    for one in Fake.made:
        one.serve()
    look()
    Fake.made[0].fail()
    monkeypatch.setattr(Fake, "room", False)
    supervisor.signal_queue.append(signal.SIGHUP)
    supervisor.handle_signals()
    assert look(1) == 2
    monkeypatch.setattr(Fake, "room", True)
    assert look(1.5) == 3


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_service_ends_though_a_worker_hangs(tmp_path, stop):
    with started(tmp_path, END_S=1) as (process, up):
        both = [psutil.Process(one) for one in up()]
        both[0].suspend()
        time.sleep(1.5)  # it was asked whether it lives
        process.send_signal(stop)
        assert process.wait(PATIENCE_S) == 0
        assert not psutil.wait_procs(both, timeout=PATIENCE_S)[1]


def test_a_service_ends_though_a_worker_hangs_from_then_on(tmp_path):
    with started(tmp_path, END_S=1) as (process, up):
        both = [psutil.Process(one) for one in up()]
        process.send_signal(signal.SIGTERM)
        both[1].suspend()
        assert process.wait(PATIENCE_S) == 0


def test_a_worker_that_dies_while_it_is_asked_is_replaced_at_once(tmp_path):
    with started(tmp_path) as (_, up):
        before = up()
        one, other = before
        psutil.Process(one).suspend()
        time.sleep(1.5)  # it was asked whether it lives
        psutil.Process(one).kill()
        wait(lambda: len(up() - before) == 1)
        psutil.Process(other).kill()  # the others are looked after as ever
        wait(lambda: len(up() - before) == 2)


@pytest.mark.drill
def test_a_worker_that_hangs_is_replaced_after_its_time_and_no_other(tmp_path):
    with started(tmp_path, HUNG_S=8) as (_, up):
        before = up()
        one, other = before
        psutil.Process(one).suspend()
        wait(lambda: len(up() - before) == 1)
        assert (one in up(), other in up()) == (False, True)


@pytest.mark.drill
def test_a_worker_that_answers_late_is_left_alone(tmp_path):
    with started(tmp_path) as (_, up):
        before = up()
        for one in before:
            psutil.Process(one).suspend()
        time.sleep(3)
        for one in before:
            psutil.Process(one).resume()
        time.sleep(1.5)
        assert up() == before


def test_a_restart_replaces_every_worker_though_one_hangs(tmp_path):
    with started(tmp_path, END_S=1) as (process, up):
        before = up()
        psutil.Process(min(before)).suspend()
        process.send_signal(signal.SIGHUP)
        wait(lambda: len(up() - before) == 2 and not before & up())


def test_one_process_alone_goes_on_after_a_hangup_and_ends_as_it_should(tmp_path):
    with started(tmp_path, workers=1) as (process, _):
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert not (tmp_path / "ended").exists()
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
        assert (tmp_path / "ended").exists()


@pytest.mark.drill
def test_a_service_that_shall_end_ends_also_in_the_middle_of_a_restart(tmp_path):
    with started(tmp_path, END_S=8) as (process, up):
        before = up()
        slow = first(before)
        slow.suspend()
        process.send_signal(signal.SIGHUP)
        wait(lambda: len(up() - before) == 1)
        process.send_signal(signal.SIGTERM)
        wait(lambda: at_work(process) & up() == {slow.pid})  # the others do not wait for it
        assert process.wait(PATIENCE_S) == 0
        assert len([*tmp_path.glob("[0-9]*")]) == 3  # no second new one was begun


def at_work(process):
    """Numbers of its processes that have not ended."""
    return {one.pid for one in children(process) if one.status() != psutil.STATUS_ZOMBIE}


def first(numbers):
    """The worker that a restart begins with."""
    known = [psutil.Process(number) for number in numbers]
    return min(known, key=lambda one: (one.create_time(), one.pid))
