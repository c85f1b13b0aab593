"""Logging as the front doors set it up: our sentences on stderr, other packages' warnings only.

A person at a terminal reads the time of day; what is kept says of which day and how grave it is.
Sentences name files that others deliver: what would steer the terminal is written out.
"""

import logging
import sys
import time
from typing import TextIO

from infra.visible import visible

OURS = ("infra", "features", "pipeline", "training", "evaluation", "serving", "dags")


class _Beside(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now: a bar stands in for it, and keeps its own line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a sentence."""
        self.stream = sys.stderr
        super().emit(record)


class _Visible(logging.Formatter):
    """Lines of our own stay lines; what names bring along was made visible where they were read."""

    def format(self, record: logging.LogRecord) -> str:
        """The sentence after its time."""
        return visible(super().format(record), keep="\n\t")


def _wanted(record: logging.LogRecord) -> bool:
    """Not what Beam says through the root logger when Google's clients are absent."""
    return not str(record.msg).startswith("apitools not found")


def _formatter() -> logging.Formatter:
    if sys.stderr and sys.stderr.isatty():  # None where a shell has closed it
        return _Visible("%(asctime)s %(message)s", "%H:%M:%S")
    kept = _Visible("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S+00:00")
    kept.converter = time.gmtime  # a log is read in other zones, too
    return kept


def configure(*, quiet: bool = False) -> None:
    """Say our sentences from INFO on (`quiet`: warnings only); everybody else's from WARNING on."""
    root = logging.getLogger()
    if not root.handlers:
        handler = _Beside()
        handler.setFormatter(_formatter())
        handler.addFilter(_wanted)
        root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.WARNING if quiet else logging.INFO)
