"""Figure 7 (Section 6.3): the shop task learnt in four ways, given a network that knows four tasks.

The known network is the joint run of `multitask`: same world, same search. A cell is a world; how
each way learns is searched in the world of `study.tuning_seed`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evaluation.studies import transfer_report
from evaluation.studies.asking import ask
from evaluation.studies.cells import Cell
from evaluation.studies.contest import Step
from evaluation.studies.transfer import Learnt, TransferCell
from infra.progress import Progress
from pipeline.studies.contest import JOINT, MODEL, Contest, held
from pipeline.studies.worlds import World
from pipeline.study_config import TrialConfig
from training.config import Task
from training.peers.fitting import Fit, fit
from training.transfer import NEW, Way, Weights, build

FINER = 4
"""Judgements for one of the other studies: who is first is asked here."""
ROUND = 1
"""Goes up when the same settings are another study."""


class SearchCell(Cell):
    """The point of the search that each way is given."""

    losses: dict[Way, tuple[float, ...]]
    """On the judging days, of each point."""

    def chosen(self, way: Way) -> int:
        """The smallest."""
        losses = self.losses[way]
        return losses.index(min(losses))


class TransferStudy(Contest):
    """RS, RA, RT and FT."""

    title = "transfer"

    def stages(self) -> Sequence[Sequence[str]]:
        """Worlds; how the known network learns; how the ways learn; all worlds."""
        return [self.worlds(), [f"tune-{MODEL}-{JOINT}"], ["search-transfer"], self.seeds_keys()]

    def seeds_keys(self) -> list[str]:
        """Keys of the worlds' cells."""
        return [f"transfer-{seed}" for seed in self.reported]

    def kind(self, key: str) -> type[Cell]:
        """By the first word of the key."""
        kinds: Mapping[str, type[Cell]] = {"search": SearchCell, "transfer": TransferCell}
        return kinds.get(key.split("-", maxsplit=1)[0]) or super().kind(key)

    def decides(self, key: str) -> Any:
        """The known network, and the searches that it rests on."""
        first, *rest = key.split("-")
        if first not in ("search", "transfer"):
            return super().decides(key)
        study = self.settings.study
        seed = study.tuning_seed if first == "search" else int(rest[0])
        trials = [trial.model_dump(exclude={"alpha"}) for trial in study.trials]
        searched = self._search().losses if first == "transfer" else {}
        plain = {way.value: losses for way, losses in searched.items()}
        known = self.digest(f"{MODEL}-{JOINT}-{seed}")
        return [key, known, trials, plain, study.search_share, FINER, ROUND]

    def work(self, key: str, digest: str, progress: Progress) -> Cell:
        """A search, or a world."""
        first, *rest = key.split("-")
        if first == "search":
            done: Cell = self._searched(digest)
        elif first == "transfer":
            done = self._transferred(int(rest[0]), digest)
        else:
            return super().work(key, digest, progress)
        progress.advance(1)
        return done

    def report(self) -> Mapping[str, Any]:
        """Curves, ends and speed."""
        found = self.finished(self.seeds_keys())
        cells = [one for one in found if isinstance(one, TransferCell)]
        return transfer_report.write(self.store, self.name, cells, self.plan)

    def _searched(self, digest: str) -> SearchCell:
        world = self.world(self.settings.study.tuning_seed)
        known = self.joint(world).network.state_dict()
        losses = {
            way: tuple(
                self._way(world, way, trial, known).best.loss
                for trial in self.settings.study.trials
            )
            for way in Way
        }
        return SearchCell(settings=digest, losses=losses)

    def _transferred(self, seed: int, digest: str) -> TransferCell:
        world, search, trials = self.world(seed), self._search(), self.settings.study.trials
        crowd, known = self.crowd(world), self.joint(world)
        weights = known.network.state_dict()
        learnt = []
        for way in Way:
            done = self._way(world, way, trials[search.chosen(way)], weights)
            answered = ask(done.network, self.asked(world, [NEW]), [NEW])
            learnt.append(
                Learnt(
                    way=way,
                    trial=search.chosen(way),
                    score=crowd.score(NEW, answered[NEW]),
                    curve=tuple(
                        Step(moments=one.moments, loss=one.loss, figures=dict(one.figures))
                        for one in done.curve
                    ),
                    seconds=done.seconds,
                )
            )
        clicks = ask(known.network, self.asked(world, [Task.CTR]), [Task.CTR])[Task.CTR]
        return TransferCell(
            settings=digest,
            seed=seed,
            learnt=tuple(learnt),
            known=crowd.score(Task.CTR, clicks),
        )

    def _way(self, world: World, way: Way, trial: TrialConfig, known: Weights) -> Fit:
        """Judged, and so stopped, kept and searched, by the new task alone, whatever it learns."""
        course, shares = self.course(world, way.tasks, trial), self.shares(world)
        patience = self.settings.study.patience * FINER
        course = replace(
            course,
            judges=held(world, "judges").asking([NEW], shares),
            train=course.train.model_copy(update={"patience": patience}),
            judgements=course.judgements * FINER,
        )
        done = fit(build(way, known), self.model(trial), course, world.seed)
        asking = held(world, "learnt").asking([NEW], shares)
        return _counting(done, len(asking.rows) / len(course.learnt.rows))

    def _search(self) -> SearchCell:
        (found,) = self.finished(["search-transfer"])
        assert isinstance(found, SearchCell)
        return found


def _counting(done: Fit, share: float) -> Fit:
    """Its moments counted as all ways can be compared: those that ask of a shop."""
    curve = tuple(replace(one, moments=round(one.moments * share)) for one in done.curve)
    return replace(done, curve=curve)
