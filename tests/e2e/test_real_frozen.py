"""A line that was frozen ten days ago, in a real `airflow standalone`: it is stopped.

The frozen line is the first model as a line of its own; the champion has learnt the ten days since.
So small an experiment cannot tell ten days of age (docs/log.md), and neither can a large one within
a week: what stops the rival is that nobody proved it better by the planned end.
"""

from datetime import timedelta

import pytest

from features.abtest import traffic
from infra import runtime
from infra.follow import follow
from infra.programs import RuntimeConfig
from pipeline import chain, steps
from pipeline.abtest import simulated
from pipeline.demo import experiment
from pipeline.release import standing
from pipeline.settings import load

pytestmark = [pytest.mark.drill, pytest.mark.timeout(3600)]  # the machine may be busy

AB_TEST = "dupn_ab_test"
TRAINED, MISSED = 2, 10
OVER = (
    *("marketplace.users=400", "beam.buckets=1"),
    *("evaluate.shuffles=false", "evaluate.replicates=50", "update.holdout_share=0.5"),
    *("gate.min_ctr_margin=1.0", "gate.max_ctr_margin=1.0", "gate.alpha=1e-9"),
    "compatibility.max_drop=1.0",
)
"""So little data proves nothing; here the champion's line must get through."""
CHAMPION, FROZEN = "dupn", "frozen"
ID = "frozen-ten-days"
PATIENCE_S = 1200


@pytest.fixture(scope="module")
def settings(home):
    """The first model; ten days that a later one has learnt; the first once more, as a rival."""
    settings = load("smoke", str(home), OVER)
    assert chain.initial(settings, settings.first_day, TRAINED)["promoted"]
    for number in range(MISSED):
        data(settings, day_of(settings, number))
    last = day_of(settings, MISSED - 1)
    run = steps.update(settings, last)["run"]
    for step in chain.RELEASE:  # `promote` refuses what the gate has not let pass
        getattr(steps, step)(settings, last, run=run)
    assert experiment.line_of_its_own(settings, "1", FROZEN) == "3"
    return settings


def data(settings, day):
    """A day up to its samples, as a night makes it; the evaluated day is there already."""
    if settings.store.partition("samples", day).exists():
        return
    steps.simulate(settings, day, 1)
    steps.events(settings, day)
    steps.quality(settings, day, "events")
    for step in ("vocabulary", "statistics", "sequences", "samples"):
        getattr(steps, step)(settings, day)
    steps.quality(settings, day, "samples")


def day_of(settings, number):
    """Since the days on which the first model was trained."""
    return settings.first_day + timedelta(days=TRAINED + number)


@pytest.fixture(scope="module")
def stopped(settings, home):
    """The run that looks at the only day of the experiment."""
    runtime.up(home, RuntimeConfig(airflow_port=28880, mlflow_port=25880, start_timeout_s=900))
    airflow = runtime.connect(home)
    day = day_of(settings, MISSED)
    run_of(airflow, declaration=declared(day))
    assert traffic.running(settings.store).experiment == ID
    arms = {arm: f"line:{arm}" for arm in (CHAMPION, FROZEN)}
    shares = dict.fromkeys(arms, 0.5)
    simulated.run(settings, simulated.Wanted(days=1, first=day, arms=arms, shares=shares, salt=ID))
    return run_of(airflow, day=str(day))


def declared(day):
    lines = [f'id = "{ID}"', f"first_day = {day}", "planned_days = 1", "before_days = 7", "[arms]"]
    return "\n".join([*lines, f"{CHAMPION} = 0.5", f"{FROZEN} = 0.5"])


def run_of(airflow, **conf):
    over = {"preset": "smoke", "overrides": "\n".join(OVER)}
    run = airflow.trigger(AB_TEST, {**over, **conf})
    return follow(airflow, AB_TEST, run, timeout_s=PATIENCE_S)


def test_it_is_stopped_and_every_task_is_green(stopped):
    states = {task.task_id: task.state for task in stopped.tasks}
    skipped = {name for name, state in states.items() if state == "skipped"}
    assert skipped == {"approval", "rival", "release"}
    assert {state for name, state in states.items() if name not in skipped} == {"success"}


def test_the_champion_stays_and_the_rival_has_no_alias(settings, stopped):
    assert standing.status(settings)["aliases"] == {"champion": "2", "previous": "1"}


def test_the_ledger_says_that_nobody_proved_it_better(settings, stopped):
    last = standing.log(settings)[-1]
    assert (last["action"], last["who"]) == ("stop", "experiment")
    assert last["why"].startswith(f"{ID}: ")
    assert "the planned end (day 1) is reached without a decision" in last["why"]
