"""The picture of drift: every dimension's correlation and shift between champion and candidate."""

from collections.abc import Iterator

import numpy as np

from evaluation.plots import MODEL, SECOND, new_figure, png, tidy
from evaluation.results import Drift, OfflineReport


def drawings(report: OfflineReport) -> Iterator[tuple[str, bytes]]:
    """`drift`, where a representation was compared."""
    if report.compatibility is not None and report.compatibility.drift.correlation:
        yield "drift", drift(report.compatibility.drift)


def drift(found: Drift) -> bytes:
    """Dimensions in order of their correlation; beside it how far their means moved."""
    correlation = np.array([np.nan if one is None else one for one in found.correlation])
    shift = np.array([np.nan if one is None else one for one in found.shift])
    order = np.argsort(correlation)
    place = np.arange(len(order))
    figure, (above, below) = new_figure(9.0, 4.4, 2)
    above.plot(place, correlation[order], color=MODEL, linewidth=1.6)
    above.set_ylim(min(0.0, float(np.nanmin(correlation, initial=0.0))), 1.02)
    above.set_title("Correlation of each dimension with itself", loc="left", fontsize=10)
    below.bar(place, shift[order], color=SECOND, width=1.0)
    words = "Shift of its mean, in the champion's standard deviations"
    below.set_title(words, loc="left", fontsize=10)  # `below.title` is the one in the middle
    below.set_xlabel("dimensions, least correlated first")
    for ax in (above, below):
        tidy(ax, "y")
    return png(figure)
