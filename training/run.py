"""One run of training: its loop, what it counts, logs and keeps.

Every batch is predicted before it is learnt, so the first epoch's progressive AUC needs no data of
its own. A checkpoint holds everything that decides the rest of the run; how often one is written
does not change what comes out.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from infra.errors import TrainingError
from infra.progress import Progress
from infra.tracking import Tracker
from training import asked
from training import checkpoint as checkpoints
from training.checkpoint import Checkpoint, Recipe, Start
from training.data import Loaded, Position, Reader, Samples
from training.growth import leave_unknown
from training.learner import Learner, Step
from training.progressive import Meters
from training.tally import Fitted, Tally, of_the_machine
from training.validation import VALIDATION, judge, judging, of_the_best

logger = logging.getLogger(__name__)

LOG_EVERY_S = 10.0
LOGS_AN_EPOCH = 20
"""At least: a short epoch is to have a curve, too."""


class Run:
    """The state of one `fit`.

    Args:
        samples: to learn from.
        recipe: how.
        name: of the run.
        tracker: records it.
        validation: samples to be judged by after each epoch, none of them learnt from.
        start: gives weights and optimizer to begin with; by default they are fresh.
        facts: for the lineage of its checkpoints, beside what every run says.
    """

    def __init__(  # noqa: PLR0913  # what to learn, how, from where, and who records it
        self,
        samples: Samples,
        recipe: Recipe,
        name: str,
        tracker: Tracker,
        validation: Samples | None = None,
        *,
        start: Callable[[], Start] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.start = start
        self.facts = dict(facts or {})
        self.taught: set[str] = set(self.facts.get("taught", ()))
        """Tasks that what it starts from was trained for, and those of an earlier sitting."""
        self.name = name
        self.recipe = recipe
        self.config = recipe.train
        self.tracker = tracker
        self.samples = samples
        self.judges = judging(validation, self.config) if validation is not None else None
        self.reader = Reader(
            samples,
            batch_size=self.config.batch_size,
            buffer=self.config.shuffle_buffer,
            seed=recipe.seed,
        )
        self.progress = checkpoints.progress(samples.store, name)
        self.best = checkpoints.best(samples.store, name)
        self.final = checkpoints.final(samples.store, name)
        self.tally = Tally()
        self.log_steps = max(1, samples.moments // self.config.batch_size // LOGS_AN_EPOCH)
        self.position = Position()
        self.meters = Meters(self.config.tasks)
        self.resumed = False
        self.run_id = ""

    @property
    def expected(self) -> int:
        """Moments of the whole run."""
        return self.samples.moments * self.config.epochs

    @property
    def _newest(self) -> date:
        """The last day that this run or an ancestor of it learns from."""
        return max([*map(date.fromisoformat, self.facts.get("days", ())), *self.samples.days])

    def finished(self) -> Fitted | None:
        """The result of an earlier run with this name and recipe."""
        if not self.final.exists():
            return None
        differences = self.differences()
        if differences:
            logger.info("%s was trained otherwise (%s): again", self.name, differences[0])
            return None
        lineage = self.final.manifest().lineage
        return self._fitted(Tally(**lineage["tally"]), lineage["run_id"], resumed=True)

    def differences(self) -> list[str]:
        """How this run differs from the finished one of its name; empty if there is none."""
        if not self.final.exists():
            return []
        return Recipe.of_plain(self.final.manifest().lineage["recipe"]).differences(self.recipe)

    def begin(self, resume: bool) -> None:
        """Fresh weights, what lay there before cleared, or those of the newest checkpoint."""
        found = checkpoints.load(self.progress) if resume else None
        if found is not None and self.start is not None:
            found = self._if_it_fits(found)
        elif found is not None:
            checkpoints.require_fit(found.recipe, self.recipe, self.progress)
        if found is None:  # what another recipe left here must not become this run's own later
            checkpoints.clear(self.progress)
            checkpoints.clear(self.best)
        self.learner = Learner(self.recipe.model, self.config, self.recipe.sizes, self.recipe.seed)
        self.learner.left_out = asked.nowhere(self.samples.manifests, self.config)
        if found is not None:
            self._restore(found)
        elif self.start is not None:
            begun = self.start()
            self.learner.begin_with(begun.weights, begun.optimizer, begun.decay)
        self.tracker.start(self.name, found.run_id if found else None)
        self.tracker.params({**self._params(), "device": self.learner.device})
        self.run_id = self.tracker.run_id
        whence = "from the start" if self.start is None else "on from trained weights"
        logger.info(
            "train %s: %s moments of %d days, %s",
            self.name,
            f"{self.samples.moments:,}",
            len(self.samples.days),
            f"going on at step {self.tally.steps}" if found else whence,
        )

    def go(self, bar: Progress) -> None:
        """All epochs that are left."""
        self._clock = self._saved = self._logged = time.monotonic()
        for epoch in range(self.position.epoch, self.config.epochs):
            if self._patience_is_spent(epoch):
                logger.info("no better since epoch %s: stopped", self.tally.best_epoch)
                return
            for loaded in self.reader.epoch(self.position):
                self._step(loaded, bar)
            self._end_epoch(epoch)
            if self.judges is not None:
                self._judge(epoch, self.judges)

    def finish(self) -> Fitted:
        """Publish the model; the checkpoints on the way are no longer needed.

        Raises:
            TrainingError: the epoch that judged best is not where it was put aside.
        """
        if self.judges is not None:
            best = self._put_aside()
            self.learner.model.load_state_dict(best.weights)
            self.learner.optimizer.load_state_dict(best.optimizer)
        checkpoints.save(self.final, self._checkpoint())
        self.clear()
        fitted = self._fitted(self.tally, self.run_id, resumed=self.resumed)
        self._tell(fitted)
        return fitted

    def close(self, fitted: Fitted) -> None:
        """What `finish` would still have done, had it not been cut off after publishing."""
        self.clear()
        if not self.tracker.ended(fitted.run_id):
            self.tracker.start(self.name, fitted.run_id)
            self._tell(fitted)
            self.tracker.end()

    def record_anew(self) -> str:
        """Begin a new record of the finished run, without curves; its id. `close` ends it."""
        self.tracker.start(self.name)
        self.tracker.params(self._params())
        checkpoints.record(self.final, self.tracker.run_id)
        return self.tracker.run_id

    def _tell(self, fitted: Fitted) -> None:
        rates = {"moments_per_s": fitted.moments_per_s, "candidates_per_s": fitted.candidates_per_s}
        self.tracker.metrics({**of_the_best(fitted.metrics), **rates}, fitted.steps)

    def clear(self) -> None:
        """Give back the space of what a finished run no longer needs."""
        checkpoints.clear(self.progress)
        checkpoints.clear(self.best)

    def _judge(self, epoch: int, judges: Reader) -> None:
        """Figures on unseen days; the best epoch's weights are put aside, else the last one's."""
        first, last = judges.samples.days[0], judges.samples.days[-1]
        of = f"{first if first == last else f'{first} to {last}'} (train.validation_days)"
        batches = (one.batch for one in judges.epoch(Position()))
        figures = judge(self.learner, batches, of)
        self.tracker.metrics(figures, self.tally.steps)
        loss = figures.get(f"{VALIDATION}_loss")
        if loss is None:
            none = asked.none(self.config, f"{judges.samples.moments:,} moments of {of}")
            logger.warning("%s No epoch is judged: the last one is kept", none)
        if loss is None or self.tally.best_loss is None or loss < self.tally.best_loss:
            self.tally.best_loss, self.tally.best_epoch = loss, epoch
            self.tally.figures.update(figures)
            checkpoints.save(self.best, self._checkpoint())

    def _put_aside(self) -> Checkpoint:
        """The best epoch of this run, as `_judge` left it."""
        best, epoch = checkpoints.load(self.best), self.tally.best_epoch
        if best is not None:
            checkpoints.require_fit(best.recipe, self.recipe, self.best)
        if best is None or epoch is None or best.position != Position(epoch + 1):
            raise TrainingError(
                f"{self.best.key} does not hold epoch {epoch}, which judged best. "
                "Start afresh with --set train.resume=false."
            )
        return best

    def _patience_is_spent(self, epoch: int) -> bool:
        best, patience = self.tally.best_epoch, self.config.patience
        return best is not None and patience is not None and epoch - best > patience

    def _step(self, loaded: Loaded, bar: Progress) -> None:
        seen = self.position.epoch > 0
        step = self.learner.learn(loaded.batch, self.tally.steps, seen=seen)
        self.meters.add(step.outputs, loaded.batch, step.losses)
        self.position = loaded.after
        self.tally.steps += 1
        self.tally.moments += loaded.batch.size
        self.tally.candidates += len(loaded.batch.cand_C)
        self._tick()
        bar.advance(loaded.batch.size, **self._shown(step))
        due = self.tally.steps % self.log_steps == 0
        if due or self._clock - self._logged >= LOG_EVERY_S:
            self._logged = self._clock
            self._log()
        if self._clock - self._saved >= self.config.checkpoint_every_s:
            checkpoints.save(self.progress, self._checkpoint())
            self._saved = time.monotonic()

    def _end_epoch(self, epoch: int) -> None:
        told = {task for task, meter in self.meters.of.items() if meter.questions}
        if not told:
            raise asked.none(self.config, f"{self.samples.moments:,} moments")
        if epoch == 0:
            for task in set(self.config.tasks) - told - self.learner.asked:
                logger.warning("%s is asked nowhere in these days: it is not trained", task)
        self._log()
        self.tally.figures.update(self._figures())
        self.meters = Meters(self.config.tasks)
        self.position = Position(epoch + 1, 0)
        leave_unknown(self.learner, self.samples.store, self._newest)

    def _figures(self) -> dict[str, float]:
        """Figures of the running epoch; from the second on the moments have been seen before."""
        return self.meters.figures("progressive" if self.position.epoch == 0 else "repeated")

    def _log(self) -> None:
        seconds = max(self.tally.seconds, 1e-9)
        figures = self._figures() | {
            "moments_per_s": self.tally.moments / seconds,
            "candidates_per_s": self.tally.candidates / seconds,
            "epoch": float(self.position.epoch),
        }
        self.tracker.metrics(figures | of_the_machine(), self.tally.steps)

    def _shown(self, step: Step) -> dict[str, float]:
        weights = self.config.weights
        loss = sum(weights.get(task, 1.0) * value for task, value in step.losses.items())
        return {
            "candidates_per_s": self.tally.candidates / max(self.tally.seconds, 1e-9),
            "loss": loss,
        }

    def _tick(self) -> None:
        now = time.monotonic()
        self.tally.seconds += now - self._clock
        self._clock = now

    def _params(self) -> dict[str, object]:
        """Settings, and lineage: of an update, what its ancestors learnt too."""
        plain, facts = self.recipe.plain(), self.facts
        days = facts.get("days") or [day.isoformat() for day in self.samples.days]
        lineage = {
            "first_day": days[0],
            "last_day": days[-1],
            "days": len(days),
            "moments": facts.get("moments", self.samples.moments),
            "samples": plain.pop("inputs"),
            "catalogs": plain.pop("catalogs"),
        }
        if "parent" in facts:
            lineage |= {name: facts[name] for name in ("parent", "ancestry_digest", "replayed")}
            learnt = {f"{part['day']}.{part['share']}": part["moments"] for part in facts["learnt"]}
            lineage["learnt"] = learnt
        return {**plain, "lineage": lineage}

    def _checkpoint(self) -> Checkpoint:
        tally = asdict(self.tally)
        return Checkpoint(
            recipe=self.recipe,
            position=self.position,
            run_id=self.run_id,
            weights=self.learner.model.state_dict(),
            optimizer=self.learner.optimizer.state_dict(),
            rng=checkpoints.rng_state(self.learner.device),
            tallies={"tally": tally, "meters": self.meters.state_dict()},
            facts={
                "tally": tally,
                "days": [day.isoformat() for day in self.samples.days],
                "moments": self.samples.moments,
                **self.facts,
                "taught": sorted({*self.taught, *self.learner.asked}),
            },
        )

    def _if_it_fits(self, found: Checkpoint) -> Checkpoint | None:
        """An update that was cut off before its parent or its data changed starts afresh."""
        differences = found.recipe.differences(self.recipe)
        if differences:
            logger.info("%s was begun otherwise (%s): afresh", self.name, differences[0])
        return None if differences else found

    def _restore(self, found: Checkpoint) -> None:
        self.learner.model.load_state_dict(found.weights)
        self.learner.optimizer.load_state_dict(found.optimizer)
        checkpoints.restore_rng(found.rng, self.learner.device)
        self.tally = Tally(**found.tallies["tally"])
        self.meters.load_state_dict(found.tallies["meters"])
        self.position = found.position
        self.taught |= set(found.facts.get("taught", self.config.tasks))
        self.resumed = True

    def _fitted(self, tally: Tally, run_id: str, *, resumed: bool) -> Fitted:
        return Fitted(
            run_name=self.name,
            run_id=run_id,
            checkpoint=self.final,
            metrics=dict(tally.figures),
            moments=tally.moments,
            candidates=tally.candidates,
            steps=tally.steps,
            seconds=tally.seconds,
            resumed=resumed,
        )
