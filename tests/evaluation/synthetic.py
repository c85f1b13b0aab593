"""Questions and answers with a known law, for tests of everything that measures."""

import numpy as np

from evaluation.predictions import Answers, Predictions
from evaluation.questions import Candidates, Icons, Moments, Prices, Questions, Shops
from features.schemas import CandidateOrigin


def questions(users=60, moments_each=5, candidates_each=10, seed=0, derived=False, kinds=(3, 4)):
    """Clicks follow a logistic law of a hidden taste, which `truth` returns.

    `kinds` are origins of negatives of derived moments, in turn.
    """
    rng = np.random.default_rng(seed)
    moments = users * moments_each
    user = np.repeat(np.arange(users), moments_each)
    taste = rng.normal(size=moments * candidates_each) + rng.normal(size=users).repeat(
        moments_each * candidates_each
    )
    count = len(taste)
    clicked = (rng.random(count) < sigmoid(taste - 1.5)).astype(np.int8)
    bought = (clicked & (rng.random(count) < 0.3)).astype(np.int8)
    origin = np.full(count, CandidateOrigin.SHOWN, np.int8)
    if derived:
        clicked = (np.arange(count) % candidates_each == 0).astype(np.int8)
        taste = taste + clicked
        bought = np.zeros(count, np.int8)
        other = np.resize(np.array(kinds, np.int8)[::-1], count)
        origin = np.where(clicked, CandidateOrigin.CLICKED, other).astype(np.int8)
    icons, asked = moments, np.arange(0, moments, 2)
    level = rng.integers(0, 7, len(asked)).astype(np.int8)
    drawn = Questions(
        moments=Moments(
            sample_id=np.array([f"page-{i}" for i in range(moments)], object),
            user=user,
            user_hash=(user * 1000).astype(np.uint64),
            ts=np.arange(moments, dtype=np.int64),
            scenario=rng.integers(1, 5, moments).astype(np.int8),
            query_tokens=rng.integers(0, 3, moments),
            history=rng.integers(0, 101, moments),
        ),
        candidates=Candidates(
            moment=np.repeat(np.arange(moments), candidates_each),
            item=rng.integers(2, 500, count).astype(np.int32),
            clicked=clicked,
            label=np.where(clicked, 1, -1).astype(np.int8),
            weight=np.where(bought, 5, 1).astype(np.float32),
            purchased=bought,
            origin=origin,
        ),
        prices=Prices(moment=asked, level=level),
        icons=Icons(
            moment=np.arange(icons),
            icon=rng.integers(2, 20, icons).astype(np.int32),
            followed=(rng.random(icons) < 0.4).astype(np.int8),
        ),
        shops=Shops(
            moment=np.empty(0, np.int64), shop=np.empty(0, np.int32), preferred=np.empty(0, np.int8)
        ),
    )
    return drawn, sigmoid(taste - 1.5)


def predictions(asked, truth, noise=0.5, seed=1):
    """A model that knows the truth up to noise."""
    rng = np.random.default_rng(seed)
    ctr = sigmoid(logit(truth) + noise * rng.normal(size=len(truth))).astype(np.float32)
    ppp = rng.random((len(asked.prices.level), 7))
    ppp[np.arange(len(ppp)), asked.prices.level] += 0.6
    fifp = asked.icons.followed * 0.3 + rng.random(len(asked.icons.icon))
    answers = Answers(
        ctr=ctr,
        l2r=(logit(truth) + noise * rng.normal(size=len(truth))).astype(np.float32),
        ppp=(ppp / ppp.sum(1, keepdims=True)).astype(np.float32),
        fifp=(fifp / 1.3).astype(np.float32),
        spp=np.empty(len(asked.shops.shop), np.float32),
    )
    return Predictions(asked, answers, {"day": "2026-03-12", "shuffled": "nothing"})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def logit(p):
    return np.log(p / (1 - p))
