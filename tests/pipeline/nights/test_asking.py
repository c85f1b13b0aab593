"""How much a night asks of a store: what it looks back on, and not all that was ever published."""

from collections.abc import Callable

import pytest
from fsspec.implementations.local import LocalFileSystem

from infra.errors import OutOfTurn
from pipeline.nights import nightly
from pipeline.raw import arrival
from pipeline.upkeep import afterwards
from tests import first_night
from tests.first_night import DAY, ONE, published


def begun(settings):
    nightly.begin(settings, DAY, "r1")


def refused(settings):
    with pytest.raises(OutOfTurn, match=f"newest day is {DAY - ONE}"):
        nightly.begin(settings, DAY + ONE, "r2")


def looked_after(settings):
    assert (
        len(afterwards.sentences(settings.store)) == arrival.LOOK_BACK
    )  # of these, all are behind


ASKERS: tuple[Callable[..., None], ...] = (begun, refused, looked_after)


@pytest.fixture
def asked(monkeypatch):
    """What a disk was asked, question by question."""
    found = []
    for name in ("exists", "ls", "cat_file"):
        method = getattr(LocalFileSystem, name)

        def counted(self, path, *more, _name=name, _method=method, **named):
            found.append((_name, path))
            return _method(self, path, *more, **named)

        monkeypatch.setattr(LocalFileSystem, name, counted)
    return found


@pytest.mark.parametrize("ask", ASKERS, ids=lambda ask: ask.__name__)
def test_more_days_that_are_kept_are_no_more_questions(tmp_path, monkeypatch, asked, ask):
    monkeypatch.setattr(arrival, "LOOK_BACK", 2)
    counts = []
    for days in (3, 12):
        settings = first_night.home(tmp_path / str(days))
        for back in range(1, days + 1):
            for stage in (["samples"], ["events", "behaviors"], ["sequences", "history"]):
                published(settings, DAY - back * ONE, *stage)
        asked.clear()
        ask(settings)
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0
