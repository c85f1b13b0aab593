"""Whether heads that are frozen on the champion's representation still work on the candidate's.

Other teams freeze models on our 256 numbers. They do not retrain when we promote, so what counts
is how a head does *unaligned*: the champion's own heads, with the champion's item vectors, are fed
the candidate's representation of the same moments, and so is a linear probe for something that no
task learns (the category of the click). Each is compared with itself on the champion's
representation, paired, with users drawn. Drift and alignment are a diagnosis, not a verdict.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from evaluation import drift, tasks
from evaluation.bootstrap import Interval
from evaluation.drift import FOLDS, Probe
from evaluation.gate import Check
from evaluation.measures import Bench, Measured
from evaluation.metrics import NAN, AnyArray
from evaluation.names import HEADS, PROBE
from evaluation.paired import NORMAL
from evaluation.predictions import Answers
from evaluation.results import Compatibility, Drift, Estimate, Figure, HeadResult, finite
from evaluation.sampled import SampledDay
from evaluation.settings import CompatibilityConfig, EvaluateConfig
from evaluation.tasks import scores_of
from infra.errors import TrainingError
from training import inference
from training.batch import Batch
from training.model.dupn import Dupn
from training.model.network import Outputs
from training.moments import IntArray

Reps = NDArray[np.float32]
Ints = NDArray[np.int64]

FAR = 1.0
"""A change of the representation that a reader is told of first: above it a moment is, on the mean
square, farther from itself than from the mean moment, so that knowing the model matters more than
knowing the user. Two nights moved by a tenth and a third, a twin from another seed by 2.6; those
of a tiny world may move as far (docs/log.md, "What heads frozen on the champion lose").
"""


def measure(
    candidate: Dupn,
    champion: Dupn,
    sample: SampledDay,
    config: CompatibilityConfig,
    draws: EvaluateConfig,
) -> Compatibility:
    """The champion's heads and a probe, on their own representation and on the candidate's.

    Args:
        candidate: whose representation may replace the champion's.
        champion: whose heads stay as they are.
        sample: moments that neither has learnt.
        config: of the probe.
        draws: of the bootstrap.

    Raises:
        TrainingError: the representations differ in width.
    """
    own, moved = represented(champion, sample), represented(candidate, sample)
    if own.shape != moved.shape:
        raise TrainingError(
            f"the candidate's representation has {moved.shape[1]} numbers, the champion's "
            f"{own.shape[1]}: no head can be kept. Give the new network a line of its own."
        )
    bench = Bench.of(sample.questions, draws)
    fold = sample.questions.moments.user % FOLDS
    turned = drift.aligned(own, moved, fold).astype(np.float32)
    reps = {"own": own, "moved": moved}
    if np.isfinite(turned).all():
        reps["aligned"] = turned
    heads = [*_heads(champion, sample, reps, bench), *_probe(sample, reps, bench, config, fold)]
    return Compatibility(
        moments=len(own),
        users=sample.questions.users,
        heads=tuple(heads),
        drift=_drift(own, moved, turned),
    )


def of_learnt(found: Compatibility, untrained: frozenset[str]) -> Compatibility:
    """Without the heads of tasks that the champion was not trained for: they answer at random."""
    heads = (head for head in found.heads if head.name.partition("_")[0] not in untrained)
    return found.model_copy(update={"heads": tuple(heads)})


def checks(found: Compatibility, config: CompatibilityConfig) -> list[Check]:
    """One check a head, for the gate.

    A head fails when it loses more than is allowed, and when that it loses at all is significant
    with all heads looked at (Bonferroni): a small holdout holds nothing back by chance.
    """
    judged = sum(head.error is not None for head in found.heads)
    z = NORMAL.inv_cdf(1 - config.alpha / max(judged, 1))
    return [_check(head, config, z) for head in found.heads]


def figures(found: Compatibility) -> Iterator[Figure]:
    """The flat list: what each head loses, and how far the representation moved."""
    protocol = "champion's frozen heads on the candidate's representation, unaligned"
    for head in found.heads:
        yield Figure(
            name=f"frozen_{head.name}_drop",
            **head.drop.model_dump(),
            unit=head.unit,
            protocol=protocol,
        )
    for name, value in (
        ("representation_change", found.drift.change),
        ("representation_change_aligned", found.drift.change_aligned),
        ("representation_correlation", found.drift.mean_correlation),
    ):
        yield Figure(name=name, value=value, unit="ratio", protocol="same moments, both models")


def notes(found: Compatibility) -> list[str]:
    """What a reader must know of the drift before anything else."""
    change, aligned = found.drift.change, found.drift.change_aligned
    if change is None or change <= FAR:
        return []
    rest = "" if aligned is None else f", and {aligned:.2f} times after alignment"
    return [
        f"The representation has moved far: a moment's mean squared distance from itself, champion "
        f"to candidate, is {change:.2f} times that from the mean moment{rest}. Frozen heads are "
        "judged by AUC and by the share of right answers, which do not see everything (an offset "
        "common to all leaves an order as it is). If it is promoted, fit models on these vectors "
        "again, and do not mix vectors of both."
    ]


def represented(model: Dupn, sample: SampledDay) -> Reps:
    """The representation of each moment of the sample, in order."""
    out = np.empty((len(sample.moments), model.config.rep_dim), np.float32)
    device = str(next(model.parameters()).device)

    def ask(one: tuple[IntArray, Batch]) -> torch.Tensor:
        return model.encode(one[1].to(device)).float().cpu()

    for (rows, _), found in inference.answered(model, ask, sample.batches(model.sizes)):
        out[rows] = found.numpy()
    return out


def answered(model: Dupn, sample: SampledDay, rep: Reps) -> Answers:
    """What the model's heads answer from a representation that may not be its own."""
    device = str(next(model.parameters()).device)
    scores = sample.scores()

    def ask(one: tuple[IntArray, Batch]) -> Outputs:
        rows, batch = one
        return model.answer(batch.to(device), torch.from_numpy(rep[rows]).to(device))

    for (rows, batch), out in inference.answered(model, ask, sample.batches(model.sizes)):
        scores.put(sample.info(rows), batch, out)
    return scores.answers()


