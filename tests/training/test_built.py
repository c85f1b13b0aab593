"""Samples of another list of ranking features are refused wherever a day of them is opened."""

import pytest

from evaluation import fitted, questions, sampled
from features.ranking import NAMES
from infra.errors import PartitionCorrupt
from training.data import Samples

RENAMED = [*NAMES[:-1], "dear_newcomer"]


@pytest.fixture
def built(tmp_path, make_store):
    """A store of two days; the second was built with the features that are told."""
    store = make_store(tmp_path)

    def build(names):
        day = store.days("samples")[1]
        place = store.partition("samples", day)
        table = place.table()
        with place.publish(ranking_features=names) as out:
            out.record([out.write_table("part", table)])
        return store

    return build


READERS = {
    "training": Samples,
    "questions": lambda store, days: questions.read(store, days[1]),
    "watching": lambda store, days: sampled.read(store, days[1], 100, 1),
    "yardsticks": lambda store, days: fitted.ranking(store, days, 100),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_as_many_features_of_another_list_are_refused_by_day_and_name(built, days, read):
    store = built(RENAMED)
    told = rf"samples of {days[1]} were .* \(then dear_newcomer; now {NAMES[-1]}\).*"
    with pytest.raises(
        PartitionCorrupt, match=rf"{told}`dupn samples --from {days[1]} --to {days[1]}`"
    ):
        read(store, days)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_the_same_features_and_those_of_before_they_were_noted_are_read(built, days, read):
    read(built(list(NAMES)), days)  # the first day notes none


def test_the_same_features_in_another_order_are_others(built, days):
    with pytest.raises(PartitionCorrupt, match=r"\(in another order\)"):
        Samples(built(NAMES[::-1]), days)


def test_all_days_that_have_to_be_built_again_are_named_at_once(built, days):
    store = built(RENAMED)
    with store.partition("samples", days[0]).publish(ranking_features=RENAMED) as out:
        out.record([])
    with pytest.raises(PartitionCorrupt, match=f"{days[0]}, {days[1]} .*--from {days[0]} --to"):
        Samples(store, days)
