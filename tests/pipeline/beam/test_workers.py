"""A job that loses a worker ends at once, says why, and leaves nobody behind."""

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Event

import apache_beam
import psutil
import pytest
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner.worker_handlers import GrpcWorkerHandler
from apache_beam.runners.portability.local_job_service import SubprocessSdkWorker
from apache_beam.runners.worker import data_plane
from google.protobuf.message import DecodeError

from infra.errors import OrchestrationError
from infra.store import Attempt, Store
from pipeline.beam.run import BeamConfig, Spread, pipeline
from pipeline.beam.workers import broken_off, losses, lost

SCRIPT = """
import sys
from pathlib import Path
from tests.pipeline.beam import test_workers
test_workers.run(Path(sys.argv[1]), getattr(test_workers, sys.argv[2]))
"""
LONG_S = 600
MB = 1 << 20


def busy(number: int, out: Attempt, home: Path) -> int:
    """One element a worker, which takes longer than anybody waits for it."""
    out.write_bytes(f"part-{number}.bin", b"half")
    (home / f"{os.getpid()}.busy").touch()
    time.sleep(LONG_S)
    return number


def hand_on(number: int, out: Attempt, home: Path) -> Iterator[tuple[int, bytes]]:
    """More than a worker keeps to itself, before it is busy."""
    for part in range(24):
        yield part, bytes(MB)
    busy(number, out, home)


def run(home: Path, work: Callable[..., object]) -> None:
    config = BeamConfig(runner="multiprocess", workers=2)
    with Store(home).partition("events").publish() as out, pipeline(config) as flow:
        numbers = flow | "Numbers" >> apache_beam.Create([1, 2])
        spread = numbers | "Spread" >> Spread()
        if work is busy:
            spread | "Be busy" >> apache_beam.Map(busy, out, home)
        else:
            handed = spread | "Hand on" >> apache_beam.FlatMap(hand_on, out, home)
            handed | "Group" >> apache_beam.GroupByKey() | "Count" >> apache_beam.Map(len)


@pytest.mark.parametrize("work", ["busy", "hand_on"])
def test_a_killed_worker_ends_the_job_and_the_other_workers(tmp_path, work):
    """In a process of its own: a job that hears nothing could not be ended here."""
    with Store(tmp_path).partition("events").publish() as out:
        out.record([out.write_bytes("good.bin", b"good")])
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), work]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as job:
        family = [psutil.Process(job.pid)]
        try:
            until = time.monotonic() + 60
            while len(pids := [int(f.stem) for f in tmp_path.glob("*.busy")]) < 2:
                assert time.monotonic() < until
                time.sleep(0.05)
            family += family[0].children(recursive=True)
            os.kill(pids[0], signal.SIGKILL)
            _, said = job.communicate(timeout=20)
        finally:
            for left in (alive := [one for one in family if one.is_running()]):
                left.kill()
    assert not alive
    assert said.splitlines()[-1].startswith(
        "infra.errors.OrchestrationError: a Beam worker was killed (137, usually for want of "
    ), said
    (entry,) = Store(tmp_path).partition("events").manifest().files
    assert entry.name.startswith("good")


@pytest.mark.parametrize("code", [137, -9])
def test_a_killed_worker_is_told_with_what_to_lower(code):
    said = lost(f"Worker subprocess exited with return code {code}")
    assert said.startswith(f"a Beam worker was killed ({code}, usually for want of memory)")
    assert "Lower beam.workers or raise beam.buckets (of `events` also beam.passes)" in said


def test_a_worker_lost_otherwise_is_told_as_beam_says_it():
    said = lost("Worker subprocess exited with return code 1")
    assert said.startswith("a Beam worker was lost (Worker subprocess exited with return code 1)")
    assert "beam.workers" not in said


def large(number: int) -> list[tuple[int, bytes]]:
    return [(part, bytes(MB)) for part in range(number)]


def killed(number: int) -> Iterator[tuple[int, bytes]]:
    yield from large(number)
    os.kill(os.getpid(), signal.SIGKILL)


def shuffle(make: Callable[[int], Iterable[tuple[int, bytes]]]) -> None:
    with pipeline(BeamConfig(runner="multiprocess", workers=2)) as flow:
        parts = flow | "Numbers" >> apache_beam.Create([40]) | "Make" >> apache_beam.FlatMap(make)
        parts | "Group" >> apache_beam.GroupByKey() | "Count" >> apache_beam.Map(len)


def test_a_shuffle_that_a_worker_cannot_take_at_once_is_told_with_what_to_raise(monkeypatch):
    """What Beam's limit of 2 GB does, done at 16 MB."""
    send = data_plane._GrpcDataChannel._write_outputs

    def limited(channel: object) -> Iterator[beam_fn_api_pb2.Elements]:
        for sent in send(channel):
            if sent.ByteSize() > 16 * MB:
                raise DecodeError("Error parsing message")
            yield sent

    monkeypatch.setattr(data_plane._GrpcDataChannel, "_write_outputs", limited)
    with pytest.raises(OrchestrationError, match=r"Raise beam\.passes \(of `events`\) or beam\.w"):
        shuffle(large)


# a thread of Beam reads what the dead worker answers
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_whose_end_is_heard_of_after_its_job_ended_is_told_as_killed(monkeypatch):
    live, close = SubprocessSdkWorker.run, GrpcWorkerHandler.close
    told_to_end: defaultdict[str, Event] = defaultdict(Event)

    def late(worker: SubprocessSdkWorker) -> None:
        try:
            live(worker)
        finally:
            told_to_end[worker._worker_id].wait(60)

    def closing(handler: GrpcWorkerHandler) -> None:
        told_to_end[handler.worker_id].set()
        close(handler)

    monkeypatch.setattr(SubprocessSdkWorker, "run", late)
    monkeypatch.setattr(GrpcWorkerHandler, "close", closing)
    with pytest.raises(OrchestrationError, match=r"a Beam worker was killed \(137"):
        shuffle(killed)


def test_an_error_of_no_worker_is_left_as_it_is():
    with losses() as lost_ones:
        assert broken_off("ValueError: no such table", lost_ones) is None
