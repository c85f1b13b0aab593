import json
import os
import shlex
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import psutil
import pytest

from infra import processes, services
from infra.errors import OrchestrationError, StoreError
from infra.services import Record, Service, free_port, running, start, stop, wait_until_healthy
from tests.disks import disk, read_only


@pytest.fixture
def service(tmp_path):
    port = free_port(21000)
    address = f"http://127.0.0.1:{port}"
    made = Service(
        name="web",
        folder=tmp_path / "web",
        command=[sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
        environment=dict(os.environ),
        address=address,
        health=f"{address}/",
    )
    yield made
    stop(made.folder, made.name)


def test_a_service_starts_once_answers_and_stops_once(service):
    first = start(service)
    wait_until_healthy(service, 20)
    assert start(service) == first
    assert stop(service.folder, service.name)
    assert not stop(service.folder, service.name)
    assert running(service.folder, service.name) is None


def slowly(monkeypatch, started):
    """Programs take a while to come up, and say that they did."""
    popen = subprocess.Popen

    def late(*arguments, **options):
        process = popen(*arguments, **options)
        time.sleep(0.5)
        started.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", late)


def test_of_two_who_start_it_at_once_one_does_and_both_know_it(service, monkeypatch):
    slowly(monkeypatch, started := [])
    other = free_port(21500)
    moved = replace(service, address=f"http://127.0.0.1:{other}", health="")
    moved = replace(moved, health=f"{moved.address}/")
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(start, (service, service))
    assert first == second
    assert [process.pid for process in started] == [first.pid]
    assert start(moved) == first  # it looked for a port before the first one had started
    wait_until_healthy(moved, 20)


def test_who_stops_it_while_it_starts_ends_it(service, monkeypatch):
    slowly(monkeypatch, started := [])
    with ThreadPoolExecutor(2) as both:
        starting = both.submit(start, service)
        while not (service.folder / "web.log").exists():
            time.sleep(0.01)
        assert both.submit(partial(stop, service.folder, service.name)).result()
        record = starting.result()
    assert started[0].wait(5) is not None
    assert running(service.folder, "web") is None
    assert record.pid == started[0].pid


@pytest.mark.parametrize("why", ["the disk", "Ctrl-C"])
def test_a_program_whose_record_cannot_be_written_is_ended(service, monkeypatch, why):
    before = psutil.Process().children()
    if why == "the disk":
        (service.folder / ".web.json").mkdir(parents=True)
    else:
        monkeypatch.setattr(processes, "started", interrupted)
    with pytest.raises((StoreError, KeyboardInterrupt)):
        start(service)
    assert psutil.Process().children() == before


def interrupted(_):
    raise KeyboardInterrupt


def test_stopping_what_never_was_leaves_nothing(service):
    assert not stop(service.folder, service.name)
    assert not service.folder.exists()


def test_no_other_account_of_the_machine_reads_what_a_program_leaves(service):
    before = os.umask(0o022)
    try:
        first = start(service)
        assert service.folder.stat().st_mode & 0o777 == 0o700
        service.folder.chmod(0o755)  # as a home of before
        assert start(service) == first
    finally:
        os.umask(before)
    assert service.folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_closed_is_named_and_stops_nothing(service, monkeypatch, caplog):
    def refused(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refused)
    assert running(service.folder, service.name) is None
    start(service)
    assert running(service.folder, service.name)
    assert f"{service.folder} may be read by other accounts of this machine" in caplog.text


def test_who_gives_a_running_service_other_settings_is_told_that_it_keeps_its_own(service, caplog):
    first = start(replace(service, given="old"))
    assert start(replace(service, given="old")) == first
    assert not caplog.records
    assert start(replace(service, given="new")) == first
    assert "web runs already, with other settings than these" in caplog.text
    assert "dupn down" in caplog.text


@pytest.mark.parametrize("locked", [True, False])
def test_what_runs_on_a_disk_that_takes_no_writes_any_more_can_be_stopped(service, locked):
    with disk(service.folder.parent / "disk") as place:
        quiet = replace(service, folder=place / "web")
        quiet.folder.mkdir()
        quiet = replace(quiet, command=["sh", "-c", "exec sleep 99 > /dev/null 2>&1"])
        process = psutil.Process(start(quiet).pid)
        while process.name() != "sleep":
            time.sleep(0.01)
        if not locked:
            (quiet.folder / "web.starting").unlink()
        read_only(place)
        assert stop(quiet.folder, "web")
        assert not process.is_running()
        assert not stop(quiet.folder, "web")


def test_stopping_ends_what_the_program_started(service):
    child = "import os; os.system('sleep 99; true')"
    record = start(replace(service, command=[sys.executable, "-c", child]))
    while not (children := psutil.Process(record.pid).children(recursive=True)):
        time.sleep(0.05)
    stop(service.folder, service.name)
    assert not any(process.is_running() for process in children)


def test_what_outlives_a_stop_that_was_cut_off_is_found_by_the_next(service, monkeypatch):
    there = service.folder / "deaf"
    deaf = (
        "import pathlib, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        f"pathlib.Path({str(there)!r}).touch(); time.sleep(99)"
    )
    process = psutil.Process(start(replace(service, command=[sys.executable, "-c", deaf])).pid)
    while not there.exists():
        time.sleep(0.05)

    def cut_off(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(psutil, "wait_procs", cut_off)
        with pytest.raises(KeyboardInterrupt):
            stop(service.folder, service.name)
    assert process.is_running()
    assert stop(service.folder, service.name, grace_s=0.1)
    assert not process.is_running()


@pytest.mark.parametrize("again", [False, True])
def test_what_a_killed_program_leaves_is_ended_by_stopping_and_by_starting(service, again):
    child = "import os; os.system('sleep 99; true')"
    record = start(replace(service, command=[sys.executable, "-c", child]))
    while len(children := psutil.Process(record.pid).children(recursive=True)) < 2:
        time.sleep(0.05)
    leader = psutil.Process(record.pid)
    leader.kill()
    while leader.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    if again:
        leader.wait()  # else its number stands until somebody asks how it ended
    assert all(process.is_running() for process in children)
    if again:
        start(service)
    else:
        assert stop(service.folder, service.name)
        assert not stop(service.folder, service.name)
    assert not any(process.is_running() for process in children)


def test_a_session_that_somebody_else_left_is_not_ended(service, tmp_path):
    daemon = subprocess.Popen(["sh", "-c", "sleep 99 & wait"], cwd=tmp_path, start_new_session=True)
    leader = psutil.Process(daemon.pid)
    since = processes.started(leader)
    while not (left := leader.children()):
        time.sleep(0.05)
    leader.kill()
    daemon.wait()
    record = Record(pid=daemon.pid, started=since, address=service.address)
    service.folder.mkdir()
    (service.folder / "web.json").write_text(json.dumps(asdict(record)))
    assert not stop(service.folder, "web")
    assert left[0].is_running()
    left[0].kill()


def test_a_pid_that_was_given_to_somebody_else_is_not_ours(service):
    record = start(service)
    path = service.folder / "web.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"started": content["started"] + "0"}))
    assert running(service.folder, "web") is None
    assert not stop(service.folder, "web")  # and it is not killed
    assert psutil.Process(record.pid).is_running()
    path.write_text(json.dumps(content))


def test_a_program_that_ends_at_once_says_what_it_said(service):
    broken = replace(
        service,
        command=[
            sys.executable,
            "-c",
            "print('\\x1b[31mno such\\x1b[0m table'); raise SystemExit(3)",
        ],
    )
    start(broken)
    with pytest.raises(OrchestrationError, match=r"(?s)ended while it started.*no such table"):
        wait_until_healthy(broken, 20)


def test_a_program_that_never_answers_is_given_up(service):
    mute = replace(service, command=[sys.executable, "-c", "import time; time.sleep(60)"])
    start(mute)
    with pytest.raises(OrchestrationError, match="did not answer"):
        wait_until_healthy(mute, 0.5)


def test_a_port_that_is_taken_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port(22000)))
        taken.listen()
        port = taken.getsockname()[1]
        assert services.free_port(port) > port


