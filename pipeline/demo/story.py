"""`dupn run demo`: an initial training, nights and an experiment in a real Airflow, and their ends.

Starts Airflow and the MLflow UI if they do not run, triggers the DAGs over REST as the UI does,
waits, and reads what the runs left in the store. The experiment (`pipeline.demo.experiment`) holds
a rival that is worse on purpose against the champion, and its verdict stops it; the second night
gets dirty data, and quality stops that: both are part of the demo. What is done already is not done
again. At the end the service is asked with curl. All of it stays up: look around, then `dupn down`.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from evaluation import report
from evaluation.report import closing_table
from evaluation.results import OfflineReport
from infra import peak, run_key, runtime
from infra.airflow_api import Airflow
from infra.errors import OrchestrationError
from infra.follow import follow, until_ended
from infra.tracking import require
from pipeline import form, steps
from pipeline.abtest import verdicts
from pipeline.cli.show import wide
from pipeline.demo import experiment, service, tables
from pipeline.nights import nightly
from pipeline.nights.nightly import State
from pipeline.release import verdicts as gates
from pipeline.release.incumbent import registry_of
from pipeline.settings import Settings, handed_on

logger = logging.getLogger(__name__)

INITIAL = "dupn_initial_train"
NIGHT = "dupn_nightly_update"
DAYS = 10
"""To train on; the day after them is the one that the first figures are from."""
DIRTY = 1 / 3
"""Share of the second night's behaviours that the demo breaks."""

SHUFFLES = {
    "shuffled_properties_cost": "behaviour properties shuffled within a batch cost",
    "shuffled_query_cost": "queries shuffled within a batch cost",
}
"""What the network draws from an input: the figure's name and how it is said."""


@peak.told(lambda settings: settings.home)
def run(settings: Settings, preset: str, pairs: Sequence[str] = ()) -> Mapping[str, Any]:
    """Bring everything up, run the DAGs and wait; what the runs showed and where to look.

    Raises:
        OrchestrationError: Airflow did not start, or a run ended otherwise than it should.
    """
    begin, variables = time.monotonic(), handed_on(settings, preset, pairs)
    tracking = settings.tracking.uri
    if tracking is None and settings.store.is_local:
        require(settings.tracking, settings.store)
    addresses = runtime.up(settings.home, settings.runtime, variables, tracking=tracking)
    ready = time.monotonic()
    logger.info("Airflow and MLflow were up after %.0f s", ready - begin)
    conf = filled_in(settings, variables, pairs)
    shown = _Demo(settings, runtime.connect(settings.home), addresses["airflow"], conf)
    seconds = {}
    for name, part in (
        ("initial_s", shown.initial),
        ("first_night_s", shown.first_night),
        ("abtest_s", shown.abtest),
        ("second_night_s", shown.second_night),
    ):
        start = time.monotonic()
        part()
        seconds[name] = round(time.monotonic() - start, 1)
    asked = service.ask(settings, variables, shown.nights[0])
    return {
        "promoted": _champion(settings),
        "stopped": shown.stopped,
        "asked": asked["command"],
        "answered": asked["answer"],
        "start_s": round(ready - begin, 1),
        **seconds,
        **runtime.where(Path(settings.home), tracking),
    }


def filled_in(
    settings: Settings, variables: Mapping[str, str], pairs: Sequence[str]
) -> dict[str, str]:
    """The form of every run; what a form may not say, Airflow was started with."""
    return {
        "dataset": settings.dataset,
        "preset": variables["DUPN_PRESET"],
        "overrides": "\n".join(form.kept(pairs)),
    }


