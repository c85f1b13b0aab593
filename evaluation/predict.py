"""Asks a network every question of a day, optionally with part of its input shuffled.

A shuffle keeps every marginal and breaks one association: the properties change places among the
behaviours of a batch, or the queries among its moments that have one. What the figures lose is
what the network really draws from that input.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from datetime import date
from enum import StrEnum
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from evaluation.metrics import AnyArray, Ints
from evaluation.predictions import PLACES, Answers, Predictions
from evaluation.questions import Questions, read
from evaluation.settings import EvaluateConfig
from features.buckets import hash_distinct
from features.schemas import PRICE_LEVELS
from infra.errors import TrainingError
from infra.progress import ProgressBar, quiet
from infra.store import Store
from training import offered
from training.ancestry import Part
from training.batch import PROPERTIES_BT, Batch
from training.data import Loaded, Position, Reader, Samples
from training.inference import answered
from training.model.network import Network, Outputs
from training.moments import MomentInfo
from training.slices import Slice

BUFFER = 16_384
"""Moments in memory at once."""


class Shuffle(StrEnum):
    """What is shuffled within a batch before the network sees it."""

    NOTHING = "nothing"
    PROPERTIES = "properties"
    QUERY = "query"


def predict(
    model: Network,
    store: Store,
    day: date,
    config: EvaluateConfig,
    *,
    questions: Questions | None = None,
) -> Predictions:
    """The model's answers to every question of `samples/dt=day`.

    Args:
        model: on the device where it shall work; its mode is left as it was.
        store: where the samples are.
        day: a day that the model did not train on.
        config: batch size and seed.
        questions: of that day, if they were read before.
    """
    asked = read(store, day) if questions is None else questions
    alone = [Shuffle.NOTHING]
    return predict_each(model, store, day, config, alone, questions=asked)[0]


def predict_each(  # noqa: PLR0913  # a front door: who is asked what, and how often
    model: Network,
    store: Store,
    day: date,
    config: EvaluateConfig,
    shuffles: Sequence[Shuffle],
    *,
    questions: Questions,
    some: Part | None = None,
    progress: ProgressBar = quiet,
) -> list[Predictions]:
    """The model's answers once for each of `shuffles`, in their order; the day is read once.

    Args:
        model: as in `predict`.
        store: as in `predict`.
        day: as in `predict`.
        config: as in `predict`; a shuffle deals alike whatever else is asked with it.
        shuffles: what to break first. The network may work out once what is the same in two of
            them that follow each other (`Network.each`).
        questions: of that day (and those users).
        some: which of the day's users; all when absent.
        progress: what shows how far it is.
    """
    samples = Samples(store, [day], model.sizes, [Slice(some)] if some else None)
    scores = [Scores(questions) for _ in shuffles]
    offered.warn(store, [day], model)
    if samples.moments:
        reader = Reader(samples, batch_size=config.batch_size, buffer=BUFFER, shuffle=False)
        rngs = [np.random.default_rng([config.seed, list(Shuffle).index(s)]) for s in shuffles]
        device = str(next(model.parameters()).device)
        count = len(questions.moments.user)

        def dealt() -> Iterator[tuple[Loaded, list[Batch]]]:
            for loaded in reader.epoch(Position()):
                whole = repeat(loaded.batch.to(device))
                yield loaded, list(map(shuffled, whole, shuffles, rngs))

        with progress("answers", total=count, unit="moments") as shown:
            for (loaded, _), said in answered(model, lambda one: model.each(one[1]), dealt()):
                for score, out in zip(scores, said, strict=True):
                    score.put(loaded.info, loaded.batch, out)
                shown.advance(len(loaded.info.ts))
    return [
        Predictions(questions, score.answers(), {"day": day.isoformat(), "shuffled": str(what)})
        for score, what in zip(scores, shuffles, strict=True)
    ]


def shuffled(batch: Batch, what: Shuffle, rng: np.random.Generator) -> Batch:
    """The batch with one kind of input dealt anew; properties of a behaviour stay together."""
    if what is Shuffle.PROPERTIES:
        place = torch.arange(batch.seq_BT.shape[1], device=batch.length_B.device)
        real = place[None, :] < batch.length_B[:, None]
        order = torch.from_numpy(rng.permutation(int(real.sum()))).to(real.device)
        dealt: dict[str, Any] = {name: _dealt(batch, name, real, order) for name in PROPERTIES_BT}
        return replace(batch, **dealt)
    if what is Shuffle.QUERY and batch.query_BQ.shape[1]:
        asked = torch.nonzero((batch.query_BQ > 0).any(dim=1)).squeeze(1)
        other = asked[torch.from_numpy(rng.permutation(len(asked))).to(asked.device)]
        queries, offers = batch.query_BQ.clone(), batch.offer_BL
        queries[asked] = batch.query_BQ[other]
        if offers is not None:  # what is on offer is the query's
            offers = offers.index_copy(0, asked, offers[other])
        return replace(batch, query_BQ=queries, offer_BL=offers)
    return batch


def _dealt(batch: Batch, name: str, real: Tensor, order: Tensor) -> Tensor:
    values: Tensor = getattr(batch, name).clone()
    values[real] = values[real][order]
    return values


@contextmanager
def answering(model: Network) -> Iterator[None]:
    """No dropout and no gradients inside."""
    mode = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(mode)


ASKED = {
    "candidates": ("cand_moment_C", "clicked", "cand_clicked_C"),
    "prices": ("price_moment_K", "level", "price_level_K"),
    "icons": ("icon_moment_I", "followed", "icon_followed_I"),
    "shops": ("shop_moment_S", "preferred", "shop_preferred_S"),
}
"""Of each block of questions: a batch's moments, the block's label, and the batch's."""


