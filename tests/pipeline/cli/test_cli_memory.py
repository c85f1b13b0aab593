"""A command that gets no more memory or threads says so; any other surprise stays a trace."""

import sys
import threading

import pytest

from pipeline.cli import app

SIMULATE = ("--preset", "smoke", "--home")


def refuse(monkeypatch, error):
    """The system starts no thread for us, as when there is no room for its stack."""

    def start(self):
        raise error

    monkeypatch.setattr(threading.Thread, "start", start)


def test_too_little_memory_is_one_sentence(dupn, tmp_path, monkeypatch):
    refuse(monkeypatch, RuntimeError("can't start new thread"))
    code, out, err = dupn(*SIMULATE, tmp_path, "--json", "simulate", "--days", "1")
    assert (code, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert err.startswith("MemoryError: memory or threads are used up (can't start new thread).")


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_another_error_and_one_that_is_debugged_are_traces(tmp_path, monkeypatch, debug):
    said = "can't start new thread" if debug else "none of ours"
    refuse(monkeypatch, RuntimeError(said))
    line = ["dupn", *SIMULATE, str(tmp_path), *debug, "simulate", "--days", "1"]
    monkeypatch.setattr(sys, "argv", line)
    with pytest.raises(RuntimeError, match=said):
        app.main()
