"""Who starts workers and is killed leaves none behind."""

import multiprocessing
import subprocess
import sys
import time

import psutil

from infra.orphans import end_with_parent

POOL = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from infra.orphans import end_with_parent

def work(n):
    os.write(1, f"{os.getpid()}\\n".encode())  # in one piece: both write to one pipe
    time.sleep(600)

if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=end_with_parent) as pool:
        list(pool.map(work, range(6)))
"""


def works(process):
    """Whether it runs; who has ended may stay as a zombie where nobody asks for its exit."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_of_a_killed_process_end_at_once_whatever_they_do(tmp_path):
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        try:
            workers = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
            assert all(worker.is_running() for worker in workers)
        finally:
            parent.kill()
        parent.wait()
        until = time.monotonic() + 30
        while any(map(works, workers)) and time.monotonic() < until:
            time.sleep(0.1)
        left = [worker for worker in workers if works(worker)]
        for worker in left:
            worker.kill()
    assert not left


def test_a_process_that_nobody_started_as_a_worker_goes_on():
    assert multiprocessing.parent_process() is None
    end_with_parent()
    time.sleep(0.2)  # the thread has looked by now; who reads this is still there
