"""The offline evaluation: a model's answers of a day -> a report of everything that they show.

`evaluate` is pure: the same answers give the same report, byte by byte. What is asked twice (model,
yardsticks, truth, champion, shuffled inputs) shares the bootstrap draws, so every difference has a
paired interval. Too little data is a named outcome, never a crash.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from evaluation import drawn, figures, measures, metrics, slices, tasks, yardsticks
from evaluation.measures import BY_NAME, Bench
from evaluation.predictions import Predictions
from evaluation.probabilities import click_figures, ranking_figures
from evaluation.questions import Questions
from evaluation.results import (
    NOT_TRAINED,
    Curves,
    Estimate,
    Line,
    OfflineReport,
    SliceResult,
    TaskResult,
)
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from evaluation.tasks import Others, scores_of
from features.schemas import PRICE_LEVELS
from infra.progress import ProgressBar, quiet

SLICED = ("ctr_auc", "l2r_auc")
"""Measures that are looked at slice by slice."""


@dataclass(frozen=True)
class Material:
    """What a report needs beside the model's answers."""

    key: str
    day: str
    context: Context
    others: Others = field(default_factory=Others)
    shuffled: Mapping[str, Predictions] = field(default_factory=dict)
    """By what was shuffled (`properties`, `query`)."""
    lineage: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Line] = field(default_factory=dict)
    """Curves of the training run."""
    title: str = "Offline evaluation"
    asked: str = ""
    """Who was asked, in words."""
    learnt: str = ""
    """Training days with negatives of another protocol, in words."""
    untrained: frozenset[str] = frozenset()
    """Tasks that the model was not trained for."""


def evaluate(
    predictions: Predictions,
    material: Material,
    config: EvaluateConfig,
    progress: ProgressBar = quiet,
) -> OfflineReport:
    """The report; `progress` shows how many of its figures have their interval."""
    with progress("figures", unit="figures") as shown:
        return _report(predictions, material, Bench.of(predictions.questions, config, shown))


def _report(predictions: Predictions, material: Material, bench: Bench) -> OfflineReport:
    questions, answers, config = predictions.questions, predictions.answers, bench.config
    results = [
        _said_untrained(result) if result.task in material.untrained else result
        for result in tasks.results(bench, answers, material.others)
    ]
    classes = tasks.price_classes(bench, answers, material.others.yardsticks)
    when = material.others.when
    costs, notes = figures.of_shuffles(bench, predictions, material.shuffled)
    flat = [
        *(figure for result in results for figure in figures.of_task(result)),
        *click_figures(bench, answers.ctr, results[0].protocol, when),
        *ranking_figures(bench, answers.l2r, results[0].protocol),
        *figures.of_classes(classes, when),
        *costs,
    ]
    return OfflineReport(
        key=material.key,
        day=material.day,
        title=material.title,
        protocol={**_protocol(questions, material, config), **_not_trained(results)},
        lineage=dict(material.lineage),
        counts=_counts(questions),
        figures=tuple(flat),
        tasks=tuple(results),
        classes=tuple(classes),
        slices=tuple(_sliced(bench, predictions, material.context)),
        curves=_curves(predictions, material, config),
        notes=(*_reasons(results), *notes, *_absent(material.others)),
    )


def _said_untrained(result: TaskResult) -> TaskResult:
    """The same figures, said to be of a head that has learnt nothing."""
    return result.model_copy(update={"reason": NOT_TRAINED}) if result.questions else result


def _sliced(bench: Bench, predictions: Predictions, context: Context) -> Iterator[SliceResult]:
    asks = {ask.measure.name: ask for ask in tasks.asked(bench.questions)}
    parts = slices.candidate_parts(bench.questions, context, bench.config.activity_edges)
    for part in parts:
        for name in SLICED:
            ask = tasks.part_of(asks[name], part)
            found = bench.measure(
                ask.measure, scores_of(predictions.answers, ask.measure), ask.keep
            )
            if not found.questions:
                continue
            yield SliceResult(
                dimension=part.dimension,
                part=part.name,
                name=name,
                questions=found.questions,
                positives=found.positives,
                users=found.users,
                model=Estimate.of(found.interval),
                reason=found.reason,
            )


