import io
import json
from datetime import date

import pytest
from rich.console import Console

from evaluation import filed
from evaluation.nights import figures_key
from pipeline.abtest import experiments, verdicts
from pipeline.demo import experiment, story, tables
from pipeline.release import verdicts as gates
from pipeline.settings import load

LAST, NIGHT, TRIED, DIRTY = (date(2026, 3, day) for day in (11, 13, 14, 15))
STOPPED = "Quality of events 2026-03-15 failed: [behaviors] has reject share 0.33. See /x; mend it."


@pytest.fixture
def settings(tmp_path):
    settings = load("smoke", str(tmp_path))
    put = settings.store.put
    first = [{"name": "floor ctr_auc", "sentence": "ctr_auc 0.71 meets the floor 0.55."}]
    then = [*first, {"name": "ctr non-inferiority", "sentence": "CTR is non-inferior: +0.0123."}]
    for day, checks in ((LAST, first), (NIGHT, then)):
        verdict = {"outcome": "promote", "failed": [], "checks": checks}
        put(gates.key(f"dupn-{day}"), json.dumps(verdict))
    ctr = {"value": 0.0123, "low": -0.001, "high": 0.025}
    compared = json.dumps({"comparison": {"ctr": ctr}})
    put(filed.comparison(f"dupn-{NIGHT}"), compared)
    figure = {"name": "watch_progressive_ctr_auc", "value": 0.7, "low": 0.69, "high": 0.71}
    put(figures_key(settings.store, "dupn", f"{NIGHT}"), json.dumps({"figures": [figure]}))
    return settings


def rows(settings):
    table = tables.nights(settings, LAST, [NIGHT, DIRTY], {DIRTY: STOPPED})
    out = io.StringIO()
    Console(file=out, width=400).print(table)
    return [line for line in out.getvalue().splitlines() if "2026" in line]


def test_the_nights_are_those_after_the_day_that_the_first_model_is_judged_on(settings):
    assert story.night_days(settings) == [NIGHT, DIRTY]
    assert story.experiment_day(settings) == TRIED  # between them


def test_the_experiment_is_told_by_its_verdict(settings):
    figures = [
        {"name": "abtest_ctr_uplift", "value": -0.201, "low": -0.25, "high": -0.152},
        {"name": "abtest_sales_uplift", "value": -0.4, "low": None, "high": None},
    ]
    told = {"outcome": "stop", "reasons": ["clicks: [worse]."], "figures": figures}
    key = verdicts.key(settings.store, experiment.ID, TRIED, "verdict")
    settings.store.put(key, json.dumps(told))
    out = io.StringIO()
    story.show(settings, console=Console(file=out, width=400))
    (row,) = [line for line in out.getvalue().splitlines() if "clicks" in line]
    said = [cell.strip() for cell in row.strip("│ ").split("│")]
    gain = "-20.1% (-25.0% to -15.2%)"
    assert said == [str(TRIED), gain, "-40.0%", "stop", "clicks: [worse]."]
    assert f"reports/abtest/{experiment.ID}/dt={TRIED}/report.html" in out.getvalue()


def test_the_declaration_of_the_demo_is_an_experiment(settings):
    made = experiments.declared(experiment.declared(settings, TRIED))
    assert list(made.arms) == ["dupn", experiment.RIVAL]
    assert made.runs(TRIED)


def test_the_table_says_what_became_of_every_run(settings):
    initial, good, dirty = rows(settings)
    assert "initial, to 2026-03-11" in initial
    assert "ctr_auc 0.71 meets the floor 0.55." in initial
    assert "promoted" in good
    assert "0.700 (0.690 to 0.710)" in good
    assert "+0.012 (-0.001 to +0.025)" in good
    assert "CTR is non-inferior" in good
    assert "stopped by quality" in dirty
    assert "[behaviors] has reject share 0.33." in dirty  # brackets are no markup here
    assert "mend it" not in dirty
