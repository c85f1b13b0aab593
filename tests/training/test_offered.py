"""Samples that do not say what is on offer are named to a network that listens."""

import logging

import pytest

from infra.errors import TrainingError
from training import offered
from training.fit import fit


@pytest.fixture
def listening(tiny):
    return tiny.model_copy(update={"price_memory": True, "price_offers": True})


def say(store, day):
    """Publish a day again, as the job does that was asked for offers."""
    table = store.partition("samples", day).table()
    with store.partition("samples", day).publish(price_offers=True) as out:
        out.record([out.write_table("part", table)])


def test_training_on_days_that_all_are_silent_is_refused(store, days, listening, quick):
    with pytest.raises(TrainingError, match=f"no samples of {days[0]}, {days[1]} say what is on"):
        fit(store, days, listening, quick, seed=1, run_name="deaf")


def test_a_silent_day_beside_others_is_named_and_learnt(
    make_store, tmp_path, listening, quick, caplog
):
    store = make_store(tmp_path)
    one, other = store.days("samples")
    say(store, other)
    with caplog.at_level(logging.WARNING):
        fitted = fit(store, [one, other], listening, quick, seed=1, run_name="half")
    assert fitted.checkpoint.exists()
    told = [r.message for r in caplog.records if "on offer" in r.message]
    assert len(told) == 1
    assert str(one) in told[0]
    assert str(other) not in told[0]


def test_whoever_does_not_listen_hears_nothing_of_it(store, days, tiny, caplog):
    offered.require(store, days, tiny)
    assert not caplog.records
