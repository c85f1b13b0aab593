"""Samples that do not say what is on offer are named to a network that listens."""

import logging

import pytest

from evaluation.predict import predict
from evaluation.settings import EvaluateConfig
from infra.errors import TrainingError
from training import offered
from training.data import Samples
from training.fit import fit
from training.model.dupn import Dupn


@pytest.fixture
def listening(tiny):
    return tiny.model_copy(update={"price_memory": True, "price_offers": True})


@pytest.fixture
def silence(make_store, tmp_path):
    """A store of two days; which of them were published before there were offers is told."""
    store = make_store(tmp_path)

    def hush(*numbers):
        days = store.days("samples")
        for day in (days[number] for number in numbers):
            table = store.partition("samples", day).table()
            with store.partition("samples", day).publish() as out:
                out.record([out.write_table("part", table)])
        return store, days

    return hush


def test_training_on_days_that_all_are_silent_is_refused(silence, listening, quick):
    store, days = silence(0, 1)
    with pytest.raises(TrainingError, match=f"no samples of {days[0]}, {days[1]} say what is on"):
        fit(store, days, listening, quick, seed=1, run_name="deaf")


def test_a_silent_day_beside_others_is_named_and_learnt(silence, listening, quick, caplog):
    store, days = silence(0)
    with caplog.at_level(logging.WARNING):
        fitted = fit(store, days, listening, quick, seed=1, run_name="half")
    assert fitted.checkpoint.exists()
    told = [r.message for r in caplog.records if "on offer" in r.message]
    assert len(told) == 1
    assert str(days[0]) in told[0]
    assert str(days[1]) not in told[0]


def test_a_silent_day_is_named_when_its_questions_are_asked(silence, listening, quick, caplog):
    store, days = silence(0)
    model = Dupn(listening, Samples(store, days).sizes)
    with caplog.at_level(logging.WARNING):
        for day in days:
            predict(model, store, day, EvaluateConfig())
    told = [r.message for r in caplog.records if "on offer" in r.message]
    assert [str(days[0]) in one for one in told] == [True]


def test_days_that_say_it_are_learnt_without_a_word(store, days, listening, quick, caplog):
    with caplog.at_level(logging.WARNING):
        offered.require(store, days, listening)
    assert not caplog.records


def test_whoever_does_not_listen_hears_nothing_of_it(store, days, tiny, caplog):
    offered.require(store, days, tiny)
    assert not caplog.records
