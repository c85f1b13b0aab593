"""Worlds, searches and fits: the cells of every study in which networks learn the same samples.

Keys: `world-3`; `tune-cnn_max-ctr`, a search in the world of `study.tuning_seed`, which is never
reported; `cnn_max-ctr-3`, a network with what the search chose. A task in a key is one task, or
`joint`: all four at once. Studies share these cells: what `table2` has fitted, `multitask` reads.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.studies.asking import Crowd, Score, ask
from evaluation.studies.cells import Cell
from evaluation.studies.contest import FitCell, Step, Trial, TunedCell, WorldCell
from evaluation.studies.others import answers
from evaluation.studies.protocol import Plan
from infra.errors import ConfigError
from infra.progress import Progress, quiet
from pipeline.settings import Settings
from pipeline.studies.base import Logged, Study, plain, unless
from pipeline.studies.config import TrialConfig
from pipeline.studies.shelf import once
from pipeline.studies.worlds import World
from training.config import ModelConfig, Task, TrainConfig
from training.model.network import REVISION
from training.peers import word2vec
from training.peers.build import builder
from training.peers.fitting import Build, Course, Fit, fit
from training.peers.held import Held
from training.peers.word2vec import EPOCHS, WINDOW, pretrain

MODEL = "all"
"""The full network."""
JOINT = "joint"
TASKS = (Task.CTR, Task.L2R, Task.PPP, Task.FIFP)
TASKS_OF: Mapping[str, tuple[Task, ...]] = {JOINT: TASKS, **{task.value: (task,) for task in TASKS}}
"""What is learnt, by its word in a key."""
LEARNING = frozenset({"model", "train", "evaluate"})
"""Settings that decide every fit, beside its world, its task and the point of the search."""
OWN: Mapping[str, frozenset[str]] = {
    "wide": frozenset({"wide"}),
    "wide_deep": frozenset({"wide", "peers"}),
    "dssm": frozenset({"peers"}),
    "cnn_max": frozenset({"peers"}),
}
"""Settings that decide the fits of one network, too."""
BUDGET = ("epochs", "judgements", "patience", "shares")
HELD_AT_ONCE = 6
"""Parts of worlds (learnt, judging, asked days) that a process keeps in memory."""
ROUND = 1
"""Goes up when the same settings are another contest, so that everything is fitted again."""
QUICK = {"learnt": 3, "judges": 1, "asked": 1, "epochs": 2, "judgements": 1, "shares": {}}
QUICK_TRIALS = 2


class Contest(Study[Cell]):
    """A study made of worlds, searches and fits."""

    preset = "study"

    def __init__(self, settings: Settings, seeds: int, quick: bool) -> None:
        if quick:
            trials = settings.study.trials[:QUICK_TRIALS]
            small = settings.study.model_copy(update={**QUICK, "trials": trials})
            settings = settings.model_copy(update={"study": small})
        super().__init__(settings, seeds, quick)
        if not quick and settings.study.tuning_seed in self.reported:
            raise ConfigError(
                f"study.tuning_seed is {settings.study.tuning_seed}, a world that is reported; "
                f"what is tuned there is not asked there. Take a seed above {self.seeds}."
            )

    @property
    def reported(self) -> range:
        """Seeds of the worlds that figures are about."""
        return range(1, self.seeds + 1)

    @property
    def plan(self) -> Plan:
        """What reports say of worlds, network, days and people."""
        study = self.settings.study
        return Plan(
            network=self.network,
            market=self.world(self.reported[0]).own.marketplace,
            learnt=study.learnt,
            judges=study.judges,
            asked=study.asked,
            shares=study.shares,
        )

    def worlds(self) -> list[str]:
        """Keys of all worlds, that of the search first."""
        return [f"world-{seed}" for seed in (self.settings.study.tuning_seed, *self.reported)]

    @property
    def folder(self) -> str:
        """Its cells are everybody's."""
        return "networks-quick" if self.quick else "networks"

    def place(self, key: str) -> str:
        """Where the store keeps a cell."""
        return f"reports/study/{self.folder}/cells/{key}.json"

    def kind(self, key: str) -> type[Cell]:
        """By the first word of the key."""
        kinds: Mapping[str, type[Cell]] = {"world": WorldCell, "tune": TunedCell}
        return kinds.get(key.split("-", maxsplit=1)[0], FitCell)

    def require(self, key: str) -> None:
        """DUPN-w2v works with gensim."""
        if "w2v" in key.split("-"):
            word2vec.require()

    def decides(self, key: str) -> Any:
        """The world's settings, and of a network what it is and how it learns."""
        first, *rest = key.split("-")
        study = self.settings.study
        if first == "world":
            asking = [plain(self.settings, {"evaluate"}), self._budget, *unless(ROUND, 1)]
            return [self._of_world(int(rest[0])), *asking]
        if first == "tune":
            trials = [self._point(rest[0], trial) for trial in self.points(rest[0])]
            world = self._of_world(study.tuning_seed)
            return [key, world, *self.learning(rest[0]), trials, study.search_share]
        word, seed = rest
        chosen = self._point(first, self.trial(first, word))
        fewer = [study.search_share] if int(seed) == study.tuning_seed else []
        return [key, self._of_world(int(seed)), *self.learning(first), chosen, *fewer]

    def work(self, key: str, digest: str, progress: Progress) -> Cell:
        """Build a world, search, or fit."""
        first, *rest = key.split("-")
        if first == "world":
            done: Cell = self._build(int(rest[0]), digest)
        elif first == "tune":
            done = self._tune(rest[0], rest[1], digest)
        else:
            done = self._fit(first, rest[0], int(rest[1]), digest)
        progress.advance(1)
        return done

    def logged(self, cell: Cell) -> Logged:
        """A fit with its curve and its figures; a search with its losses.

        The point is what the search says now: its place, in the cell, is that of when it was run.
        """
        if isinstance(cell, FitCell):
            word = next(word for word, tasks in TASKS_OF.items() if tasks == cell.tasks)
            point = self._point(cell.model, self.trial(cell.model, word))
            params = {"network": cell.model, "tasks": "+".join(cell.tasks), "seed": cell.seed,
                      "trial": cell.trial, "parameters": cell.parameters,
                      "point": point}  # fmt: skip
            return fit_logged(params, cell.curve, cell.scores)
        if isinstance(cell, TunedCell):
            losses = [(place, {"loss": trial.loss}) for place, trial in enumerate(cell.trials)]
            params = {"network": cell.model, "tasks": "+".join(cell.tasks), "chosen": cell.chosen}
            return Logged({**params, "point": cell.heard if cell.trials else {}}, losses)
        return Logged()

    def world(self, seed: int) -> World:
        """The days of a seed."""
        return World(self.settings, seed, self.quick)

    def course(self, world: World, tasks: tuple[Task, ...], trial: TrialConfig) -> Course:
        """What a network learns from, and how; the world of the search has fewer people."""
        study, shares = self.settings.study, self.shares(world)
        return Course(
            learnt=held(world, "learnt").asking(tasks, shares),
            judges=held(world, "judges").asking(tasks, shares),
            train=self.train(tasks, trial),
            judgements=study.judgements,
        )

    def shares(self, world: World) -> Mapping[Task, float]:
        """Of the users, by task."""
        study, shares = self.settings.study, self.settings.study.shares
        if world.seed != study.tuning_seed:
            return shares
        return {task: shares.get(task, 1.0) * study.search_share for task in Task}

    def train(self, tasks: tuple[Task, ...], trial: TrialConfig) -> TrainConfig:
        """Rates of a point of the search; weights of tasks count where there are several."""
        study = self.settings.study
        return self.settings.train.model_copy(
            update={
                "tasks": tasks,
                "weights": self.settings.train.weights if len(tasks) > 1 else {},
                "learning_rate": trial.learning_rate,
                "embedding_learning_rate": trial.embedding_learning_rate,
                "embedding_l2": trial.embedding_l2,
                "epochs": study.epochs,
                "patience": study.patience,
            }
        )

    def model(self, trial: TrialConfig) -> ModelConfig:
        """Dimensions; L2R weighs a click logit, which alone it learns for itself."""
        return self.settings.model.model_copy(
            update={"dropout": trial.dropout, "ranks_with_ctr": True}
        )

    def asked(self, world: World, tasks: Sequence[Task]) -> Held:
        """The questions that figures are about."""
        return held(world, "asked").asking(tasks, self.settings.study.shares)

    def crowd(self, world: World) -> Crowd:
        """Everybody who may be asked, drawn alike for all networks."""
        return Crowd(held(world, "asked").moments.user_hash, self.settings.evaluate)

    def _build(self, seed: int, digest: str) -> WorldCell:
        world = self.world(seed)
        with quiet() as silent:
            world.build(silent)
        learnt = held(world, "learnt").moments
        crowd, config = self.crowd(world), self.settings.evaluate
        found = answers(world.store, world.learnt, world.asked, self.settings.study.shares, config)
        others: dict[str, list[Any]] = {}
        for (name, task), one in found.items():
            others.setdefault(name, []).append(crowd.score(task, one))
        return WorldCell(
            settings=digest,
            seed=seed,
            moments=len(learnt),
            behaviours=float(learnt.sequence.lengths.mean()),
            others={name: tuple(scores) for name, scores in others.items()},
        )

    def _tune(self, model: str, word: str, digest: str) -> TunedCell:
        world, tried = self.world(self.settings.study.tuning_seed), []
        every = self.points(model)
        for trial in every if len(every) > 1 else ():  # of one there is nothing to choose
            done = self.learn(world, model, word, trial)
            tried.append(
                Trial(
                    settings=trial.model_dump(),
                    loss=done.best.loss,
                    figures=dict(done.best.figures),
                    moments=done.best.moments,
                    seconds=done.seconds,
                )
            )
        losses = [one.loss for one in tried]
        return TunedCell(
            settings=digest,
            model=model,
            tasks=TASKS_OF[word],
            trials=tuple(tried),
            chosen=losses.index(min(losses)) if losses else 0,
        )

    def _fit(self, model: str, word: str, seed: int, digest: str) -> FitCell:
        world, tasks = self.world(seed), TASKS_OF[word]
        trial = self.trial(model, word)
        whole = (model, word) == (MODEL, JOINT)
        done = self.joint(world) if whole else self.learn(world, model, word, trial)
        crowd = self.crowd(world)
        answered = ask(done.network, self.asked(world, tasks), tasks)
        return FitCell(
            settings=digest,
            model=model,
            tasks=tasks,
            seed=seed,
            trial=self.settings.study.trials.index(trial),
            scores=tuple(crowd.score(task, one) for task, one in answered.items()),
            curve=tuple(
                Step(moments=one.moments, loss=one.loss, figures=dict(one.figures))
                for one in done.curve
            ),
            parameters=sum(weight.numel() for weight in done.network.parameters()),
            seconds=done.seconds,
        )

    def learn(self, world: World, model: str, word: str, trial: TrialConfig) -> Fit:
        """A network of the registry, in a world."""
        course = self.course(world, TASKS_OF[word], trial)
        return fit(self._network(model, word, world, trial), self.model(trial), course, world.seed)

    def joint(self, world: World) -> Fit:
        """DUPN on all tasks at once, with what its search chose; fitted once for all studies."""
        trial = self.trial(MODEL, JOINT)
        key = f"{MODEL}-{JOINT}-{world.seed}"
        build = self._network(MODEL, JOINT, world, trial)
        return once(
            self.store,
            f"{key}-{self.digest(key)}",
            lambda: build(self.model(trial), held(world, "learnt").sizes),
            lambda: self.learn(world, MODEL, JOINT, trial),
        )

    def _network(self, model: str, word: str, world: World, trial: TrialConfig) -> Build:
        settings, vectors = self.settings, None
        wide = settings.wide.model_copy(update={"alpha": trial.alpha, "l1": trial.l1})
        if model == "w2v":
            vectors = pretrain(world.store, world.learnt[-1], settings.model.e_dim, world.seed)
        return builder(model, settings.peers, wide, TASKS_OF[word], vectors)

    def trial(self, model: str, word: str) -> TrialConfig:
        """What a finished search has chosen."""
        (tuned,) = self.finished([f"tune-{model}-{word}"])
        assert isinstance(tuned, TunedCell)
        return self.points(model)[tuned.chosen]

    def points(self, model: str) -> list[TrialConfig]:
        """What a network is tried with: no point twice that it cannot tell from an earlier one."""
        told: dict[str, TrialConfig] = {}
        for one in self.settings.study.trials:
            heard = one.of_wide() if model == "wide" else self._point(model, one)
            told.setdefault(str(heard), one)
        return list(told.values())

    def _of_world(self, seed: int) -> Any:
        world = self.world(seed)
        return [seed, world.digest, self.settings.study.learnt, self.settings.study.asked]

    def learning(self, model: str) -> list[Any]:
        """What decides a network's fits, beside world, task and the point of the search."""
        own = OWN.get(model, frozenset())
        words = unless([WINDOW, EPOCHS], [5, 10]) if model == "w2v" else []
        return [plain(self.settings, LEARNING | own), self._budget, REVISION, ROUND, *words]

    def _point(self, model: str, trial: TrialConfig) -> Any:
        """A point of the search, as far as the network hears of it."""
        if "wide" not in OWN.get(model, ()):
            return trial.of_networks()
        usual = {"l1"} if trial.l1 == TrialConfig().l1 else set()  # older than it are cells
        return trial.model_dump(exclude=usual)

    @property
    def _budget(self) -> Any:
        return self.settings.study.model_dump(mode="json", include=set(BUDGET))


def fit_logged(params: Mapping[str, Any], curve: Sequence[Step], scores: Sequence[Score]) -> Logged:
    """A fit as a run of MLflow: its judgements by moments learnt, and at the end what was asked."""
    judged = [(step.moments, {"loss": step.loss, **step.figures}) for step in curve]
    asked = {f"asked_{one.measure}": one.value for one in scores if one.value is not None}
    return Logged(params, [*judged, (curve[-1].moments, asked)])


_kept: dict[tuple[Any, ...], Held] = {}


def held(world: World, part: str) -> Held:
    """The learnt, judging or asked days of a world; read once a process."""
    days = getattr(world, part)
    key = (world.own.home, *days, world.learnt[-1])  # whose vocabulary they are read with
    if key not in _kept:
        while len(_kept) >= HELD_AT_ONCE:
            del _kept[next(iter(_kept))]
        _kept[key] = world.held(days)
    return _kept[key]
