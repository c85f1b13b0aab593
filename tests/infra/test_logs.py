"""A sentence on standard error is the sentence that was written, whatever files are called."""

import logging

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