class _Demo:
    """The DAG runs of the demo."""

    def __init__(
        self, settings: Settings, airflow: Airflow, page: str, conf: Mapping[str, Any]
    ) -> None:
        self.settings, self.airflow, self.page, self.conf = settings, airflow, page, conf
        self.nights, self.between = night_days(settings), experiment_day(settings)
        self.stopped = ""

    def initial(self) -> None:
        """Train on ten days; the gate must let the first model pass, or there is nothing to tend.

        Raises:
            OrchestrationError: it did not.
        """
        if _champion(self.settings):
            logger.info("%s: a champion is there already, nothing to do", INITIAL)
            return
        conf = {**self.conf, "first_day": self.settings.first_day.isoformat(), "days": DAYS}
        self._follow(INITIAL, conf)
        if not _champion(self.settings):
            raise OrchestrationError(
                "the gate kept the first model back, so there is no champion for the nights to "
                f"update. The verdict lies in {self.settings.store.address(gates.FOLDER)}."
            )

    def first_night(self) -> None:
        """A night like any other."""
        night = nightly.read(self.settings, self.nights[0])
        if night is not None and night.state is State.ENDED:
            logger.info("%s: the night of %s has ended already", NIGHT, night.day)
            return
        self._follow(NIGHT, {**self.conf, "day": self.nights[0].isoformat()})

    def abtest(self) -> None:
        """A day on which a rival that is worse on purpose ranks half of the users' pages.

        Raises:
            OrchestrationError: it was not stopped.
        """
        experiment.run(self.settings, self.between, self._follow, self.conf)

    def second_night(self) -> None:
        """A night whose collector is broken: quality has to stop it.

        Raises:
            OrchestrationError: it did not.
        """
        day = self.nights[1]
        if not self.settings.store.partition("raw", day, "behaviors").exists():
            steps.simulate(self.settings, day, 1, DIRTY)
            logger.info("the demo has broken %.0f %% of the behaviours of %s", 100 * DIRTY, day)
        run_id = self._trigger(NIGHT, {**self.conf, "day": day.isoformat()})
        limit = self.settings.runtime.run_timeout_s
        ended = until_ended(self.airflow, NIGHT, run_id, timeout_s=limit)
        failed = [task for task in ended.tasks if task.state == "failed"]
        if [task.task_id for task in failed] != ["quality"]:
            raise OrchestrationError(
                f"quality should have stopped the night of {day}, whose data is dirty, but it "
                f"ended as {ended.state}. Look at {self.page}/dags/{NIGHT}/runs/{run_id}."
            )
        log = self.airflow.log_tail(NIGHT, run_id, failed[0]).splitlines()
        said = [line for line in log if "QualityFailed: " in line]
        self.stopped = said[-1].rpartition("QualityFailed: ")[2] if said else "quality failed"
        logger.info("quality has stopped the night of %s, as it should: %s", day, self.stopped)

    def _follow(self, dag: str, conf: Mapping[str, Any]) -> None:
        run_id = self._trigger(dag, conf)
        follow(self.airflow, dag, run_id, timeout_s=self.settings.runtime.run_timeout_s)

    def _trigger(self, dag: str, conf: Mapping[str, Any]) -> str:
        run_id = self.airflow.trigger(dag, conf)
        logger.info("follow it at %s/dags/%s/runs/%s", self.page, dag, run_id)
        return run_id


def night_days(settings: Settings) -> list[date]:
    """The data days of the two nights, the first one after the day that the first figures are from.

    Between them lies the experiment's day.
    """
    return [settings.first_day + timedelta(days=DAYS + after) for after in (1, 3)]


def experiment_day(settings: Settings) -> date:
    """The day of the experiment: the one after the first night's."""
    return night_days(settings)[0] + timedelta(days=1)


def show(settings: Settings, stopped: str = "", console: Console | None = None) -> None:
    """The closing tables: how good the first model is, and what became of each night."""
    out = console or wide()
    last = settings.first_day + timedelta(days=DAYS - 1)
    made = report.read(settings.store, run_key.of(settings.line, last))
    if made is not None:
        _show_report(made, out)
    said = {night_days(settings)[1]: stopped} if stopped else {}
    out.print(tables.nights(settings, last, night_days(settings), said))
    day = experiment_day(settings)
    name, rival = experiment.ID, experiment.RIVAL
    title = f"Experiment {name}: {rival}, its scores shuffled, against {settings.line}"
    out.print(tables.experiment(settings, name, title, [day]))
    page = verdicts.key(settings.store, name, day, "report", "html")
    out.print(f"Report: {settings.store.address(page)}\n", markup=False, soft_wrap=True)


def _show_report(made: OfflineReport, out: Console) -> None:
    out.print(closing_table(made))
    for figure in made.figures:
        if figure.name in SHUFFLES and figure.value is not None:
            interval = f" ({figure.low:.3f} to {figure.high:.3f})" if figure.low is not None else ""
            out.print(f"{SHUFFLES[figure.name]} {figure.value:.3f} of CTR AUC{interval}")


def _champion(settings: Settings) -> bool:
    registry = registry_of(settings)
    version = registry.version("champion")
    return version is not None and version.tags.get("line") == settings.line
