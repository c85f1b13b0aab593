"""How training went, by step, as the tracker has it: lines for the offline report.

Every batch is predicted before it is learnt, so the first epoch's curves are on moments that the
network had not seen ("first pass"); later epochs start their means anew ("seen before").
"""

from collections.abc import Iterator, Mapping

from evaluation.results import Line
from infra.tracking import MlflowTracker

PASSES = {
    "progressive": "first pass",
    "repeated": "seen before",
    "validation": "unseen days",
}
"""What a metric's first word means."""


def of_run(tracker: MlflowTracker, run_id: str) -> Mapping[str, Line]:
    """Loss and quality of every task by step, by metric; none where the tracker has none."""
    if not run_id:
        return {}
    points = tracker.history(run_id, tuple(f"{word}_" for word in PASSES))
    return dict(_lines(points))


def _lines(points: Mapping[str, Mapping[int, float]]) -> Iterator[tuple[str, Line]]:
    for name in sorted(points, key=_place):
        by_step = points[name]
        if len(by_step) < 2:  # no line through one point
            continue
        word, _, measured = name.partition("_")
        task, _, what = measured.partition("_")
        measure = f"{task.upper()} {what.upper() if what == 'auc' else what}".strip()
        steps = sorted(by_step)
        yield (
            name,
            Line(
                title=f"{measure}, {PASSES[word]}",
                x=tuple(float(step) for step in steps),
                y=tuple(by_step[step] for step in steps),
            ),
        )


def _place(name: str) -> tuple[int, str]:
    """Passes in their order, tasks within."""
    word, _, measured = name.partition("_")
    return list(PASSES).index(word), measured
