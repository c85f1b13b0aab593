"""Whether click probabilities mean what they say, and order within a user or a moment."""

from collections.abc import Mapping

import numpy as np

from evaluation import measures, metrics
from evaluation.bootstrap import Interval
from evaluation.measures import Bench
from evaluation.metrics import NAN, AnyArray, Floats
from evaluation.results import Estimate, Figure


def click_figures(
    bench: Bench, probability: AnyArray, protocol: str, when: str = "next day"
) -> list[Figure]:
    """GAUC by user and by moment, log loss, normalised entropy, ECE, said over seen clicks.

    GAUC keeps to the headline negatives. What a probability means depends on how many negatives
    stand beside a positive, so those figures take all candidates, as training did.

    Args:
        bench: questions and draws.
        probability: of a click, per candidate.
        protocol: of the headline.
        when: which moments, as in `tasks.Others`.
    """
    candidates = bench.questions.candidates
    every = bench.questions.user_of(candidates.moment)
    p, y = np.asarray(probability), candidates.clicked
    rows = np.flatnonzero(measures.headline(candidates))
    users = np.arange(bench.questions.users)
    found = {
        "ctr_gauc": _gauc(bench, p[rows], y[rows], every[rows], users),
        "ctr_gauc_moment": _within_moments(bench, p, y),
        "ctr_log_loss": _log_loss(bench, p, y, every),
        "ctr_ne": _normalised_entropy(bench, p, y, every),
        "ctr_ece": calibration_error(bench, p, y, every),
        "ctr_calibration": _said_over_seen(bench, p, y, every),
    }
    return _told(bench, found, y, protocol, f"{when}; all candidates")


def ranking_figures(bench: Bench, score: AnyArray, protocol: str) -> list[Figure]:
    """GAUC of the ranking score by moment: what a page's order is worth, whatever the page.

    An AUC over all pages also asks which page was the better one, which no ranking decides; a score
    may gain there and lose within pages (docs/adr/0019).
    """
    y = measures.BY_NAME["l2r_auc"].positive(bench.questions.candidates)
    found = {"l2r_gauc_moment": _within_moments(bench, np.asarray(score), y)}
    return _told(bench, found, y, protocol)


def _told(
    bench: Bench, found: Mapping[str, Interval], y: AnyArray, protocol: str, of_all: str = ""
) -> list[Figure]:
    """Figures of intervals; without an interval where too few candidates were acted on.

    `protocol` is that of figures WITHIN users or moments, `of_all` that of the others.
    """
    every = bench.questions.user_of(bench.questions.candidates.moment)
    positives = int(y.sum())
    few = bench.lacks(positives, len(y) - positives, len(np.unique(every)))
    return [
        Figure(
            name=name,
            **Estimate.of(Interval(interval.value) if few else interval).model_dump(),
            unit=UNITS[name],
            protocol=f"{protocol if name in WITHIN else of_all}; {WORDS[name]}",
        )
        for name, interval in found.items()
    ]


WITHIN = ("ctr_gauc", "ctr_gauc_moment", "l2r_gauc_moment")
UNITS = {
    "ctr_gauc": "AUC",
    "ctr_gauc_moment": "AUC",
    "l2r_gauc_moment": "AUC",
    "ctr_log_loss": "nats",
    "ctr_ne": "ratio",
    "ctr_ece": "probability",
    "ctr_calibration": "ratio",
}
WORDS = {
    "ctr_gauc": "AUC within each user, weighted by impressions",
    "ctr_gauc_moment": "AUC within each moment, weighted by impressions",
    "l2r_gauc_moment": "AUC within each moment of any action, weighted by impressions",
    "ctr_log_loss": "mean negative log likelihood of a click",
    "ctr_ne": "log loss over that of the day's mean rate",
    "ctr_ece": "mean gap between said and seen click rate, bins of equal size",
    "ctr_calibration": "clicks said over clicks seen",
}
"""What each figure is, in words."""


def _within_moments(bench: Bench, score: AnyArray, y: AnyArray) -> Interval:
    """Of the headline negatives."""
    candidates = bench.questions.candidates
    rows = np.flatnonzero(measures.headline(candidates))
    moment, user_of = candidates.moment[rows], bench.questions.moments.user
    return _gauc(bench, score[rows], y[rows], moment, user_of)


def _gauc(bench: Bench, p: AnyArray, y: AnyArray, group: AnyArray, user_of: AnyArray) -> Interval:
    """Groups are users or moments; draws are of users either way."""
    grouped = metrics.grouped_auc(p, y, group)
    user = user_of[grouped.group]
    replicates = bench.resamples.ratio(grouped.auc * grouped.rows, grouped.rows, user)
    return bench.resamples.interval(grouped.mean, replicates)


def _log_loss(bench: Bench, p: AnyArray, y: AnyArray, user: AnyArray) -> Interval:
    return bench.resamples.interval(metrics.log_loss(p, y), _log_losses(bench, p, y, user))


def _normalised_entropy(bench: Bench, p: AnyArray, y: AnyArray, user: AnyArray) -> Interval:
    rates = bench.resamples.ratio(y, np.ones(len(y)), user)
    replicates = _log_losses(bench, p, y, user) / metrics.entropy(rates)
    return bench.resamples.interval(metrics.normalised_entropy(p, y), replicates)


def _log_losses(bench: Bench, p: AnyArray, y: AnyArray, user: AnyArray) -> Floats:
    return bench.resamples.ratio(metrics.log_losses(p, y), np.ones(len(y)), user)


def calibration_error(bench: Bench, p: AnyArray, y: AnyArray, user: AnyArray) -> Interval:
    """`ctr_ece` of probabilities `p` and clicks `y`, one a candidate.

    The bins are those of the day as a whole; draws only move what is in them.

    The error sums absolute gaps, so chance only adds to it, and a draw adds it once more: draws lie
    above the error itself, and their percentiles often leave it out. But no error is farther off
    than the gaps of its bins are together, so what these move by in a draw is the reach.
    """
    if not len(p):
        return Interval(NAN)
    bins = bench.config.calibration_bins
    bin_of, off = metrics.calibration_bins(p, bins), np.asarray(p, np.float64) - y
    gaps = np.bincount(bin_of, off, bins)[:, None] / len(p)
    drawn = bench.resamples.totals(off, bin_of, user, bins)
    rows = bench.resamples.totals(np.ones(len(p)), bin_of, user, bins).sum(0)
    redrawn = np.divide(drawn, rows, out=np.full(drawn.shape, np.nan), where=rows > 0)
    moved = np.abs(redrawn - gaps).sum(0)
    return bench.resamples.around(metrics.calibration(p, y, bins).error, moved)


def _said_over_seen(bench: Bench, p: AnyArray, y: AnyArray, user: AnyArray) -> Interval:
    value = metrics.calibration(p, y, bench.config.calibration_bins).ratio
    return bench.resamples.interval(value, bench.resamples.ratio(p, y, user))
