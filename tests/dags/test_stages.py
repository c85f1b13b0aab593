"""What the tasks of an initial training make of the form."""

from datetime import date

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags import running, stages
from pipeline.days import LONGEST
from tests.pipeline.test_importing import MINE

DAY = date(2026, 11, 1)
ROW = "m{}|s0|1|01.11.2026 08:00\n"


@pytest.fixture
def params(monkeypatch, tmp_path):
    description = tmp_path / "mine.toml"
    description.write_text(MINE)
    given = {"preset": "smoke", "overrides": "", "dataset": str(description), "replace": False}
    monkeypatch.setenv("DUPN_HOME", str(tmp_path / "home"))
    for module in (running, stages):
        monkeypatch.setattr(module, "get_current_context", lambda: {"params": given})
    return given


def test_the_form_can_say_that_days_of_other_files_are_replaced(params, tmp_path):
    day = running.plain({"params": params}).store.partition("raw", DAY, "behaviors")
    for rows in (2, 1):
        file = tmp_path / f"actions_{rows}.csv"
        file.write_text("member|sku|act|when\n" + "".join(map(ROW.format, range(rows))))
        params["files"] = [str(file)]
        if rows == 1:
            with pytest.raises(AirflowFailException, match=r"actions_2\.csv .*Give --replace"):
                stages.import_log.function()
            assert day.manifest().rows == 2
            params["replace"] = True
        stages.import_log.function()
        assert day.manifest().rows == rows


@pytest.mark.parametrize(
    ("first", "days"), [("0026-03-02", 1), ("9999-12-31", 1), ("2026-03-02", 10**9)]
)
@pytest.mark.parametrize("task", [stages.days, stages.simulate])
def test_days_that_nobody_means_are_refused_and_not_tried_again(params, task, first, days):
    params |= {"dataset": "marketplace", "first_day": first, "days": days}
    with pytest.raises(AirflowFailException, match=r"ConfigError: .* (out of reach|too many)"):
        task.function()


def test_the_form_asks_for_no_more_days_than_may_be_asked_for(seen):
    asked = seen["dags"]["dupn_initial_train"]["params"]["days"]["schema"]
    assert (asked["minimum"], asked["maximum"]) == (1, LONGEST)
