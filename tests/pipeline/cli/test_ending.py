"""A command that is told to end (SIGTERM) does, and says so by its exit code."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from pipeline.cli.ending import ENDED, when_told

HEAD = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pipeline.cli import app, ending, serving_setup

def now():
    print("now", flush=True)
    time.sleep(600)

def pool():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        processes.submit(time.sleep, 600)
        processes.submit(print, "now", flush=True).result()

def swallow():
    ending.LEAVE_S = 0.1
    while True:
        try:
            now()
        except BaseException:
            pass

def otherwise():
    try:
        now()
    except BaseException:
        raise ValueError

def serve():
    serving_setup.setup = lambda *_: now()
    sys.argv = ["dupn", "serve"]
    app.main()

if __name__ == "__main__":
"""
STAYS = "    with ending.when_told():\n        {}()\n"


def told(command, word):
    """Told to end once it has said the word: its exit code, what it said, who is left."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        said = ""
        while word not in said:
            said += process.stdout.readline() or pytest.fail(said)
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=60)[0]
    _, left = psutil.wait_procs(workers, timeout=10)
    return process.returncode, said, left


def test_a_command_ends_in_the_middle_and_takes_back_what_it_began(tmp_path):
    home = tmp_path / "home"
    words = ["--preset", "smoke", "--home", str(home), "simulate", "--days", "300"]
    code, said, _ = told([sys.executable, "-m", "pipeline.cli.app", *words], "simulate 2026-03-02")
    assert code == 143
    assert "Traceback" not in said
    assert list(home.rglob("*-begun.json")) == []


@pytest.mark.parametrize(
    "what", ["now", pytest.param("pool", marks=pytest.mark.drill), "swallow", "otherwise"]
)
def test_it_ends_with_its_workers_whatever_is_made_of_the_news(tmp_path, what):
    script = tmp_path / "script.py"
    script.write_text(HEAD + STAYS.format(what))
    code, _, left = told([sys.executable, str(script)], "now")
    assert (code, left) == (143, [])


def test_a_service_that_comes_up_is_stopped_without_a_failure(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(HEAD + "    serve()\n")
    code, said, _ = told([sys.executable, str(script)], "now")
    assert (code, "Traceback" in said) == (0, False)


def test_what_stood_before_stands_again_behind_the_block():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("before"))
    try:
        with when_told():
            pass
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (heard, ENDED) == (["before"], 143)
