"""Ten days of a dirty log, built once a session, and the command as a shell sees it.

Whoever changes anything works on a copy.
"""

import sys

import pytest

from pipeline import steps
from pipeline.cli import app
from tests import nights, once


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """All raw days from the start, one bucket."""
    return nights.settings(once.folder(tmp_path_factory, "whole", _ten_days))


def _ten_days(home):
    mine = nights.settings(home)
    steps.simulate(mine, nights.DAYS[0], len(nights.DAYS))
    nights.at_once(mine)


@pytest.fixture
def dupn(monkeypatch, capfd):
    """Run a command in this process; (exit code, stdout, stderr)."""
    monkeypatch.delenv("DUPN_HOME", raising=False)
    monkeypatch.delenv("DUPN_SET", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dupn", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main()
        out, err = capfd.readouterr()
        return left.value.code, out, err

    return run


@pytest.fixture
def at_home(dupn, chain):
    """The same, with the finished home of the smoke chain."""
    return lambda *arguments: dupn("--preset", "smoke", "--home", chain.settings.home, *arguments)
