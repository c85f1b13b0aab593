"""A study in MLflow: one run, and a run inside it for every cell."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.errors import RecordCorrupt
from infra.files import alone
from infra.record import as_object, reading
from infra.tracking import MlflowTracker
from pipeline.studies.base import Study

logger = logging.getLogger(__name__)


class Diary:
    """Tells MLflow of a study; its run is the same until the study has ended.

    Args:
        study: whose cells and report are told.
    """

    def __init__(self, study: Study[Any]) -> None:
        self.study = study
        self._run: str | None = None

    @property
    def run(self) -> str:
        """Id of the study's run, which is begun when it is first needed.

        One that has ended is left alone: what comes after it is a study of its own.
        """
        if self._run is None:
            store, tracker = self.study.store, self._tracker()
            with alone(Path(store.address(f"{self._place}.lock"))):  # cells begin side by side
                known = self._known()
                going = known if known and not tracker.ended(known) else None
                self._run = tracker.start(f"study {self.study.name}", going)
                store.put(self._place, json.dumps({"run_id": self._run}))
        return self._run

    def _known(self) -> str | None:
        """The run that was begun; what cannot be read of it costs a second run, and no cell."""
        kept = self.study.store.get(self._place)
        try:
            with reading(self._place, "The study goes on in a new run."):
                return None if kept is None else str(as_object(kept)["run_id"])
        except RecordCorrupt as error:
            logger.warning("%s", error)
            return None

    def catch_up(self, keys: Sequence[str]) -> None:
        """Note which cells are still to be told, and tell those that were finished and never were.

        MLflow may be away when a cell ends, or the process be killed. A note stands beside a cell
        from before it is run until it is told: one without a note, as those that are published or
        were put there by hand, counts as told.
        """
        for key in keys:
            if self.study.kept(key) is None:
                self.study.store.put(self._note(key), "")
            elif self.study.store.get(self._note(key)) is not None:
                self.cell(key)

    def cell(self, key: str) -> None:
        """A finished cell."""
        (found,) = self.study.finished([key])
        logged = self.study.logged(found)
        tracker = self._tracker()
        tracker.start(f"{self.study.name} {key}", parent=self.run)
        tracker.params({**logged.params, "settings": found.settings})
        for step, metrics in logged.metrics:
            tracker.metrics(metrics, step)
        tracker.end()
        Path(self.study.store.address(self._note(key))).unlink(missing_ok=True)

    def end(self, report: Mapping[str, Any]) -> None:
        """The figures and the page."""
        tracker = self._tracker()
        tracker.start(f"study {self.study.name}", self.run)
        known = {one["name"]: one["value"] for one in report["figures"] if one["value"] is not None}
        tracker.metrics(known)
        folder = Path(self.study.store.address("reports", "study", self.study.name))
        kinds = ("*.html", "*.md", "*.png", "report.json")
        for file in sorted(file for kind in kinds for file in folder.glob(kind)):
            tracker.file(file, "study")
        tracker.end()

    def _note(self, key: str) -> str:
        return self.study.place(key).removesuffix(".json") + ".untold"

    @property
    def _place(self) -> str:
        return f"reports/study/{self.study.name}/run.json"

    def _tracker(self) -> MlflowTracker:
        return MlflowTracker(self.study.settings.tracking, self.study.store)
