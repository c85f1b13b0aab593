"""Worker processes of Beam's local runner, whose loss ends the job.

Beam starts each and waits for it in a thread of its own. Where one is killed, by a kernel short of
memory say, that thread raises and nobody listens: the job waits for the answers of the dead one for
good. Here each of its questions is answered with an error, and the other workers are ended: what
they have under way is of no use, and the job would wait for it first. A worker whose data were on
their way breaks the job off before an answer is read: so a job knows its losses, too.
"""

import queue
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import psutil
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.portability.local_job_service import SubprocessSdkWorker

from infra.errors import OrchestrationError

_LOSSES: ContextVar[list[str]] = ContextVar("losses")
"""Of the job that is being run; all but the first end because of that one."""

_KILLED = re.compile(r"return code (137|-9)$")
"""A shell adds 128 to the number of a signal, Python turns its sign."""

_ADDRESS = "CONTROL_API_SERVICE_DESCRIPTOR"
"""Environment variable of a worker: where it asks for work, which is one port a job."""

_BROKEN = "Channel closed prematurely"
"""What Beam says, here or in a worker, of a stream of data that ended before the data did."""

_ROUND_S = 0.2
"""Seconds between two looks at what the runner still asks of a lost worker."""


def lost(said: str) -> str:
    """What a job ends with, from what Beam says of the worker."""
    if killed := _KILLED.search(said):
        what = f"was killed ({killed[1]}, usually for want of memory)"
        remedy = (
            "Lower beam.workers or raise beam.buckets (of `events` also beam.passes), then run the "
            "step again."
        )
    else:
        what = f"was lost ({' '.join(said.split())})"
        remedy = "Look at what it logged before, then run the step again."
    return (
        f"a Beam worker {what}, so nothing is published; what was published before still holds. "
        f"{remedy}"
    )


@contextmanager
def losses() -> Iterator[list[str]]:
    """A block that runs one job; what it lost, as sentences, the first of them first."""
    found: list[str] = []
    before = _LOSSES.set(found)
    try:
        yield found
    finally:
        _LOSSES.reset(before)


def broken_off(said: str, lost_ones: Sequence[str]) -> OrchestrationError | None:
    """The error of a job that ended in what Beam says; None where no worker has to do with it."""
    if lost_ones:
        return OrchestrationError(lost_ones[0])
    if _BROKEN not in said:
        return None
    return OrchestrationError(
        "the data of a Beam worker broke off though none was killed (usually since one was to get "
        "more than 2 GB of a shuffle at once), so nothing is published; what was published before "
        "still holds. Raise beam.passes (of `events`) or beam.workers, then run the step again."
    )


class WorkerProcess(worker_handlers.SubprocessSdkWorkerHandler):
    """One worker, as the runner knows it."""

    leaving = False
    """Told to end, since the job is over: how it does so is no matter of the job."""

    def start_worker(self) -> None:
        """See WorkerHandler."""
        self.losses = _LOSSES.get([])  # here: a thread has a context of its own
        self.worker = SubprocessSdkWorker(
            self._worker_command_line, self.control_address, self.provision_info, self.worker_id
        )
        self.worker_thread = threading.Thread(name="run_worker", target=self._live)
        self.worker_thread.start()

    def close(self) -> None:
        """See WorkerHandler."""
        self.leaving = True
        try:
            super().close()
        except Exception:  # what a channel broke off with
            self.stop_worker()
            if not self.losses:
                raise

    def _live(self) -> None:
        try:
            self.worker.run()
        except Exception as error:  # whatever it is, this worker answers no more
            said = str(error)
            if not self.leaving or _KILLED.search(said):  # it may be told to end when it is dead
                self.losses.append(lost(said))
                self._end_job(self.losses[0])

    def _end_job(self, why: str) -> None:
        """In rounds until the runner lets go of this worker: it may ask again, or start another."""
        name = f"{OrchestrationError.__module__}.{OrchestrationError.__name__}"
        answer = beam_fn_api_pb2.InstructionResponse(error=f"{name}: {why}")
        while self.data_conn._send_forwarder.is_alive():
            for asked in list(self.control_conn._futures_by_id.values()):
                if not asked.is_done():
                    asked.set(answer)
            self._end_others()
            self._take_what_is_sent()

    def _end_others(self) -> None:
        """A worker before its shell, which takes note of its end: else it stays a zombie."""
        for process in psutil.Process().children(recursive=True):
            try:
                ours = f'"{self.control_address}"' in process.environ().get(_ADDRESS, "")
                if ours and not process.children():
                    process.kill()
            except psutil.Error:  # it has ended
                continue

    def _take_what_is_sent(self) -> None:
        """Else the runner waits, with a hundred megabytes on the way, until somebody does."""
        try:
            while True:
                self.data_conn._to_send.get(timeout=_ROUND_S)
        except queue.Empty:
            return


def register() -> None:
    """Let Beam's runner start its worker processes so."""
    known = worker_handlers.WorkerHandler.register_environment
    known(python_urns.SUBPROCESS_SDK, bytes)(WorkerProcess)
