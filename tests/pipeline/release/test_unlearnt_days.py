"""Beside a champion a first training is judged on a day that it has left, or refused at once."""

from datetime import timedelta

import pytest

from infra.errors import TrainingError
from pipeline import chain, steps
from pipeline.release import standing, unlearnt_days
from tests import nights, six_days
from tests.evaluation.marketplace.test_own import import_day
from tests.six_days import DAYS
from training.ancestry import Ancestry, Part, Share
from training.update_plan import UNPUBLISHED

ONE = timedelta(days=1)
LEARNT = Ancestry(
    (*(Part(day=day) for day in DAYS[:5]), Part(day=DAYS[5], share=Share.REST, held=0.1))
)
"""Of a champion after a night: that day but for the users held out on it, and all days before."""


def checkpoint(settings, key, ancestry, **lineage):
    """A model's lineage without its files, which nobody here reads."""
    final = settings.store.partition("checkpoints", None, key, "final")
    with final.publish(days=[], ancestry=ancestry.plain(), **lineage) as out:
        out.record([])


def publish_samples(settings, day):
    """Samples and catalog of a day, without rows."""
    for name in ("samples", "catalog"):
        with settings.store.partition(name, day).publish() as out:
            out.record([])


@pytest.fixture
def rival(tmp_path):
    """A home of six raw days with a champion of another line, that learnt them in nights."""
    uri = f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"
    settings = nights.settings(tmp_path / "home", 1, uri, "line=rival")
    for day in DAYS:
        import_day(settings.store, day, tmp_path)
    key = f"dupn-{DAYS[5]}"
    checkpoint(settings, key, LEARNT)
    six_days.promote(settings, key)
    return settings


def test_days_whose_evaluation_would_be_refused_are_refused_before_anything_is_made(rival):
    newest = rf"`run initial --first {DAYS[2]} --days 3` .* judged on {DAYS[5]}\."
    said = rf"dupn-{DAYS[5]} is in place and has learnt every moment of {DAYS[4]}: .* {newest}"
    with pytest.raises(TrainingError, match=said):
        chain.initial(rival, DAYS[1], 3)
    assert rival.store.days("events", "behaviors") == []
    assert steps.data_days(rival, DAYS[2], DAYS[5]) == DAYS[2:]


def test_of_a_log_that_is_too_short_fewer_days_are_named(rival):
    rival.store.partition("raw", DAYS[0], "behaviors").remove()
    with pytest.raises(TrainingError, match=f"`run initial --first {DAYS[1]} --days 4`"):
        steps.data_days(rival, DAYS[4] - 9 * ONE, DAYS[4])


def test_a_day_that_no_night_has_learnt_yet_is_the_newest_that_would_do(rival, tmp_path):
    import_day(rival.store, DAYS[5] + ONE, tmp_path)
    with pytest.raises(TrainingError, match=f"`run initial --first {DAYS[3]} --days 3`"):
        steps.data_days(rival, DAYS[1], DAYS[4])


def test_where_no_day_is_left_the_next_one_is_asked_for(rival):
    rival.store.partition("raw", DAYS[5], "behaviors").remove()
    with pytest.raises(TrainingError, match="bring the next one, and end the day before it"):
        steps.data_days(rival, DAYS[1], DAYS[4])


@pytest.mark.parametrize(
    ("absent", "said"),
    [
        (DAYS[3], rf"`run initial --first {DAYS[4]} --days 1` .* judged on {DAYS[5]}\.$"),
        (DAYS[4], r"No raw day is there that would do: bring the next one"),
    ],
)
def test_days_that_are_named_are_all_there(rival, absent, said):
    rival.store.partition("raw", absent, "behaviors").remove()
    with pytest.raises(TrainingError, match=said):
        steps.data_days(rival, DAYS[0], DAYS[3])


def test_of_days_whose_model_is_a_version_already_a_line_of_its_own_is_asked_for(rival):
    key = f"rival-{DAYS[4]}"
    six_days.promote(rival, key, line="rival", alias="previous")
    newest = rf"`run initial --first {DAYS[2]} --days 3` .* judged on {DAYS[5]}, with a line of its"
    said = rf"{newest} own \(--set line=NAME\), since {key} is version 2 of the registry already\."
    with pytest.raises(TrainingError, match=said):
        steps.data_days(rival, DAYS[1], DAYS[4])


def test_days_that_a_model_put_in_place_has_not_learnt_and_that_are_gone_are_told(rival):
    key = f"dupn-{DAYS[3]}"
    older = Ancestry(tuple(Part(day=day) for day in DAYS[:4]))
    checkpoint(rival, key, older)
    publish_samples(rival, DAYS[5])
    said = f"{DAYS[4]}: {UNPUBLISHED}. `dupn backfill --day {DAYS[4]}` makes them again"
    told = unlearnt_days.lost(rival.store, key)
    assert told.startswith(said)
    assert told.count("dupn backfill") == 1
    six_days.promote(rival, key)
    entry = six_days.registry(rival).look()[-1]
    assert standing.moved(rival, entry)["warning"] == told


def test_days_that_are_gone_and_have_events_alone_are_made_again_from_those(rival):
    key = f"dupn-{DAYS[3]}"
    checkpoint(rival, key, Ancestry(tuple(Part(day=day) for day in DAYS[:4])))
    publish_samples(rival, DAYS[5])
    rival.store.partition("raw", DAYS[4], "behaviors").remove()
    with rival.store.partition("events", DAYS[4], "behaviors").publish() as out:
        out.record([])
    assert unlearnt_days.lost(rival.store, key) == (
        f"{DAYS[4]}: {UNPUBLISHED}. raw/dt={DAYS[4]}/behaviors, which a backfill reads, is not "
        f"there: from events, `dupn rebuild --day {DAYS[4]}`, `dupn samples --day {DAYS[4]}`, "
        f"`dupn quality --day {DAYS[4]} --of samples` (in this order). The next night learns them."
    )


def test_of_days_without_a_raw_log_and_of_those_that_its_own_night_told_nothing_is_said(rival):
    key = f"dupn-{DAYS[3]}"
    older = Ancestry(tuple(Part(day=day) for day in DAYS[:3]))
    checkpoint(rival, key, older, left_out={str(DAYS[3]): UNPUBLISHED})
    rival.store.partition("raw", DAYS[4], "behaviors").remove()
    publish_samples(rival, DAYS[5])
    assert unlearnt_days.lost(rival.store, key) == ""
    assert unlearnt_days.lost(rival.store, "dupn-2030-01-01") == ""
    assert unlearnt_days.lost(rival.store, "") == ""
