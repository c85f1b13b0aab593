"""Results as the flat list of figures that every report of dupn carries; names are stable."""

from collections.abc import Iterator, Mapping

from evaluation import tasks
from evaluation.measures import Bench
from evaluation.metrics import AnyArray
from evaluation.names import HEADS
from evaluation.predictions import Predictions
from evaluation.questions import Questions
from evaluation.results import ClassResult, Estimate, Figure, TaskResult
from evaluation.tasks import Asked, scores_of
from evaluation.yardsticks import MAX_ENTROPY


def of_task(result: TaskResult) -> Iterator[Figure]:
    """The model's figure, then ceiling and share, then each yardstick and the difference."""

    def figure(name: str, estimate: Estimate, unit: str = result.unit) -> Figure:
        return Figure(name=name, **estimate.model_dump(), unit=unit, protocol=result.protocol)

    yield figure(result.name, result.model)
    if result.ceiling is not None and result.share is not None:
        yield figure(f"{result.name}_ceiling", result.ceiling.estimate)
        yield figure(f"{result.name}_share", result.share, "share")
    if result.visible is not None:
        yield figure(f"{result.name}_visible_ceiling", result.visible.estimate)
    for rival in result.rivals:
        yield figure(f"{result.name}_{rival.name}", rival.estimate)
        yield figure(f"{result.name}_over_{rival.name}", rival.difference)


def of_classes(classes: list[ClassResult], when: str) -> Iterator[Figure]:
    """Precision and recall of each price level, and MaxEnt's; `when` as in `tasks.Others`."""
    for row in classes:
        for who, one in (("", row), (f"_{MAX_ENTROPY}", row.rival)):
            if one is None:
                continue
            for kind, estimate in (("precision", one.precision), ("recall", one.recall)):
                yield Figure(
                    name=f"ppp_{kind}_level_{row.level}{who}",
                    **estimate.model_dump(),
                    unit="share",
                    protocol=f"{when}; {kind} of price level {row.level}",
                )


def of_shuffles(
    bench: Bench, predictions: Predictions, shuffled: Mapping[str, Predictions]
) -> tuple[list[Figure], list[str]]:
    """What each measure loses when an input is shuffled within a batch."""
    figures, notes = [], []
    for what, broken in shuffled.items():
        for ask in tasks.asked(bench.questions):
            measure = ask.measure
            if measure.name not in HEADS:
                continue
            keep = _with_query(bench.questions, ask) if what == "query" else ask.keep
            whole, broke = (
                bench.measure(measure, scores_of(model.answers, measure), keep)
                for model in (predictions, broken)
            )
            suffix = "" if measure.name == "ctr_auc" else f"_{measure.name}"
            where = "; moments with a query" if what == "query" else ""
            figures.append(
                Figure(
                    name=f"shuffled_{what}_cost{suffix}",
                    **Estimate.of(whole.minus(broke, bench.resamples)).model_dump(),
                    unit=measure.unit,
                    protocol=f"{measure.name} lost; {what} shuffled within a batch{where}",
                )
            )
            if whole.reason and measure.name == "ctr_auc":
                notes.append(f"shuffled {what}: {whole.reason}")
    return figures, notes


def _with_query(questions: Questions, ask: Asked) -> AnyArray:
    moment = getattr(questions, ask.measure.place).moment
    asked = questions.moments.query_tokens[moment] > 0
    return asked if ask.keep is None else asked & ask.keep
