"""Settings at their ends: what is refused says what to set, what is allowed can be counted with."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from evaluation.abtest.design import Rule, TrustConfig
from evaluation.gate import GateConfig
from evaluation.settings import CompatibilityConfig
from features.items.lr_sample import SAMPLE, with_negatives
from infra.config import CENTURY, LARGEST_SEED
from infra.errors import ConfigError
from pipeline.days import EARLIEST
from pipeline.settings import load
from pipeline.upkeep.retention import outdated

DAYS = (
    "retention.state_days",
    "retention.tables_days",
    "retention.samples_days",
    "retention.events_days",
    "retention.bundle_days",
    "represent.keep_days",
    "update.abnormal_days",
    "quality.history_days",
    "evaluate.background_days",
)


@pytest.mark.parametrize("name", DAYS)
def test_days_are_counted_back_for_a_century_and_no_further(name):
    assert load("smoke", pairs=[f"{name}={CENTURY}"])
    with pytest.raises(ConfigError, match=f"{name} = 36501 is refused: .*or equal to 36500"):
        load("smoke", pairs=[f"{name}={CENTURY + 1}"])
    assert outdated([EARLIEST], EARLIEST, CENTURY) == []


@pytest.mark.parametrize("name", ["watch.ages", "watch.back"])
def test_days_in_a_list_are_bounded_as_well(name):
    assert load("smoke", pairs=[f"{name}=[{CENTURY}]"])
    with pytest.raises(ConfigError, match=rf"{name}\.0 = 1000000 is refused"):
        load("smoke", pairs=[f"{name}=[1000000]"])


@pytest.mark.parametrize("days", [1, 2])
def test_a_history_that_volume_is_never_held_against_is_refused(days):
    with pytest.raises(ConfigError, match=r"quality\.history_days = \d is refused: .*equal to 3"):
        load("smoke", pairs=[f"quality.history_days={days}"])


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["watch.median_nights=2"], "set watch.median_nights to as many or more"),
        (["watch.min_nights=8"], "set watch.median_nights to as many or more"),
        (["nightly.give_up_hours=5"], "set nightly.deadline_hours to fewer"),
        (["samples.any_category=0", "samples.same_category=0"], "set it to 1 or more"),
        (["samples.any_category=0", "samples.negatives=uniform"], "set it to 1 or more"),
        (
            [f"samples.weight_{name}=0" for name in ("none", "click", "bookmark", "cart")]
            + ["samples.weight_purchase=0"],
            "set one of them",
        ),
    ],
)
def test_settings_that_leave_nothing_to_do_are_refused_together(pairs, words):
    assert load("smoke", pairs=pairs[:-1])
    with pytest.raises(ConfigError, match=words):
        load("smoke", pairs=pairs)


def test_as_many_negatives_as_clicks_need_no_number_of_them():
    assert load("smoke", pairs=["samples.negatives=mimn", "samples.any_category=0"])


@pytest.mark.parametrize(
    "pair",
    [
        "canary.timeout_s=86401",
        "serve.poll_s=1e300",
        "serve.flush_s=1e300",
        "serve.timeout_s=1e300",
        "alerts.timeout_s=1e300",
        "samples.weight_none=1e300",
        "nightly.settle_minutes=1e300",
        "nightly.deadline_hours=1e300",
        "gate.alpha=1e-17",
        "compatibility.alpha=1e-17",
        f"seed={LARGEST_SEED + 1}",
        f"statistics.seed={LARGEST_SEED + 1}",
        "runtime.airflow_port=65000",
        "study.trials=[]",
        "study.trials=[{dropout=1.0}]",
        "study.trials=[{embedding_learning_rate=-0.1}]",
        "study.trials=[{alpha=0}]",
    ],
)
def test_a_number_with_which_a_later_step_could_not_count_is_refused(pair):
    with pytest.raises(ConfigError, match=r"is refused"):
        load("smoke", pairs=[pair])


def test_the_largest_seed_draws_negatives():
    click = pa.table({name: [1] for name in SAMPLE.names}, schema=SAMPLE)
    known = click["item_hash"].to_numpy()
    assert with_negatives(click, known, 3, LARGEST_SEED).num_rows == 4


@pytest.mark.parametrize("section", [Rule, TrustConfig, GateConfig, CompatibilityConfig])
def test_an_error_that_no_interval_can_be_made_of_is_refused(section):
    assert section(alpha=1e-9).alpha == 1e-9
    for error in (1e-10, 0.5):
        with pytest.raises(ValidationError, match="alpha"):
            section(alpha=error)
