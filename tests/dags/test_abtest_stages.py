"""What tasks of an experiment's day find out before their step."""

import json
from datetime import date

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from dags import abtest_stages
from features.abtest import traffic
from pipeline import steps
from tests import experiment_log as logs
from tests.experiment_log import NEW
from training import checkpoint

LEARNT = [date(2026, 3, day) for day in (1, 2, 3)]


@pytest.fixture
def mine(monkeypatch, tmp_path):
    """A challenger that has learnt three days, the last one in a night of its own."""
    made, trial = logs.settings(tmp_path), logs.experiment()
    logs.lines(made)
    content = {"experiment": trial.model_dump(mode="json"), "at": "then"}
    made.store.put(traffic.key(trial.id, "experiment"), json.dumps(content))
    facts = {"days": [str(day) for day in LEARNT], "parent": f"{NEW}-2026-03-02"}
    with checkpoint.final(made.store, f"{NEW}-2026-03-03").publish(**facts) as out:
        out.record([out.write_bytes("model", b"")])
    params = {"preset": "smoke", "overrides": "", "dataset": "marketplace"}
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    monkeypatch.setattr(abtest_stages, "get_current_context", lambda: {"params": params})
    return made


@pytest.mark.parametrize("day", [LEARNT[1], LEARNT[2], date(2026, 3, 4)])
def test_a_day_that_the_challenger_has_learnt_in_a_later_night_is_not_learnt_again(
    mine, monkeypatch, day
):
    """That of its own night is asked for once more, and found done."""
    asked = []
    monkeypatch.setattr(steps, "update", lambda own, day: asked.append((own.line, day)))
    if day == LEARNT[1]:
        with pytest.raises(AirflowSkipException, match=f"{NEW}-2026-03-03 is promoted and has lea"):
            abtest_stages._learn(mine, "new-for-old", day)
    else:
        abtest_stages._learn(mine, "new-for-old", day)
    assert asked == ([] if day == LEARNT[1] else [(NEW, day)])
