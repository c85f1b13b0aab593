"""Days of an experiment that nobody vouches for."""

import json
from datetime import date, timedelta

from evaluation.abtest.experiment import Experiment
from infra.store import Store
from pipeline.abtest import looks
from pipeline.quality import judged

FIRST = date(2026, 3, 2)
TRIAL = Experiment(id="e", first_day=FIRST, arms={"old": 0.5, "new": 0.5})


def test_a_day_that_quality_or_a_person_refused_is_told_and_one_never_judged_is_not(tmp_path):
    store, days = Store(tmp_path), [FIRST + timedelta(days=number) for number in range(4)]
    for day, passed in ((days[1], True), (days[2], False)):
        store.put(judged.report(day, "events"), json.dumps({"passed": passed}))
    judged.leave_out(store, days[3], out=True)
    assert list(looks.doubted(store, TRIAL, days[2])) == [
        f"{days[2]}: events did not pass quality."
    ]
    assert list(looks.doubted(store, TRIAL, days[3]))[1:] == [f"{days[3]}: {judged.LEFT_OUT}."]
    for of in judged.GROUPS:  # mended
        store.put(judged.report(days[3], of), json.dumps({"passed": True}))
    assert list(looks.doubted(store, TRIAL, days[3]))[1:] == []
