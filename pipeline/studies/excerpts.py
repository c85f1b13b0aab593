"""`dupn study excerpts`: DUPN beside DeepCTR-Torch's DIN and DIEN on excerpts of real logs.

Keys: `log-taobao`, a log made into samples; `others-mimn`, a protocol's questions and yardsticks;
`tune-din-mimn`, a search on the judging days; `din-mimn-1`, a network of one seed with what the
search chose. All networks learn clicks alone, from the same samples, with the same epochs at most,
patience, and points of the search; what chooses is never asked. Where users are split, the search
learns from some who are asked later, by networks that have not seen them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluation.studies import excerpts_report
from evaluation.studies.asking import Crowd
from evaluation.studies.cells import Cell
from evaluation.studies.excerpt_questions import Asked, Parts
from evaluation.studies.excerpts import (
    MODELS,
    Board,
    Judged,
    LogCell,
    OthersCell,
    RunCell,
    SearchCell,
    Tried,
    scored,
)
from evaluation.studies.protocol import network
from infra.progress import Progress, quiet
from pipeline.settings import Settings
from pipeline.studies import excerpt_logs
from pipeline.studies.base import Logged, Study, plain, unless
from pipeline.studies.config import StudyConfig, TrialConfig
from pipeline.studies.excerpt_logs import CLICKS, Excerpt, Log, Protocol, Split
from training.baselines.deepctr import KINDS, require
from training.config import ModelConfig, Task, TrainConfig
from training.model.dupn import Dupn
from training.model.network import REVISION
from training.peers import deepctr
from training.peers.fitting import Build, Course, Fit, Point, fit

DEEPCTR: Mapping[str, Build] = {
    **{kind: deepctr.builder(kind) for kind in KINDS},
    "din_items": deepctr.builder("din", items_alone=True),
}
BUILD: Mapping[str, Build] = {"all": Dupn, **DEEPCTR}
LEARNING = frozenset({"model", "train", "evaluate"})
"""Settings that decide a fit, beside its data and its point of the search."""
BUDGET = ("epochs", "judgements", "patience")
ROUND = 1
"""Goes up when the same settings are another study, so that everything is asked again."""
JOINED = 2
"""Goes up when answers of several splits are put together otherwise."""
QUICK_SHARE = 0.1
"""Share of the users in a quick study."""
QUICK_EPOCHS = 1


class ExcerptsStudy(Study[Cell]):
    """Four networks on four protocols of two real logs."""

    title = "excerpts"
    preset = "taobao"

    def __init__(self, settings: Settings, seeds: int, quick: bool) -> None:
        super().__init__(settings, seeds, quick)
        every = excerpt_logs.PROTOCOLS
        taken = [excerpt_logs.shortened(one) for one in every] if quick else every
        self.protocols = {one.name: one for one in taken}
        self.trials: tuple[TrialConfig, ...] = settings.study.trials[: 1 if quick else None]

    def stages(self) -> Sequence[Sequence[str]]:
        """Logs, then yardsticks and searches, then networks."""
        logs = dict.fromkeys(f"log-{one.log.name}" for one in self.protocols.values())
        return [list(logs), [*self._others, *self._searches], self._runs]

    def kind(self, key: str) -> type[Cell]:
        """By the first word of the key."""
        kinds: Mapping[str, type[Cell]] = {
            "log": LogCell,
            "others": OthersCell,
            "tune": SearchCell,
        }
        return kinds.get(key.split("-", maxsplit=1)[0], RunCell)

    def require(self, key: str) -> None:
        """DIN and DIEN are DeepCTR-Torch's."""
        first, *rest = key.split("-")
        if (rest[0] if first == "tune" else first) in DEEPCTR:
            require()

    def decides(self, key: str) -> Any:
        """The data, and of a network what it is and how it learns."""
        first, *rest = key.split("-")
        if first == "log":
            return [key, self._log(rest[0]).digest]
        name = rest[1] if first == "tune" else rest[0]
        asked = [key, *self._data(name)]
        if first != "tune" and not self.protocols[name].learnt:
            asked.append(JOINED)
        if first == "others":
            return [*asked, plain(self.settings, {"evaluate"})]
        budget = self.settings.study.model_dump(include=set(BUDGET))
        learning = [plain(self.settings, LEARNING), budget, REVISION]
        if first == "tune":
            usual = StudyConfig.model_fields["tuning_seed"].default
            seed = unless(self.settings.study.tuning_seed, usual)
            return [*asked, *learning, [_decides(trial) for trial in self.trials], *seed]
        return [*asked, *learning, _decides(self._chosen(first, name))]

    def work(self, key: str, digest: str, progress: Progress) -> Cell:
        """Build a log, ask yardsticks, search, or fit."""
        first, *rest = key.split("-")
        match first:
            case "log":
                done: Cell = self._build(self._log(rest[0]), digest)
            case "others":
                done = self._ask_others(self.protocols[rest[0]], digest)
            case "tune":
                done = self._search(rest[0], self.protocols[rest[1]], digest)
            case _:
                done = self._run(first, self.protocols[rest[0]], int(rest[1]), digest)
        progress.advance(1)
        return done

    def logged(self, cell: Cell) -> Logged:
        """A network with its curve and its figures; a search with its losses."""
        if isinstance(cell, RunCell):
            curve = [(step.moments, {"loss": step.loss, **step.figures}) for step in cell.curve]
            ends = {f"asked_{s.measure}": s.value for s in cell.scores if s.value is not None}
            # Its place in the cell is that of when it was run.
            point = self._chosen(cell.model, cell.protocol).of_networks()
            params = {"network": cell.model, "protocol": cell.protocol, "seed": cell.seed,
                      "trial": cell.trial, "parameters": cell.parameters,
                      "point": point}  # fmt: skip
            return Logged(params, [*curve, (curve[-1][0], ends)])
        if isinstance(cell, SearchCell):
            losses = [(place, {"loss": one.best.loss}) for place, one in enumerate(cell.trials)]
            params = {"network": cell.model, "protocol": cell.protocol, "chosen": cell.chosen,
                      "point": cell.trials[cell.chosen].settings}  # fmt: skip
            return Logged(params, losses)
        return Logged()

    def report(self) -> Mapping[str, Any]:
        """AUCs, differences, the search and the curves."""
        board = Board(
            [one for one in self.finished(self._others) if isinstance(one, OthersCell)],
            [one for one in self.finished(self._searches) if isinstance(one, SearchCell)],
            [one for one in self.finished(self._runs) if isinstance(one, RunCell)],
        )
        logs = [one for one in self.finished(self.stages()[0]) if isinstance(one, LogCell)]
        learning = self.learning
        return excerpts_report.write(self.store, self.name, board, logs, self.network, learning)

    @property
    def network(self) -> str:
        """By log: what is known of an item decides the width of its vector."""
        chosen = self.settings
        logs = {one.log.name: one.log for one in self.protocols.values()}
        return "; ".join(
            f"on {name}, {network(self._model(log), chosen.train, chosen.samples)}"
            for name, log in logs.items()
        )

    @property
    def learning(self) -> str:
        """Epochs and batches by protocol, as the settings and the protocols have them."""
        study, (first, *_) = self.settings.study, self.trials
        trains = {one.title: self._train(one, first) for one in self.protocols.values()}
        most = "; ".join(
            f"{title}, {train.epochs} in batches of {train.batch_size} moments"
            for title, train in trains.items()
        )
        return (
            f"epochs at most: {most}. Judged {study.judgements} times an epoch; it stops after "
            f"{study.patience} judgements without a smaller loss"
        )

    @property
    def share(self) -> float:
        """Of the users."""
        return QUICK_SHARE if self.quick else 1.0

    @property
    def _others(self) -> list[str]:
        return [f"others-{name}" for name in self.protocols]

    @property
    def _searches(self) -> list[str]:
        return [f"tune-{model}-{name}" for name in self.protocols for model in MODELS]

    @property
    def _runs(self) -> list[str]:
        seeds = range(1, self.seeds + 1)
        return [f"{m}-{name}-{seed}" for name in self.protocols for m in MODELS for seed in seeds]

    def _build(self, excerpt: Excerpt, digest: str) -> LogCell:
        with quiet() as silent:
            excerpt.build(silent)
        days = excerpt.log.days
        held = excerpt.held(days, days[-1])
        return LogCell(
            settings=digest,
            log=excerpt.log.name,
            days=(days[0].isoformat(), days[-1].isoformat()),
            users=len(np.unique(held.moments.user_hash)),
            moments=len(held.rows),
            candidates=int(held.moments.candidates.lengths.sum()),
        )

    def _ask_others(self, protocol: Protocol, digest: str) -> OthersCell:
        splits = self._splits(protocol)
        crowd, asked = _crowd(self.settings, splits), [Asked.of(one.asked) for one in splits]
        answers = [
            dict(one.yardsticks(Asked.of(split.learnt)))
            for one, split in zip(asked, splits, strict=True)
        ]
        known = [name for name in answers[0] if all(name in one for one in answers)]
        return OthersCell(
            settings=digest,
            protocol=protocol.name,
            title=protocol.title,
            words=f"{protocol.words} {len(crowd.users)} users are asked.",
            users=len(crowd.users),
            learnt=round(float(np.mean([len(one.learnt.rows) for one in splits]))),
            others={name: scored(crowd, [one[name] for one in answers]) for name in known},
        )

    def _search(self, model: str, protocol: Protocol, digest: str) -> SearchCell:
        split = self._splits(protocol)[0]
        share = {Task.CTR: self.share * protocol.searched}
        if protocol.learnt:
            split = Split(
                split.learnt.asking(CLICKS, share), split.judges.asking(CLICKS, share), split.asked
            )
        tried = []
        for trial in self.trials:
            done = self._fit(model, protocol, split, trial, self.settings.study.tuning_seed)
            tried.append(
                Tried(
                    settings=trial.of_networks(),
                    curve=tuple(_judged(point, split) for point in done.curve),
                    seconds=done.seconds,
                )
            )
        losses = [one.best.loss for one in tried]
        return SearchCell(
            settings=digest,
            protocol=protocol.name,
            model=model,
            trials=tuple(tried),
            chosen=losses.index(min(losses)),
            share=share[Task.CTR],
        )

    def _run(self, model: str, protocol: Protocol, seed: int, digest: str) -> RunCell:
        splits, trial = self._splits(protocol), self._chosen(model, protocol.name)
        parts: list[Parts] = []
        fits: list[Fit] = []
        for split in splits:
            done = self._fit(model, protocol, split, trial, seed)
            parts.append(Asked.of(split.asked).by(done.network, self.settings.evaluate.batch_size))
            fits.append(done)
        return RunCell(
            settings=digest,
            protocol=protocol.name,
            model=model,
            seed=seed,
            trial=self.trials.index(trial),
            scores=scored(_crowd(self.settings, splits), parts),
            curve=tuple(_judged(point, splits[0]) for point in fits[0].curve),
            parameters=sum(weight.numel() for weight in fits[0].network.parameters()),
            seconds=sum(one.seconds for one in fits),
        )

    def _fit(
        self, model: str, protocol: Protocol, split: Split, trial: TrialConfig, seed: int
    ) -> Fit:
        course = Course(
            split.learnt,
            split.judges,
            self._train(protocol, trial),
            judgements=self.settings.study.judgements,
        )
        dimensions = self._model(protocol.log).model_copy(update={"dropout": trial.dropout})
        return fit(BUILD[model], dimensions, course, seed)

    def _model(self, log: Log) -> ModelConfig:
        """Dimensions; clicks alone are learnt, and no rank weighs a click's logit."""
        return Excerpt(self.settings, log).model.model_copy(update={"ranks_with_ctr": False})

    def _train(self, protocol: Protocol, trial: TrialConfig) -> TrainConfig:
        study, train = self.settings.study, self.settings.train
        return train.model_copy(
            update={
                "tasks": CLICKS,
                "weights": {},
                "batch_size": protocol.batch_size or train.batch_size,
                "learning_rate": trial.learning_rate,
                "embedding_learning_rate": trial.embedding_learning_rate,
                "embedding_l2": trial.embedding_l2,
                "epochs": QUICK_EPOCHS if self.quick else protocol.epochs or study.epochs,
                "patience": study.patience,
            }
        )

    def _splits(self, protocol: Protocol) -> list[Split]:
        excerpt = Excerpt(self.settings, protocol.log)
        with quiet() as silent:
            excerpt.build(silent)  # working data may have gone
        return excerpt.splits(protocol, self.share)[: 1 if self.quick else None]

    def _log(self, name: str) -> Excerpt:
        logs = {one.log.name: one.log for one in self.protocols.values()}
        return Excerpt(self.settings, logs[name])

    def _chosen(self, model: str, protocol: str) -> TrialConfig:
        """Of a finished search."""
        (search,) = self.finished([f"tune-{model}-{protocol}"])
        assert isinstance(search, SearchCell)
        return self.trials[search.chosen]

    def _data(self, protocol: str) -> list[Any]:
        one = self.protocols[protocol]
        excerpt = Excerpt(self.settings, one.log)
        widths = dict(one.log.changes)
        quick = QUICK_EPOCHS if self.quick else 0
        return [ROUND, excerpt.digest, repr(one), widths, self.share, quick]


def _decides(trial: TrialConfig) -> dict[str, float]:
    """A point as digests have it: those of published cells have `alpha`, whoever hears of it."""
    return {**trial.of_networks(), "alpha": trial.alpha}


def _crowd(settings: Settings, splits: Sequence[Split]) -> Crowd:
    """Everybody who is asked, drawn alike for all networks."""
    users = [Asked.of(one.asked).user for one in splits]
    return Crowd(np.concatenate(users), settings.evaluate)


def _judged(point: Point, split: Split) -> Judged:
    return Judged(
        epoch=point.moments / len(split.learnt.rows),
        moments=point.moments,
        loss=point.loss,
        figures=dict(point.figures),
    )
