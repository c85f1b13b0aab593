"""A bar on terminals, sentences elsewhere, with the same numbers."""

import logging
import os
import pty
import re
import subprocess
import sys

import pytest
from rich.console import Console

from infra import progress
from infra.progress import track


@pytest.fixture(autouse=True)
def info(caplog):
    caplog.set_level(logging.INFO)


def test_elsewhere_the_end_is_a_sentence_with_numbers(caplog):
    with track("train", 1000, unit="moments") as bar:
        for _ in range(4):
            bar.advance(250, loss=0.61234, candidates_per_s=12_345.6)
    (line,) = caplog.messages
    assert line.startswith("train: 1,000 moments in ")
    assert "moments/s" in line
    assert "loss 0.6123, 12,346 candidates/s" in line


def test_long_work_speaks_on_the_way_and_says_what_is_left(caplog, monkeypatch):
    monkeypatch.setattr(progress, "SENTENCE_EVERY_S", 0.0)
    with track("train", 1000, unit="moments", done=500) as bar:
        bar.advance(250)
    assert caplog.messages[0].startswith("train: 750 of 1,000 moments (75%)")
    assert caplog.messages[0].endswith("s left")


def test_work_of_unknown_length_counts_up(caplog, monkeypatch):
    monkeypatch.setattr(progress, "SENTENCE_EVERY_S", 0.0)
    with track("events") as bar:
        bar.advance(12_000)
    assert caplog.messages[0].startswith("events: 12,000 rows so far")


def test_a_failure_is_no_end(caplog):
    with pytest.raises(ValueError, match="broken"), track("train", 10):
        raise ValueError("broken")
    assert not caplog.messages


def test_on_a_terminal_it_is_a_bar(caplog, monkeypatch, capsys):
    monkeypatch.setattr(
        progress, "Console", lambda **options: Console(force_terminal=True, width=120, **options)
    )
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with track("train", 1000, unit="moments") as bar:
        bar.advance(1000, loss=0.5)
    shown = capsys.readouterr()
    assert "train" in shown.err
    assert "1000/1000" in shown.err
    assert "loss 0.5000" in shown.err
    assert not shown.out
    assert not caplog.messages


def test_what_takes_longer_than_a_second_is_counted_by_the_minute(caplog, monkeypatch):
    now = progress.time.monotonic()
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    with track("stages", 2, unit="stages") as bar:
        monkeypatch.setattr(progress.time, "monotonic", lambda: now + 30)
        bar.advance(2)
    assert caplog.messages[-1] == "stages: 2 stages in 30.0 s (4.0 stages/min)"


WORK = """
import logging
from infra import logs
from infra.progress import track

logs.configure()
with track("work", total=2) as bar:
    for step in range(2):
        bar.advance()
        logging.getLogger("infra").info("sentence %d", step)
"""


def test_a_file_gets_sentences_also_where_colours_are_forced(tmp_path):
    with (tmp_path / "log").open("wb") as log:
        environment = {**os.environ, "FORCE_COLOR": "1"}
        subprocess.run([sys.executable, "-c", WORK], stderr=log, env=environment, check=True)
    *_, last = (tmp_path / "log").read_text().splitlines()
    assert re.fullmatch(r"[\d:T+-]+ INFO work: 2 rows in .*", last)


def test_a_sentence_stands_beside_a_bar_on_a_line_of_its_own():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([sys.executable, "-c", WORK], stderr=theirs, env=environment):
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode()))
    said = [line.rstrip() for line in lines if "sentence" in line]
    assert len(said) == 2
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d sentence \d", line) for line in said)


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed
        return b""
