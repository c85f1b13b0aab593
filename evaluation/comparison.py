"""Candidate against champion on the same moments and the same draws: what the gate weighs."""

from evaluation import slices, tasks
from evaluation.measures import Bench, Measured
from evaluation.names import FIFP, L2R, PPP
from evaluation.paired import Comparison, Difference
from evaluation.predictions import Predictions
from evaluation.results import finite
from evaluation.settings import EvaluateConfig
from evaluation.slices import Context
from evaluation.tasks import Asked, scores_of
from infra.errors import TrainingError

COMPARED = (L2R, PPP, FIFP)
"""Tasks beside CTR that must not become significantly worse."""


def compare(
    candidate: Predictions, champion: Predictions, context: Context, config: EvaluateConfig
) -> Comparison:
    """Candidate minus champion, paired, for the gate.

    Raises:
        TrainingError: they did not answer the same questions.
    """
    mine, theirs = candidate.questions.moments.sample_id, champion.questions.moments.sample_id
    if mine.tolist() != theirs.tolist():
        raise TrainingError(
            "candidate and champion answered different moments. Run `dupn evaluate` again."
        )
    bench = Bench.of(candidate.questions, config)
    asks = {ask.measure.name: ask for ask in tasks.asked(candidate.questions)}

    def difference(name: str, ask: Asked) -> Difference:
        mine, theirs = (
            bench.measure(ask.measure, scores_of(model.answers, ask.measure), ask.keep)
            for model in (candidate, champion)
        )
        return _difference(name, mine, theirs, bench)

    guarded = [
        difference(f"ctr_auc[{part.dimension}={part.name}]", tasks.part_of(asks["ctr_auc"], part))
        for part in slices.candidate_parts(candidate.questions, context, config.activity_edges)
        if part.dimension in slices.GUARDED and part.keep.any()
    ]
    others = [difference(name, asks[name]) for name in COMPARED]
    return Comparison(ctr=difference("ctr_auc", asks["ctr_auc"]), others=(*others, *guarded))


def _difference(name: str, mine: Measured, theirs: Measured, bench: Bench) -> Difference:
    gap = mine.minus(theirs, bench.resamples)
    return Difference(
        name=name,
        candidate=finite(mine.value),
        champion=finite(theirs.value),
        value=finite(gap.value),
        low=finite(gap.low),
        high=finite(gap.high),
        error=finite(gap.error),
    )