class Scores:
    """Answers as they come in, put where their questions stand."""

    def __init__(self, questions: Questions) -> None:
        self._questions = questions
        self._ids = pa.array(questions.moments.sample_id, pa.string())
        moments = len(self._ids)
        hashes = hash_distinct(self._ids)
        self._order = np.argsort(hashes)
        self._hashes = hashes[self._order]
        self._starts = {
            place: np.searchsorted(getattr(questions, place).moment, np.arange(moments + 1))
            for place in set(PLACES.values())
        }
        self._found: dict[str, AnyArray] = {
            name: np.full(
                (len(getattr(questions, place).moment), *_width(name)), np.nan, np.float32
            )
            for name, place in PLACES.items()
        }

    def put(self, info: MomentInfo, batch: Batch, out: Outputs) -> None:
        """The answers of one batch."""
        moment = self._moments(info.sample_id)
        rows = {
            place: self._rows(place, moment, getattr(batch, owner))
            for place, (owner, _, _) in ASKED.items()
        }
        for place, (_, label, told) in ASKED.items():
            known = getattr(getattr(self._questions, place), label)[rows[place]]
            if not np.array_equal(known, getattr(batch, told).numpy().astype(np.int8)):
                raise TrainingError(
                    f"the reader's {place} are not those of the samples: evaluation would score "
                    "answers against the wrong questions. Run `dupn samples` for that day again."
                )
        answers = {
            "ctr": out.ctr_C.sigmoid(),
            "l2r": out.l2r_C,
            "ppp": out.ppp_K7.softmax(dim=-1),
            "fifp": out.fifp_I.sigmoid(),
            "spp": out.spp_S.sigmoid(),
        }
        for name, place in PLACES.items():
            self._found[name][rows[place]] = _numpy(answers[name])

    def answers(self) -> Answers:
        """All of them.

        Raises:
            TrainingError: a question was left open, or an answer is not a number.
        """
        for name, values in self._found.items():
            if not np.isfinite(values).all():
                raise TrainingError(
                    f"the model left {name} questions without a finite answer: its weights may "
                    "have diverged. Train again with a smaller learning rate."
                )
        return Answers(**{f.name: self._found[f.name] for f in fields(Answers)})

    def _moments(self, sample_id: pa.Array) -> Ints:
        """Where the batch's moments stand; looked up by hash, a batch costs what it holds."""
        if len(self._order):
            found = np.searchsorted(self._hashes, hash_distinct(sample_id))
            moment = self._order[np.minimum(found, len(self._order) - 1)]
            same = pc.equal(self._ids.take(pa.array(moment)), sample_id)
            if pc.all(same, skip_nulls=False, min_count=0).as_py():
                return moment
        raise TrainingError(
            "samples were published again while they were evaluated. Run `dupn evaluate` again."
        )

    def _rows(self, place: str, moment: Ints, owner: Tensor) -> Ints:
        """Where the batch's questions of a kind stand, in the batch's order."""
        mine = owner.numpy()
        first = np.searchsorted(mine, np.arange(len(moment)))
        within = np.arange(len(mine)) - first[mine]
        return np.asarray(self._starts[place][moment[mine]] + within, np.int64)


def _width(name: str) -> tuple[int, ...]:
    return (PRICE_LEVELS,) if name == "ppp" else ()


def _numpy(values: Tensor) -> AnyArray:
    return np.asarray(values.float().cpu().numpy())
