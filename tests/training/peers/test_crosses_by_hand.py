"""Wide's features of every task are those of a list written out, question by question.

A coordinate is a hash, so the two are told apart by who shares what: for each feature of the list
there is a coordinate that the same questions have, as often, and there is no other.
"""

import math
from collections import Counter, defaultdict
from itertools import product

import pytest

from features import ranking
from features.schemas import PRICE_LEVELS
from training.config import Task
from training.peers.crosses import OF_TASK
from training.peers.ftrl import ABSENT

ITEM_SIDE = (*(name for name in ranking.ITEM_NAMES if name != "bias"), "query_relevance")
HISTORY = tuple(name for name in ranking.USER_NAMES if name != "query_relevance")
CASES = [
    (Task.CTR, {}, ITEM_SIDE),
    (Task.CTR, {"history": True}, (*ITEM_SIDE, *HISTORY)),
    (Task.CTR, {"statistics": False}, ("price_level",)),
    (Task.L2R, {}, (*ITEM_SIDE, *HISTORY)),
]


def facts(batch, place):
    """By attribute of an item, its values; nothing of padding."""
    items = batch.items
    every = {
        "item": [items.item_U[place]],
        "brand": [items.brand_U[place]],
        "shop": [items.shop_U[place]],
        "category": [items.category_U[place]],
        "tags": items.tags_UG[place],
    }
    return {name: [(name, int(v)) for v in values if v > 0] for name, values in every.items()}


def clicked(batch, moment):
    """The last three items clicked, newest first."""
    past = zip(batch.seq_BT[moment].tolist(), batch.type_BT[moment].tolist(), strict=True)
    return [facts(batch, place) for place, kind in reversed(list(past)) if kind == 1][:3]


def profile(batch, moment):
    return [(f"profile {k}", v) for k, v in enumerate(batch.profile_BP[moment].tolist())]


def words(batch, moment):
    """The first eight; the same one twice counts twice."""
    return [("word", row) for row in batch.query_BQ[moment].tolist()[:8] if row]


def binned(batch, candidate, name):
    """Tenths, of which the outermost are at two units."""
    value = float(batch.cand_features_CF[candidate, ranking.NAMES.index(name)])
    return (name, max(-20, min(20, math.floor(10 * value))))


def of_candidate(batch, candidate, names):
    moment = int(batch.cand_moment_C[candidate])
    item = facts(batch, int(batch.cand_C[candidate]))
    level = binned(batch, candidate, "price_level")
    kinds = [*item["category"], *item["brand"], *item["tags"]]
    yield "always"
    yield from (fact for values in item.values() for fact in values)
    yield from (binned(batch, candidate, name) for name in names)
    yield from profile(batch, moment)
    yield from product(profile(batch, moment), [*kinds, level])
    yield from product(words(batch, moment), kinds)
    for rank, past in enumerate(clicked(batch, moment)):
        for name in ("item", "shop", "brand", "category"):
            yield from product([rank], past[name], item[name])
        yield from product([rank], past["category"], [level])


def of_price(batch, question):
    moment = int(batch.price_moment_K[question])
    past = clicked(batch, moment)
    yield "always"
    for rank, one in enumerate(past):
        for name in ("category", "brand", "shop", "tags"):
            yield from product([rank], one[name])
    yield from words(batch, moment)
    yield from profile(batch, moment)
    yield from product(profile(batch, moment), past[0]["category"] if past else [])


def of_other(batch, moment, other):
    """Of an icon or a shop."""
    yield "always"
    yield other
    yield from profile(batch, moment)
    yield from product(profile(batch, moment), [other])
    for rank, past in enumerate(clicked(batch, moment)):
        for name in ("category", "shop", "brand"):
            yield from product([rank], past[name], [other])
        if past["shop"] == [other]:
            yield (rank, "the same")


def sharing(rows):
    """How many features each set of questions has, given the features of each question."""
    who = defaultdict(Counter)
    for question, features in enumerate(rows):
        for feature in features:
            who[feature][question] += 1
    return Counter(frozenset(questions.items()) for questions in who.values())


def found(batch, wide, task, **settings):
    # A table so large that no two features of these questions share a coordinate by chance.
    rows = OF_TASK[task](batch, wide.model_copy(update={"bits": 28, **settings}))
    return sharing([[c for c in row if c != ABSENT] for row in rows.reshape(-1, rows.shape[-1])])


@pytest.mark.parametrize(("task", "settings", "names"), CASES)
def test_candidates_have_the_features_of_the_list(task, settings, names, scattered, wide):
    wanted = [of_candidate(scattered, c, names) for c in range(len(scattered.cand_C))]
    assert found(scattered, wide, task, **settings) == sharing(wanted)


def test_price_levels_have_the_features_of_the_list(scattered, wide):
    wanted = [
        [(feature, level) for feature in of_price(scattered, question)]
        for question in range(len(scattered.price_moment_K))
        for level in range(PRICE_LEVELS)
    ]
    assert found(scattered, wide, Task.PPP) == sharing(wanted)


@pytest.mark.parametrize(("task", "kind"), [(Task.FIFP, "icon"), (Task.SPP, "shop")])
def test_icons_and_shops_have_the_features_of_the_list(task, kind, scattered, wide):
    letter = kind[0].upper()
    asked = zip(
        getattr(scattered, f"{kind}_moment_{letter}").tolist(),
        getattr(scattered, f"{kind}_{letter}").tolist(),
        strict=True,
    )
    wanted = [list(of_other(scattered, moment, (kind, row))) for moment, row in asked]
    same = [(rank, "the same") in one for one in wanted for rank in range(3)]
    assert any(same) == (task is Task.SPP), "nobody is asked about the shop of a last click"
    assert found(scattered, wide, task) == sharing(wanted)
