"""A sentence on standard error is the sentence that was written, whatever files are called."""

import logging
import subprocess
import sys
import time

import pytest

from infra import logs


@pytest.fixture
def said(monkeypatch, capsys):
    """What a front door writes of a sentence."""
    root = logging.Logger("root")
    monkeypatch.setattr(logging, "getLogger", lambda name=None: root)
    logs.configure()

    def write(words, *parts):
        root.warning(words, *parts)
        return capsys.readouterr().err

    return write


def test_what_steers_a_terminal_is_written_out(said):
    line = said("not read: %s", "a\x1b]0;mine\x07\r\x9b2J\u202egpj.csv")
    assert line.endswith(r"not read: a\x1b]0;mine\x07\r\x9b2J\u202egpj.csv" + "\n")


def test_sentences_of_several_lines_stay_as_they_are(said):
    assert said("alert %s", "one\n\ttwo\nthree").endswith("alert one\n\ttwo\nthree\n")


def test_what_is_kept_says_day_zone_and_how_grave_it_is(said, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_796_136_379.5)
    monkeypatch.setattr("time.time_ns", lambda: 1_796_136_379_500_000_000)  # Python 3.13
    with monkeypatch.context() as there:
        there.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        line = said("no token is set")
    time.tzset()
    assert line == "2026-12-01T14:46:19+00:00 WARNING no token is set\n"


def test_a_command_whose_standard_error_is_closed_does_its_work():
    script = "from infra import logs; logs.configure(); print('done')"
    line = ["sh", "-c", '"$0" -c "$1" 2>&-', sys.executable, script]
    assert subprocess.run(line, capture_output=True, check=True).stdout == b"done\n"