def _curves(predictions: Predictions, material: Material, config: EvaluateConfig) -> Curves:
    roc = {}
    for ask in tasks.asked(predictions.questions):
        measure = ask.measure
        block = getattr(predictions.questions, measure.place)
        rows = np.flatnonzero(ask.keep) if ask.keep is not None else np.arange(len(block.moment))
        if measure.unit != "AUC" or measure.weight is not None:
            continue
        happened = measure.positive(block)[rows] > 0
        if not happened.any() or happened.all():  # nothing is ordered
            continue
        scores = scores_of(predictions.answers, measure)[rows]
        false, true = metrics.roc_curve(scores, happened)
        roc[measure.name] = Line(title=measure.title, x=tuple(false), y=tuple(true))
    candidates, prices = predictions.questions.candidates, predictions.questions.prices
    curve = metrics.calibration(
        predictions.answers.ctr, candidates.clicked, config.calibration_bins
    )
    said = scores_of(predictions.answers, BY_NAME["ppp_precision"])
    confusion = metrics.classes(prices.level, said, PRICE_LEVELS).confusion
    return Curves(
        roc=roc,
        calibration=Line(title="clicks", x=tuple(curve.predicted), y=tuple(curve.observed))
        if len(curve.rows)
        else None,
        calibration_rows=tuple(curve.rows.tolist()),
        confusion=tuple(map(tuple, confusion.tolist())) if len(said) else (),
        training=dict(material.training),
    )


def _counts(questions: Questions) -> dict[str, int]:
    clicked = questions.candidates.clicked
    return {
        "moments": len(questions.moments.user),
        "users": questions.users,
        "candidates": len(questions.candidates.moment),
        "clicks": int(clicked[measures.headline(questions.candidates)].sum()),
        "purchases": int(questions.candidates.purchased.sum()),
        "price_questions": len(questions.prices.moment),
        "icons": len(questions.icons.moment),
        "follows": int(questions.icons.followed.sum()),
        "shops": len(questions.shops.moment),
    }


def _protocol(questions: Questions, material: Material, config: EvaluateConfig) -> dict[str, str]:
    derived = measures.is_derived(questions.candidates)
    words = {
        "Day": material.asked or f"{material.day}; no moment of it was trained on",
        "Moments": "derived from clicks: the log has no impressions"
        if derived
        else "pages and icons as they were shown",
        "Negatives": drawn.sentence(questions.candidates, material.others.negatives)
        + (f"; of the training days: {material.learnt}" if material.learnt else ""),
        "Intervals": (
            f"{100 * config.level:g}%, {config.replicates} bootstrap draws of users (not rows), "
            "the same draws for all, so that differences are paired"
        ),
        "Too little data": (
            f"fewer than {config.min_positives} positives or negatives, or {config.min_users} "
            "users: no interval, named as such"
        ),
    }
    if material.others.truth.best:
        words["Ceiling"] = (
            "the simulator's own probabilities on the same questions; part of it rests on latent "
            "state that no history shows (needs born with the page and not put into words; beside "
            "it the ceiling without them), so 100 % cannot be reached. PPP: share above the "
            "commonest level"
        )
    return words


def _reasons(results: list[TaskResult]) -> list[str]:
    told = [result for result in results if result.reason and not result.untrained]
    return [f"{result.title}: {result.reason}" for result in told]


def _not_trained(results: list[TaskResult]) -> dict[str, str]:
    titles = [result.title for result in results if result.untrained]
    said = (
        "asked all the same: not among train.tasks, or asked nowhere in the days that were learnt, "
        "a head answers at random"
    )
    return {"Not trained": f"{', '.join(titles)}; {said}"} if titles else {}


def _absent(others: Others) -> list[str]:
    titles = yardsticks.absent(others.yardsticks) if others.yardsticks else []
    return [f"Yardsticks that this log does not allow: {', '.join(titles)}."] if titles else []
