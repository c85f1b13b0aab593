"""Figure 7 (Section 6.3): the shop task learnt in four ways, given a network that knows four tasks.

The known network is the joint run of `multitask`: same world, same search. Keys: `known-3`, what it
knows of clicks; `search-ft`, how a way learns, in the world of `study.tuning_seed`; `ft-3`, a way
in a world. RS and RA begin with nothing, so what is known decides nothing of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from evaluation.studies import transfer_report
from evaluation.studies.asking import ask
from evaluation.studies.cells import Cell
from evaluation.studies.contest import Step
from evaluation.studies.searched import Searched
from evaluation.studies.transfer import KnownCell, Transferred, WayCell
from infra.progress import Progress
from pipeline.studies.base import Logged, unless
from pipeline.studies.config import TrialConfig
from pipeline.studies.contest import JOINT, MODEL, Contest, fit_logged, held
from pipeline.studies.worlds import World
from training.config import Task
from training.peers.fitting import Fit, fit
from training.transfer import NEW, Way, Weights, build

FINER = 4
"""Judgements for one of the other studies: who is first is asked here."""
LONGER = 2
"""Epochs, at most, for one of the other studies: where a way ends is asked, not where it was
stopped."""
ROUND = 2
"""Goes up when the same settings are another study."""
WAYS = {Way.RT: 2}
"""The same of one way alone; 1 where not named. RT's shops learn since 2."""
KNOWN, SEARCH = "known", "search"
"""First words of keys, beside the ways."""


class SearchCell(Cell):
    """The point of the search that a way is given."""

    way: Way
    losses: tuple[float, ...]
    """On the judging days, of each point."""

    @property
    def chosen(self) -> int:
        """The smallest."""
        return self.losses.index(min(self.losses))


