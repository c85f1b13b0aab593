"""The evaluation step: reads a day, asks the model, and hands everything to `offline.evaluate`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from evaluation import ceiling, drawn, offline, yardsticks
from evaluation.comparison import compare
from evaluation.offline import Material
from evaluation.paired import Comparison
from evaluation.predict import Shuffle, predict_each
from evaluation.predictions import Predictions
from evaluation.questions import Questions, read
from evaluation.results import Line, OfflineReport
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from evaluation.tasks import Others
from evaluation.unseen import Asked
from features import catalog
from features.catalog import CatalogArrays
from infra.progress import track
from infra.store import Store
from training.ancestry import Part
from training.model.dupn import Dupn


@dataclass(frozen=True)
class Evaluated:
    """What a day's evaluation found."""

    report: OfflineReport
    predictions: Predictions
    comparison: Comparison | None
    """With the champion; None where there is none."""


@dataclass(frozen=True)
class Background:
    """Where the model comes from, and who judges it; printed in the report."""

    key: str
    """Names the report: `reports/offline/<key>/`."""
    training_days: Sequence[date]
    """Days before the evaluated one: yardsticks are fitted on them, their users are known. A
    night's candidate has learnt the evaluated day, too, of users who are not asked."""
    lineage: Mapping[str, str]
    training: Mapping[str, Line]
    """Curves of the training run, by title."""
    asked: Asked | None = None
    """Users of the day who are asked; all when absent."""
    untrained: frozenset[str] = frozenset()
    """Tasks that the candidate was not trained for."""


def run(
    model: Dupn,
    store: Store,
    day: date,
    background: Background,
    config: EvaluateConfig,
    champion: Dupn | None = None,
) -> Evaluated:
    """The model (and the champion) on the questions of `samples/dt=day`.

    Args:
        model: the candidate.
        store: where samples, catalog and truth are.
        day: a day that neither model trained on, at least not on the moments of `background.asked`.
        background: where the candidate comes from and who is asked.
        config: of the evaluation.
        champion: the model in production, asked the same questions.
    """
    asked = background.asked or Asked(day)
    some = asked.part
    questions = read(store, day, some)
    items, negatives = catalog.load(store, day), drawn.protocol(store, day)
    predictions, shuffled = _answers(model, store, day, config, questions, some)
    context = context_of(store, items, background.training_days)
    material = Material(
        key=background.key,
        day=day.isoformat(),
        context=context,
        others=Others(
            yardsticks=yardsticks.compute(
                store, day, background.training_days, items, config, some
            ),
            truth=ceiling.scores(store, day, questions, items),
            when=asked.when,
            negatives=negatives,
        ),
        shuffled=shuffled,
        lineage=background.lineage,
        training=background.training,
        asked=asked.words,
        learnt=drawn.others(store, background.training_days, negatives),
        untrained=background.untrained,
    )
    report = offline.evaluate(predictions, material, config, track)
    if champion is None:
        return Evaluated(report, predictions, None)
    (theirs,) = predict_each(
        champion, store, day, config, [Shuffle.NOTHING],
        questions=questions, some=some, progress=track,
    )  # fmt: skip
    return Evaluated(report, predictions, compare(predictions, theirs, context, config))


def _answers(
    model: Dupn,
    store: Store,
    day: date,
    config: EvaluateConfig,
    questions: Questions,
    some: Part | None,
) -> tuple[Predictions, dict[str, Predictions]]:
    """The model's answers; and those with part of the input shuffled, by what was."""
    # Other queries come right after the input as it is: the past is read once for both.
    shuffles = (Shuffle.NOTHING, Shuffle.QUERY, Shuffle.PROPERTIES)[: 3 if config.shuffles else 1]
    found = predict_each(
        model, store, day, config, shuffles, questions=questions, some=some, progress=track
    )
    by_shuffle = dict(zip(shuffles, found, strict=True))
    plain = by_shuffle.pop(Shuffle.NOTHING)
    return plain, {str(what): by_shuffle[what] for what in Shuffle if what in by_shuffle}


def context_of(store: Store, items: CatalogArrays, training_days: Sequence[date]) -> Context:
    """What the slices need: price levels, which items and which users are new."""
    last = max(training_days) if training_days else None
    known = _users(store, training_days)
    met = (catalog.load(store, last) if last else items).is_item()
    met[: catalog.FIRST_ROW] = True  # what nobody can tell from another item is not new
    return Context(items.price_level, met, known)


def _users(store: Store, days: Sequence[date]) -> NDArray[np.uint64] | None:
    """Whoever had a moment on one of the days; memory grows with them and with a day's rows."""
    known: NDArray[np.uint64] | None = None
    for day in days:
        partition = store.partition("samples", day)
        found = [
            np.unique(partition.table(["user_hash"], [entry])["user_hash"].to_numpy())
            for entry in partition.manifest().files
            if entry.rows
        ]
        if found:
            known = np.unique(np.concatenate(found if known is None else [known, *found]))
    return known