def _heads(
    champion: Dupn, sample: SampledDay, reps: dict[str, Reps], bench: Bench
) -> Iterator[HeadResult]:
    answers = {name: answered(champion, sample, rep) for name, rep in reps.items()}
    asks = {ask.measure.name: ask for ask in tasks.asked(sample.questions)}
    for name in HEADS:
        ask = asks[name]
        found = {
            which: bench.measure(ask.measure, scores_of(given, ask.measure), ask.keep)
            for which, given in answers.items()
        }
        if found["own"].questions:
            yield _result(name, ask.measure.title, ask.measure.unit, found, bench)


def _probe(
    sample: SampledDay,
    reps: dict[str, Reps],
    bench: Bench,
    config: CompatibilityConfig,
    fold: Ints,
) -> Iterator[HeadResult]:
    """Fitted on the champion's representation of the other users, then asked and left alone."""
    moment, label = _clicked_category(sample, config.probe_classes)
    user = sample.questions.user_of(moment)
    if bench.lacks(len(moment), None, len(np.unique(user))) or len(np.unique(label)) < 2:
        return
    said = {name: np.zeros(len(moment), np.int64) for name in reps}
    for one in range(FOLDS):
        learn, use = fold[moment] != one, fold[moment] == one
        if learn.sum() < config.probe_moments:
            return  # what so few moments teach is no head that anybody would keep
        probe = Probe.fit(
            reps["own"][moment[learn]], label[learn], config.probe_classes + 1, config.probe_ridge
        )
        for name, rep in reps.items():
            said[name][use] = probe.said(rep[moment[use]])
    found = {name: bench.share(told == label, user) for name, told in said.items()}
    title = "Linear probe: category of the click (no task learns it)"
    yield _result(PROBE, title, "share", found, bench)


def _clicked_category(sample: SampledDay, classes: int) -> tuple[Ints, Ints]:
    """Moments with a click, and the class of the first clicked item; the last is all the rest."""
    asked = sample.questions.candidates
    moment, first = np.unique(asked.moment[asked.clicked > 0], return_index=True)
    item = asked.item[asked.clicked > 0][first]
    category = sample.catalog.category[np.minimum(item, sample.catalog.num_rows - 1)]
    known = np.bincount(category)
    common = np.argsort(-known, kind="stable")[:classes]
    number = np.full(len(known), classes, np.int64)
    number[common] = np.arange(len(common))
    return moment, number[category]


def _result(
    name: str, title: str, unit: str, found: dict[str, Measured], bench: Bench
) -> HeadResult:
    own, moved = found["own"], found["moved"]
    gap: Interval = own.minus(moved, bench.resamples)
    return HeadResult(
        name=name,
        title=title,
        unit=unit,
        questions=own.questions,
        users=own.users,
        own=Estimate.of(own.interval),
        moved=Estimate.of(moved.interval),
        aligned=Estimate.of(found["aligned"].interval if "aligned" in found else Interval(NAN)),
        drop=Estimate.of(gap),
        error=finite(gap.error),
        reason=own.reason,
    )


def _drift(own: Reps, moved: Reps, turned: Reps) -> Drift:
    found = drift.dimensions(own, moved)
    return Drift(
        change=finite(drift.change(own, moved)),
        change_aligned=finite(drift.change(own, turned)),
        mean_correlation=_mean(found.correlation),
        correlation=_plain(found.correlation),
        shift=_plain(found.shift),
        scale=_plain(found.scale),
    )


def _mean(values: AnyArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _plain(values: AnyArray) -> tuple[float | None, ...]:
    return tuple(None if (one := finite(value)) is None else round(one, 5) for value in values)


def _check(head: HeadResult, config: CompatibilityConfig, z: float) -> Check:
    name, allowed = f"frozen {head.name}", config.allowed(head.name)
    drop, error = head.drop.value, head.error
    if head.reason is not None or drop is None or error is None:
        sentence = f"{head.name} of frozen heads could not be compared: too few questions or users."
        return Check(name=name, passed=None, sentence=sentence)
    passed = not (drop > allowed and drop - z * error > 0)
    verb = "keeps working" if passed else "would break"
    return Check(
        name=name,
        passed=passed,
        sentence=(
            f"a head frozen on the champion's representation {verb}: {head.name} "
            f"{head.own.value:.4f} there and {head.moved.value:.4f} on the candidate's, a drop of "
            f"{drop:+.4f} (standard error {error:.4f}; allowed {allowed:g})."
        ),
    )