class TransferStudy(Contest):
    """RS, RA, RT and FT."""

    title = "transfer"

    def stages(self) -> Sequence[Sequence[str]]:
        """Worlds; how the known network learns; what it knows and how the ways learn; all ways."""
        return [
            self.worlds(),
            [f"tune-{MODEL}-{JOINT}"],
            [*self.known(), *self.searches()],
            self.ways(),
        ]

    def known(self) -> list[str]:
        """Keys of what is known in each world."""
        return [f"{KNOWN}-{seed}" for seed in self.reported]

    def searches(self) -> list[str]:
        """Keys of how each way learns."""
        return [f"{SEARCH}-{way}" for way in Way]

    def ways(self) -> list[str]:
        """Keys; all ways of a world before the next world."""
        return [f"{way}-{seed}" for seed in self.reported for way in Way]

    def kind(self, key: str) -> type[Cell]:
        """By the first word of the key."""
        kinds: Mapping[str, type[Cell]] = {
            KNOWN: KnownCell,
            SEARCH: SearchCell,
            **dict.fromkeys(Way, WayCell),
        }
        return kinds.get(key.split("-", maxsplit=1)[0]) or super().kind(key)

    def decides(self, key: str) -> Any:
        """The world and how the way learns; of RT and FT the known network, too."""
        first, rest = key.split("-", maxsplit=1)
        study = self.settings.study
        if first == KNOWN:
            return [key, self.digest(f"{MODEL}-{JOINT}-{rest}"), ROUND]
        if first not in (SEARCH, *Way):
            return super().decides(key)
        way, seed = (rest, study.tuning_seed) if first == SEARCH else (first, int(rest))
        known = self.digest(f"{MODEL}-{JOINT}-{seed}") if Way(way).transfers else None
        trials = [trial.of_networks() for trial in self.points(MODEL)]
        tried = trials if first == SEARCH else trials[self._search(Way(way)).chosen]
        fewer = [study.search_share] if seed == study.tuning_seed else []
        world = self._of_world(seed)
        rounds = [FINER, LONGER, ROUND, *unless(WAYS.get(Way(way), 1), 1)]
        return [key, world, *self.learning(MODEL), known, tried, *fewer, *rounds]

    def work(self, key: str, digest: str, progress: Progress) -> Cell:
        """What is known, a search, or a way."""
        first, rest = key.split("-", maxsplit=1)
        if first == KNOWN:
            done: Cell = self._known(int(rest), digest)
        elif first == SEARCH:
            done = self._searched(Way(rest), digest)
        elif first in tuple(Way):
            done = self._learnt(Way(first), int(rest), digest)
        else:
            return super().work(key, digest, progress)
        progress.advance(1)
        return done

    def logged(self, cell: Cell) -> Logged:
        """A way with its curve and its end; a search with its losses; of both the point."""
        if isinstance(cell, SearchCell):
            losses = [(place, {"loss": loss}) for place, loss in enumerate(cell.losses)]
            params = {
                "way": cell.way.value,
                "chosen": cell.chosen,
                "point": self._told(cell.chosen),
            }
            return Logged(params, losses)
        if not isinstance(cell, WayCell):
            return super().logged(cell)
        # Its place in the cell is that of when it was run.
        point = self._told(self._search(cell.way).chosen)
        params = {"way": cell.way.value, "seed": cell.seed, "trial": cell.trial,
                  "point": point}  # fmt: skip
        return fit_logged(params, cell.curve, [cell.score])

    def report(self) -> Mapping[str, Any]:
        """Curves, ends, speed, and how each way was tuned."""
        ways = [one for one in self.finished(self.ways()) if isinstance(one, WayCell)]
        worlds = [
            Transferred(cell, tuple(one for one in ways if one.seed == cell.seed))
            for cell in self.finished(self.known())
            if isinstance(cell, KnownCell)
        ]
        tuned = [one for one in self.finished(self.searches()) if isinstance(one, SearchCell)]
        searches = [
            Searched(transfer_report.TITLES[one.way], NEW, one.losses, one.chosen,
                     self._told(one.chosen))
            for one in tuned
        ]  # fmt: skip
        return transfer_report.write(self.store, self.name, worlds, searches, tuned, self.plan)

    def _told(self, point: int) -> dict[str, float]:
        """A point of the search, as far as its network hears of it."""
        return self.points(MODEL)[point].of_networks()

    def _known(self, seed: int, digest: str) -> KnownCell:
        world = self.world(seed)
        clicks = ask(self.joint(world).network, self.asked(world, [Task.CTR]), [Task.CTR])
        score = self.crowd(world).score(Task.CTR, clicks[Task.CTR])
        return KnownCell(settings=digest, seed=seed, score=score)

    def _searched(self, way: Way, digest: str) -> SearchCell:
        world = self.world(self.settings.study.tuning_seed)
        tried = [self._fitted(world, way, trial) for trial in self.points(MODEL)]
        return SearchCell(settings=digest, way=way, losses=tuple(one.best.loss for one in tried))

    def _learnt(self, way: Way, seed: int, digest: str) -> WayCell:
        world, chosen = self.world(seed), self._search(way).chosen
        done = self._fitted(world, way, self.points(MODEL)[chosen])
        answered = ask(done.network, self.asked(world, [NEW]), [NEW])
        return WayCell(
            settings=digest,
            seed=seed,
            way=way,
            trial=chosen,
            score=self.crowd(world).score(NEW, answered[NEW]),
            curve=tuple(
                Step(moments=one.moments, loss=one.loss, figures=dict(one.figures))
                for one in done.curve
            ),
            seconds=done.seconds,
        )

    def _fitted(self, world: World, way: Way, trial: TrialConfig) -> Fit:
        """Judged, and so stopped, kept and searched, by the new task alone, whatever it learns."""
        known: Weights = self.joint(world).network.state_dict() if way.transfers else {}
        course, shares = self.course(world, way.tasks, trial), self.shares(world)
        study = self.settings.study
        longer = {"patience": study.patience * FINER, "epochs": study.epochs * LONGER}
        course = replace(
            course,
            judges=held(world, "judges").asking([NEW], shares),
            train=course.train.model_copy(update=longer),
            judgements=course.judgements * FINER,
        )
        done = fit(build(way, known), self.model(trial), course, world.seed)
        asking = held(world, "learnt").asking([NEW], shares)
        return _counting(done, len(asking.rows) / len(course.learnt.rows))

    def _search(self, way: Way) -> SearchCell:
        (found,) = self.finished([f"{SEARCH}-{way}"])
        assert isinstance(found, SearchCell)
        return found


def _counting(done: Fit, share: float) -> Fit:
    """Its moments counted as all ways can be compared: those that ask of a shop."""
    curve = tuple(replace(one, moments=round(one.moments * share)) for one in done.curve)
    return replace(done, curve=curve)
