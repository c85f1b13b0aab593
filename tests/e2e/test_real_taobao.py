"""The real Taobao excerpt through a real `airflow standalone`: a file and a trigger over REST.

The preset is that of the excerpt; nothing is lightened, so this is the run of docs/log.md.
"""

import time
from datetime import date

import pytest
import requests

from evaluation.results import OfflineReport
from infra import runtime
from infra.follow import follow
from infra.programs import RuntimeConfig
from pipeline.release import standing
from pipeline.settings import load
from tests.e2e.test_real_logs import LOGS, TAOBAO

pytestmark = [
    pytest.mark.drill,
    pytest.mark.timeout(3600),  # the machine may be busy
    pytest.mark.skipif(not LOGS.exists(), reason="the real logs are not on this machine"),
]

DAG = "dupn_initial_train"
FIRST, LAST = date(2017, 11, 25), date(2017, 12, 1)
ASKED = date(2017, 12, 2)
FORM = {
    "dataset": "taobao_userbehavior",
    "preset": "taobao",
    "files": [str(TAOBAO)],
    "first_day": str(FIRST),
    "days": 7,
}
PATIENCE_S = 1800


@pytest.fixture(scope="module")
def home(home):
    runtime.up(home, RuntimeConfig(airflow_port=28680, mlflow_port=25680, start_timeout_s=900))
    return home


@pytest.fixture(scope="module")
def settings(home):
    return load("taobao", str(home))


@pytest.fixture(scope="module")
def done(home):
    """The run when it has ended well."""
    airflow = runtime.connect(home)
    begin = time.monotonic()
    run = airflow.trigger(DAG, FORM)
    ended = follow(airflow, DAG, run, timeout_s=PATIENCE_S)
    print(f"{DAG} on the Taobao excerpt: {time.monotonic() - begin:.0f} s")
    return ended


@pytest.fixture(scope="module")
def report(settings, done):
    kept = settings.store.get(f"reports/offline/{settings.line}-{LAST}/report.json")
    return OfflineReport.model_validate_json(kept)


def estimate(report, name):
    return next(figure for figure in report.figures if figure.name == name)


def result(report, name):
    return next(task for task in report.tasks if task.name == name)


def test_every_task_is_green_and_nothing_is_simulated(done):
    states = {(task.task_id, task.label): task.state for task in done.tasks}
    assert states.pop(("simulate", "")) == "skipped"
    assert states["import", ""] == "success"
    assert set(states.values()) == {"success"}
    for stage in ("events", "quality", "quality_samples"):
        days = sorted(label for name, label in states if name == stage)
        assert (days[0], days[-1], len(days)) == (str(FIRST), str(ASKED), 8)


def test_the_registry_has_a_champion(home, settings, done):
    assert standing.status(settings)["aliases"] == {"champion": "1"}
    answer = requests.get(
        f"{runtime.where(home)['mlflow']}/api/2.0/mlflow/registered-models/alias",
        params={"name": "dupn", "alias": "champion"},
        timeout=30,
    )
    assert answer.json()["model_version"]["version"] == "1"


def test_its_report_is_of_the_eighth_day_and_says_which_moments_and_negatives(report):
    assert report.day == str(ASKED)
    assert "derived moments, same-day any" in result(report, "ctr_auc").protocol
    harder = result(report, "ctr_auc_same_category")
    assert "derived moments, same-day same-category" in harder.protocol
    for off in ("ppp_precision", "fifp_auc", "spp_auc"):
        assert "not asked" in result(report, off).reason


@pytest.mark.parametrize("asked", ["ctr_auc", "ctr_auc_same_category"])
def test_yardsticks_stand_beside_the_model_each_with_an_interval(report, asked):
    rivals = {rival.name: rival for rival in result(report, asked).rivals}
    assert {"popularity", "seen_before", "category_recency"} <= set(rivals)
    shown = [result(report, asked).model]
    shown += [part for one in rivals.values() for part in (one.estimate, one.difference)]
    for one in shown:
        assert one.low <= one.value <= one.high


def test_so_few_users_leave_wide_intervals(report):
    auc, bought = estimate(report, "ctr_auc"), estimate(report, "l2r_purchase_auc")
    print(f"CTR AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})")
    assert auc.high - auc.low > 0.01
    assert bought.high - bought.low > 0.04


def test_clicks_are_told_at_least_as_well_as_by_category_recency(report):
    over = estimate(report, "ctr_auc_over_category_recency")
    print(f"over category recency {over.value:+.3f} ({over.low:+.3f} to {over.high:+.3f})")
    assert over.low > -0.01
    assert over.high > 0
    assert estimate(report, "ctr_auc").value > 0.85


def test_against_others_of_its_category_seen_before_is_printed_beside_it(report):
    """Not won: what tells items of a category apart is whether they were seen."""
    seen = estimate(report, "ctr_auc_same_category_seen_before")
    own = estimate(report, "ctr_auc_same_category")
    print(f"same category {own.value:.3f}, seen before {seen.value:.3f}")
    assert seen.value == pytest.approx(0.626, abs=0.01)
