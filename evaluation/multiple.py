"""The p's of questions that are asked together, corrected for how many there are.

What has no p (null) was not asked: it stays null and counts for none of the others.
"""

from collections.abc import Callable, Sequence


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Family-wise: some p falls under alpha by chance in alpha of families, however they depend.

    Of m the k-th smallest p times (m - k + 1), never below the one before it.
    """
    return _corrected(p, _step_down)


def benjamini_hochberg(p: Sequence[float | None]) -> list[float | None]:
    """False discovery rate, exact where the p's are independent."""
    return _corrected(p, _false_discoveries)


def _corrected(
    p: Sequence[float | None], method: Callable[[list[float]], list[float]]
) -> list[float | None]:
    known = [value for value in p if value is not None]
    better = iter(method(known))
    return [None if value is None else next(better) for value in p]


def _step_down(p: list[float]) -> list[float]:
    # multipletests of statsmodels has it too, and collects garbage each time: half a second where
    # MLflow and torch are loaded
    found, running = [0.0] * len(p), 0.0
    for place, at in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        running = max(running, min(1.0, p[at] * (len(p) - place)))
        found[at] = running
    return found


def _false_discoveries(p: list[float]) -> list[float]:
    from scipy.stats import false_discovery_control

    return [float(value) for value in false_discovery_control(p)] if p else []
