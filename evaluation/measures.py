"""The measures of the tasks as one table, and how any scores are measured with any of them.

A measure says which questions it is about, what counts as positive and how much a question
weighs; whoever answered (model, yardstick, truth, champion) is measured by the same code on the
same bootstrap draws.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evaluation import metrics
from evaluation.bootstrap import Interval, Resamples
from evaluation.metrics import NAN, AnyArray, Bools, Floats
from evaluation.questions import Candidates, Icons, Prices, Questions, Shops
from evaluation.settings import EvaluateConfig
from features.schemas import CandidateOrigin
from infra.progress import Progress

Block = Candidates | Prices | Icons | Shops


@dataclass(frozen=True)
class Measure:
    """How answers to one kind of question become one number; higher is better."""

    name: str
    title: str
    task: str
    place: str
    """The block of `Questions` that it is about."""
    positive: Callable[[Block], AnyArray]
    weight: Callable[[Block], AnyArray] | None = None
    unit: str = "AUC"
    """How it is measured: "AUC" of yes or no, or "share" of price levels that were said rightly."""
    protocol: str = ""

    def __post_init__(self) -> None:
        if self.unit not in ("AUC", "share"):
            raise ValueError(
                f"{self.name} is measured in {self.unit}, which is neither AUC nor share: say in "
                "`Bench.measure` how it is computed, and in `evaluation.tasks` what chance is."
            )


def _is(name: str) -> Callable[[Block], AnyArray]:
    def column(block: Block) -> AnyArray:
        return np.asarray(getattr(block, name)) > 0

    return column


def _weights(block: Block) -> AnyArray:
    return np.asarray(getattr(block, "weight"))  # noqa: B009  # only candidates carry weights


MEASURES = (
    Measure("ctr_auc", "Click (CTR)", "ctr", "candidates", _is("clicked")),
    Measure("l2r_auc", "Ranking (L2R), any action", "l2r", "candidates", _is("label")),
    Measure(
        "l2r_weighted_auc",
        "Ranking (L2R), weighted by action",
        "l2r",
        "candidates",
        _is("label"),
        _weights,
        protocol="pairs weigh n_i of equation (9)",
    ),
    Measure("l2r_purchase_auc", "Ranking (L2R), purchase", "l2r", "candidates", _is("purchased")),
    Measure(
        "ppp_precision",
        "Price level (PPP)",
        "ppp",
        "prices",
        lambda block: np.ones(len(block.moment), bool),
        unit="share",
        protocol="micro precision over 7 levels, as Table 2",
    ),
    Measure("fifp_auc", "Follow an icon (FIFP)", "fifp", "icons", _is("followed")),
    Measure("spp_auc", "Preferred shop (SPP)", "spp", "shops", _is("preferred")),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


@dataclass(frozen=True)
class Measured:
    """A number, its value in every replicate, and what it rests on."""

    value: float
    replicates: Floats
    interval: Interval
    questions: int
    positives: int
    users: int
    reason: str | None

    def minus(self, other: "Measured", resamples: Resamples) -> Interval:
        """The paired difference."""
        if self.reason is not None or other.reason is not None:
            return Interval(self.value - other.value)
        return resamples.interval(self.value - other.value, self.replicates - other.replicates)


@dataclass(frozen=True)
class Bench:
    """Questions, draws and settings that all measurements of a report share."""

    questions: Questions
    resamples: Resamples
    config: EvaluateConfig
    shown: Progress | None = None
    """Hears of each figure that is measured."""

    @classmethod
    def of(
        cls, questions: Questions, config: EvaluateConfig, shown: Progress | None = None
    ) -> "Bench":
        """The draws follow from the number of users and the seed alone."""
        draws = Resamples.draw(questions.users, config.replicates, config.seed, config.level)
        return cls(questions, draws, config, shown)

    def measure(self, measure: Measure, scores: AnyArray, keep: AnyArray | None = None) -> Measured:
        """`scores` on the questions in `keep` (a mask; all when absent).

        Args:
            measure: what to compute.
            scores: one per question; for PPP the said level of each question, 0-based.
            keep: questions to look at.
        """
        if self.shown is not None:
            self.shown.advance()
        block: Block = getattr(self.questions, measure.place)
        rows = np.arange(len(block.moment)) if keep is None else np.flatnonzero(keep)
        user = self.questions.user_of(block.moment[rows])
        if measure.unit == "share":
            hit = np.asarray(scores)[rows] == block.level[rows]  # type: ignore[union-attr]  # prices
            return self.share(hit, user)
        weight = measure.weight(block)[rows] if measure.weight else None
        return self._auc(np.asarray(scores)[rows], measure.positive(block)[rows], user, weight)

    def _auc(
        self, score: AnyArray, positive: Bools, user: AnyArray, weight: AnyArray | None
    ) -> Measured:
        positives, users = int(positive.sum()), len(np.unique(user))
        value = metrics.auc(score, positive, weight)
        reason = self.lacks(positives, len(positive) - positives, users)
        if reason is not None:
            return self._measured(value, None, len(positive), positives, users, reason)
        replicates = self.resamples.auc(score, positive, user, weight)
        return self._measured(value, replicates, len(positive), positives, users, None)

    def share(self, hit: Bools, user: AnyArray) -> Measured:
        """The share of hits, one entry a question."""
        value = float(hit.mean()) if len(hit) else NAN
        users = len(np.unique(user))
        reason = self.lacks(len(hit), None, users)
        replicates = None if reason else self.resamples.ratio(hit, np.ones(len(hit)), user)
        return self._measured(value, replicates, len(hit), len(hit), users, reason)

    def _measured(
        self,
        value: float,
        replicates: Floats | None,
        questions: int,
        positives: int,
        users: int,
        reason: str | None,
    ) -> Measured:
        known = np.full(self.resamples.replicates, np.nan) if replicates is None else replicates
        drawn = known[np.isfinite(known)]
        extreme = value == 1 or (value == 0 and positives == questions)  # 0 of a share, no AUC
        if reason is None and extreme and len(drawn) and (drawn == value).all():
            reason = ALIKE
        interval = Interval(value) if reason else self.resamples.interval(value, known)
        return Measured(value, known, interval, questions, positives, users, reason)

    def lacks(self, positives: int, negatives: int | None, users: int) -> str | None:
        """The sentence of "not enough evidence", or None.

        Args:
            positives: how many; for a share, questions.
            negatives: how many; None for a share, which has none.
            users: how many asked.
        """
        need = self.config
        if not positives and not negatives:
            return "not asked: no such questions on this day."
        fewest = positives if negatives is None else min(positives, negatives)
        if fewest >= need.min_positives and users >= need.min_users:
            return None
        found = (
            f"{positives:,} questions"
            if negatives is None
            else f"{positives:,} positives and {negatives:,} negatives"
        )
        return (
            f"not enough evidence: {found} of {users:,} users "
            f"(needed: {need.min_positives:,} and {need.min_users:,})."
        )


ALIKE = (
    "not enough evidence: every draw of users gives the same figure, so none says how sure it is."
)
"""As where all of few answers are right: the true share is not 1 for that. Between 0 and 1 a figure
that does not move is known: who scores all candidates of a moment alike has an AUC of one half. So
is an AUC of 0: every positive below every negative is no luck, and must fail a floor."""


def headline(candidates: Candidates) -> Bools:
    """Candidates of the headline protocol: all that were shown, or the same-day negatives."""
    return np.asarray(candidates.origin != CandidateOrigin.SAME_CATEGORY)


def same_category(candidates: Candidates) -> Bools:
    """Derived moments, the harder protocol: negatives within the positive's category.

    Only moments that have such a negative: the others' positives would stand against negatives of
    other moments alone, which are of larger categories.
    """
    negative = candidates.origin == CandidateOrigin.SAME_CATEGORY
    has = np.zeros(int(candidates.moment.max(initial=-1)) + 1, bool)
    has[candidates.moment[negative]] = True
    clicked = candidates.origin == CandidateOrigin.CLICKED
    return np.asarray(negative | (clicked & has[candidates.moment]))


def is_derived(candidates: Candidates) -> bool:
    """Whether negatives were drawn, because the log has no impressions."""
    return bool((candidates.origin != CandidateOrigin.SHOWN).any())
