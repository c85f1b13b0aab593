"""The gate as an instrument: what it says of many pairs of models on many draws of users.

Each pair is a champion and a candidate whose difference is known from a large test set. Draws are
disjoint groups of users, each as large as a night's holdout, on days that neither model has learnt;
the gate judges each of them as it would judge a night. Nothing here trains.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from evaluation import metrics, tasks
from evaluation.comparison import compare
from evaluation.gate import Evidence, GateConfig, Outcome, Verdict, decide
from evaluation.measures import Bench
from evaluation.metrics import Bools
from evaluation.names import JUDGED
from evaluation.predictions import Predictions
from evaluation.probabilities import calibration_error
from evaluation.results import Figure, finite
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from evaluation.tasks import scores_of

COSTLY = 0.01
"""AUC from which a defect must be caught."""
TWIN = "twin"


@dataclass(frozen=True)
class Trial:
    """One candidate before the gate on one draw."""

    kind: str
    """`twin`, or what was spoilt."""
    cost: float
    """AUC that it loses on the large test set: of the task that loses most."""
    outcome: Outcome
    failed: tuple[str, ...]
    """Names of the checks that it failed."""
    error: float
    """Standard error of the paired CTR difference; NaN if there was too little."""

    @property
    def decided(self) -> bool:
        """Whether there was enough evidence."""
        return self.outcome is not Outcome.NOT_ENOUGH_EVIDENCE

    @property
    def passed(self) -> bool:
        """Whether the candidate would have become the champion."""
        return self.outcome is Outcome.PROMOTE


def groups(users: int, size: int, seed: int) -> list[Bools]:
    """Disjoint random groups of about `size` users, as masks over users."""
    count = max(1, users // max(size, 1))
    place = np.random.default_rng(seed).permutation(users) % count
    return [place == group for group in range(count)]


def drawn(answered: Predictions, group: Bools) -> Predictions:
    """The answers to the questions of a group's users."""
    return answered.select(group[answered.questions.moments.user])


def aucs(answered: Sequence[Predictions]) -> Mapping[str, float]:
    """Each measure on the questions of a report, the mean over days that can tell; else absent."""
    found: dict[str, list[float]] = {}
    for one in answered:
        for measure, keep in ((ask.measure, ask.keep) for ask in tasks.asked(one.questions)):
            if measure.name not in JUDGED:
                continue
            score = scores_of(one.answers, measure)
            positive = measure.positive(getattr(one.questions, measure.place))
            rows = np.ones(len(score), bool) if keep is None else keep
            value = metrics.auc(score[rows], positive[rows])
            if np.isfinite(value):
                found.setdefault(measure.name, []).append(value)
    return {name: float(np.mean(values)) for name, values in found.items()}


def judge(
    candidate: Predictions,
    champion: Predictions,
    context: Context,
    gate: GateConfig,
    config: EvaluateConfig,
) -> tuple[Verdict, float]:
    """What the gate says of one draw, and the standard error of its CTR comparison."""
    compared = compare(candidate, champion, context, config)
    error = compared.ctr.error
    mine, theirs = (evidence(one, config) for one in (candidate, champion))
    verdict = decide(mine, theirs, compared, [], gate)
    return verdict, float("nan") if error is None else error


def evidence(answered: Predictions, config: EvaluateConfig) -> Evidence:
    """Of one model on one draw, as a report would give it."""
    candidates, bench = answered.questions.candidates, Bench.of(answered.questions, config)
    user = answered.questions.user_of(candidates.moment)
    error = calibration_error(bench, answered.answers.ctr, candidates.clicked, user)
    clicks = int(candidates.clicked.sum())
    return Evidence(
        figures={**dict.fromkeys(JUDGED), **aucs([answered]), "ctr_ece": finite(error.value)},
        positives=clicks,
        negatives=len(candidates.clicked) - clicks,
        users=len(np.unique(user)),
        calibration_low=finite(error.low),
    )


def failed_checks(verdict: Verdict) -> tuple[str, ...]:
    """Names of what failed."""
    return tuple(check.name for check in verdict.checks if check.passed is False)


def figures(trials: Sequence[Trial]) -> Iterator[Figure]:
    """Pass and catch rates with Wilson intervals, and what they rest on."""
    twins = [one for one in trials if one.kind == TWIN]
    costly = [one for one in trials if one.kind != TWIN and one.cost >= COSTLY]
    slight = [one for one in trials if one.kind != TWIN and one.cost < COSTLY]
    yield _share("gate_twin_pass", [one.passed for one in twins if one.decided], "decided")
    yield _share("gate_twin_undecided", [not one.decided for one in twins], "all")
    yield _share("gate_defect_catch", [not one.passed for one in costly if one.decided], "decided")
    yield _share("gate_defect_undecided", [not one.decided for one in costly], "all")
    yield _share("gate_defect_promoted", [one.passed for one in costly], "all")
    yield _share("gate_slight_catch", [not one.passed for one in slight if one.decided], "decided")
    for check in ("ctr non-inferiority", "floor", "calibration"):
        hit = [any(name.startswith(check) for name in one.failed) for one in twins]
        yield _share(f"gate_twin_failed_{check.split()[0]}", hit, "all")
    other = [any("auc" in n or "ppp" in n for n in one.failed if "floor" not in n) for one in twins]
    yield _share("gate_twin_failed_guards", other, "all")
    for kind in dict.fromkeys(one.kind for one in trials if one.kind != TWIN):
        mine = [one for one in costly if one.kind == kind]
        yield _share(
            f"gate_catch_{kind}", [not one.passed for one in mine if one.decided], "decided"
        )
    errors = [one.error for one in twins if np.isfinite(one.error)]
    yield Figure(
        name="gate_paired_error",
        value=median(errors) if errors else None,
        unit="AUC",
        protocol="standard error of a twin's CTR difference, median over draws",
    )
    yield _count("gate_twin_trials", len(twins))
    yield _count("gate_costly_trials", len(costly))
    yield _count("gate_slight_trials", len(slight))


def wilson(hits: int, of: int) -> tuple[float | None, float | None]:
    """Wilson's 95 % interval of a share; nothing is known of no trials."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(hits, of, method="wilson") if of else (None, None)
    return low, high


def _share(name: str, hits: Sequence[bool], of: str) -> Figure:
    low, high = wilson(sum(hits), len(hits))
    return Figure(
        name=name,
        value=sum(hits) / len(hits) if hits else None,
        low=low,
        high=high,
        unit="share",
        protocol=f"of {len(hits)} trials ({of}); Wilson, draws taken as independent",
    )


def _count(name: str, value: int) -> Figure:
    return Figure(name=name, value=float(value), unit="trials", protocol="candidates times draws")
