"""One cell of the drift study: a marketplace's days, and three ways of keeping a model up.

What is finished is kept under the cell's own home and not done again: data by its partitions, a
training by its checkpoint and a file that says what it took. A training that was cut off starts
anew, so that its cost is that of a whole one.
"""

import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import numpy as np

from evaluation.predict import predict
from evaluation.predictions import Predictions
from evaluation.questions import Questions
from evaluation.questions import read as read_questions
from evaluation.studies.drift import Arm, Cell, Cost, People, Score, Shape
from infra.progress import Progress, quiet
from infra.record import reading
from infra.store import Store
from pipeline.settings import Settings
from pipeline.studies import worlds
from training import checkpoint as checkpoints
from training.fit import fit
from training.tally import Fitted
from training.update import plan, update


class DriftWorld:
    """A seed.

    Args:
        settings: of the study, with the seed and a home of its own.
        shape: how many days of what.
        progress: counts days.
    """

    def __init__(self, settings: Settings, shape: Shape, progress: Progress) -> None:
        self.settings = settings
        self.store: Store = settings.store
        self.shape = shape
        self.progress = progress
        self.costs: list[Cost] = []

    def cell(self, digest: str) -> Cell:
        """Everything about the seed, under a digest of the settings."""
        self._data()
        answered = list(self._answered())
        hashes = [one.questions.moments.user_hash for *_, one in answered]
        people = People(np.concatenate(hashes), self.settings.evaluate)
        scores: list[Score] = []
        for arm, number, age, one in answered:
            scores += people.scores(one, arm, number, age)
        return Cell(
            seed=self.settings.seed,
            settings=digest,
            scores=tuple(scores),
            costs=tuple(self.costs),
        )

    def _data(self) -> None:
        days = [self._day(n + 1) for n in range(self.shape.days)]
        with quiet() as silent:
            worlds.build(self.settings, days, silent)

    def _answered(self) -> Iterator[tuple[Arm, int, int, Predictions]]:
        """Every arm on every asked day, with the age of its model in days."""
        shape = self.shape
        self._fit("first", shape.trained, resume=True)
        self.progress.advance(shape.trained)
        for number in shape.asked:
            day = self._day(number)
            asked = read_questions(self.store, day)
            yield Arm.FROZEN, number, number - shape.trained, self._ask("first", day, asked)
            newest = "first" if number == shape.trained + 1 else f"night-{number - 1}"
            yield Arm.NIGHTLY, number, 1, self._ask(newest, day, asked)
            anew = shape.retrained(number)
            if anew == number:
                self._retrain(number)
            if anew is not None:
                yield Arm.RETRAIN, number, number - anew + 1, self._ask(f"anew-{anew}", day, asked)
            if number < shape.days:
                self._night(number, newest)
            self.progress.advance(1)

    def _retrain(self, number: int) -> None:
        """Ready for day `number`, from the last days before it."""
        self._timed(
            Arm.RETRAIN, number, lambda: self._fit(f"anew-{number}", number - 1, resume=False)
        )

    def _fit(self, key: str, until: int, *, resume: bool) -> Fitted:
        return fit(
            self.store,
            [self._day(n) for n in range(until - self.shape.trained + 1, until + 1)],
            self.settings.model,
            self.settings.train,
            seed=self.settings.seed,
            run_name=key,
            resume=resume,
            progress=quiet,
        )

    def _night(self, number: int, parent: str) -> None:
        """Day `number` learnt on top of the night before, but for its held-out users."""
        self._timed(Arm.NIGHTLY, number + 1, lambda: self._update(number, parent))

    def _update(self, number: int, parent: str) -> Fitted:
        settings, store = self.settings, self.store
        known = [self._day(n) for n in range(1, number + 1)]
        final = checkpoints.final(store, parent)
        return update(
            store,
            plan(store, final, known[-1], settings.update, days=known),
            settings.train,
            settings.update,
            seed=settings.seed,
            run_name=f"night-{number}",
            resume=False,
            progress=quiet,
        )

    def _timed(self, arm: Arm, day: int, work: Callable[[], Fitted]) -> None:
        """Train, and keep what it took."""
        key = f"costs/{arm}-{day}.json"
        kept = self.store.get(key)
        if kept is None:
            wall, cpu = time.perf_counter(), time.process_time()
            fitted = work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            cost = Cost(arm=arm, day=day, moments=fitted.moments, wall_s=wall, cpu_s=cpu)
            kept = cost.model_dump_json().encode()
            self.store.put(key, kept)
        with reading(key, "Remove it, and run the study again."):
            self.costs.append(Cost.model_validate_json(kept))

    def _ask(self, key: str, day: date, asked: Questions) -> Predictions:
        model = checkpoints.load_model(checkpoints.final(self.store, key))
        return predict(model, self.store, day, self.settings.evaluate, questions=asked)

    def _day(self, number: int) -> date:
        return self.settings.first_day + timedelta(days=number - 1)
