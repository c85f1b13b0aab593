"""What is told of samples that do not reach the end of their day, or stand there twice."""

import json

import pytest

from features.schemas import SEQ_COLUMNS
from pipeline.quality import checks
from pipeline.settings import load
from tests.pipeline.quality.test_quality import DAY, MIDNIGHT_MS, publish_samples

COUNT, HOUR_MS = 200, 3_600_000


def failures(home, last_h, ids, *pairs):
    settings = load("smoke", str(home), pairs)
    ts = [MIDNIGHT_MS + round(HOUR_MS * last_h * row / (COUNT - 1)) for row in range(COUNT)]
    columns = {"sample_id": ids, "user_id": ["u"] * COUNT, "user_hash": [1] * COUNT, "ts": ts}
    columns |= {"scenario": [1] * COUNT} | {name: [[1]] * COUNT for name in SEQ_COLUMNS}
    publish_samples(settings.store, **columns)
    assert checks.run(settings, DAY, "samples")["passed"]
    report = json.loads(settings.store.get(f"reports/quality/samples/{DAY}.json"))
    return [one["sentence"].partition("warning: ")[2] for one in report["failures"]]


@pytest.mark.parametrize(("window_h", "stale"), [(1, True), (2, False)])
def test_samples_are_to_reach_to_a_window_before_midnight(tmp_path, window_h, stale):
    said = failures(
        tmp_path, 19.5, [*map(str, range(COUNT))], f"sequences.window_minutes={60 * window_h}"
    )
    assert said == stale * [
        "samples.ts has stale h 3.5, over the limit 3: look whether the day was delivered to its "
        "end."
    ]


def test_ids_of_samples_that_stand_there_twice_are_told(tmp_path):
    assert failures(tmp_path, 23, [str(row % 80) for row in range(COUNT)]) == [
        "samples.sample_id has repeated share 0.6, over the limit 0: a moment is learnt as often "
        "as it stands there; build the day anew with `dupn samples`."
    ]