CHOOSES = "from infra.services import free_port; print(free_port({}), flush=True); input()"


@contextmanager
def chosen(first):
    """The port that another process has chosen, and where nothing listens yet."""
    command = [sys.executable, "-c", CHOOSES.format(first)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as other:
        try:
            yield int(other.stdout.readline())
        finally:
            other.kill()


def test_a_port_that_somebody_else_has_chosen_is_passed_over_until_he_ends():
    with chosen(22500) as port, chosen(port) as next_one:
        assert next_one > port
    with chosen(port) as again:
        assert again == port


def test_what_was_given_a_port_finds_it_again_and_nothing_else_gets_it():
    port = free_port(23000, name="one")
    assert free_port(port, name="one") == port
    assert free_port(port, name="another") > port


@pytest.mark.parametrize(("lives_s", "said"), [(0, "ended while"), (60, "another program answers")])
def test_who_answers_in_the_place_of_a_program_is_not_taken_for_it(service, lives_s, said):
    start(service)
    wait_until_healthy(service, 20)
    sleeps = [sys.executable, "-c", f"import time; time.sleep({lives_s})"]
    late = replace(service, folder=service.folder.with_name("late"), command=sleeps)
    program = psutil.Process(start(late).pid)
    if not lives_s:
        program.wait()
    try:
        with pytest.raises(OrchestrationError, match=said):
            wait_until_healthy(late, 20)
    finally:
        stop(late.folder, late.name)


def test_a_program_that_leaves_listening_to_what_it_starts_is_taken_for_itself(service):
    start(replace(service, command=["sh", "-c", f"{shlex.join(service.command)} & wait"]))
    wait_until_healthy(service, 20)
