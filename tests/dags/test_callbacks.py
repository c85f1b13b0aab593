"""Whoever is on call is told, above all when what says whom to tell cannot be read."""

import socket
import time
from types import SimpleNamespace

import psutil
import pytest

from dags import callbacks, running, stages
from infra.alerts import WEBHOOK
from pipeline import steps

DAY = "2026-03-05"


@pytest.fixture
def fail(monkeypatch, tmp_path):
    """A task of a night fails, whose form says this."""
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))

    def run(preset="smoke", overrides="", words="ConfigError: mend it", note=lambda **_: None):
        params = {"dataset": "rees46", "preset": preset, "overrides": overrides, "day": DAY}
        task = {"task_id": "raw", "dag_id": "dupn_nightly_update", "run_id": "r", "log_url": ""}
        task["xcom_push"] = note
        callbacks.failed(
            {"ti": SimpleNamespace(**task), "exception": words, "params": params, "dag_run": None}
        )

    return run


@pytest.mark.parametrize(
    ("preset", "overrides"),
    [("smoke", ""), ("smoke", "train.epoch=2"), ("gone", ""), ("/gone.toml", ""), (None, "x")],
)
def test_the_environments_webhook_is_told_whatever_the_form_says(
    hook, fail, monkeypatch, preset, overrides
):
    address, heard = hook
    monkeypatch.setenv(WEBHOOK, address)
    fail(preset, overrides)
    assert [(one["title"], one["day"], one["text"]) for one in heard] == [
        ("dupn_nightly_update: raw failed", DAY, "ConfigError: mend it")
    ]


def test_it_is_told_where_the_environments_settings_are_wrong(hook, fail, monkeypatch):
    address, heard = hook
    monkeypatch.setenv(WEBHOOK, address)
    monkeypatch.setenv("DUPN_SET", "train.epoch=2")
    fail()
    assert len(heard) == 1


def test_it_is_told_where_no_home_is_set(hook, fail, monkeypatch):
    address, heard = hook
    monkeypatch.delenv(WEBHOOK, raising=False)
    monkeypatch.setenv("DUPN_SET", f"alerts.webhook={address}")
    monkeypatch.delenv("DUPN_HOME")
    fail(words="ConfigError: DUPN_HOME is not set where this task runs")
    assert [one["day"] for one in heard] == [DAY]


def test_it_is_told_where_the_store_does_not_answer(hook, fail, monkeypatch):
    address, heard = hook
    monkeypatch.setenv(WEBHOOK, address)
    monkeypatch.setenv("DUPN_HOME", "nowhere://bucket/x")
    fail(words="StoreError: the store does not answer")
    assert [one["text"] for one in heard] == ["StoreError: the store does not answer"]


@pytest.mark.parametrize(("preset", "overrides"), [("smoke", "train.epoch=2"), ("gone", "")])
def test_settings_that_can_be_read_say_whom_to_tell_beside_those_that_cannot(
    hook, fail, monkeypatch, preset, overrides
):
    address, heard = hook
    monkeypatch.delenv(WEBHOOK, raising=False)
    monkeypatch.setenv("DUPN_SET", f"alerts.webhook={address}")
    fail(preset, overrides)
    assert len(heard) == 1


def test_a_preset_that_somebody_names_in_a_form_does_not_say_whom_to_tell(
    hook, fail, monkeypatch, tmp_path
):
    address, heard = hook
    monkeypatch.delenv(WEBHOOK, raising=False)
    preset = tmp_path / "delivered.toml"
    preset.write_text(f'[alerts]\nwebhook = "{address}"\n')
    fail(str(preset))
    assert heard == []
    monkeypatch.setenv("DUPN_NIGHTLY_PRESET", str(preset))
    fail(str(preset))
    assert len(heard) == 1


@pytest.fixture
def silent(monkeypatch):
    """A mail server that takes every call and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = f"alerts.smtp_host=127.0.0.1\nalerts.smtp_port={port}\nalerts.timeout_s=1"
        monkeypatch.setenv("DUPN_SET", f'alerts.email_to=["a@example.com"]\n{said}')
        yield server


def test_a_task_notes_that_it_has_told_while_others_are_still_waited_for(
    hook, fail, silent, monkeypatch, caplog
):
    address, heard = hook
    monkeypatch.setenv(WEBHOOK, address)
    monkeypatch.setattr("infra.alerts.time.sleep", lambda _: None)
    fail(note=lambda **_: silent.close())
    assert len(heard) == 1
    assert caplog.messages[-1].endswith(": ConnectionRefusedError"), "the mail was not waited for"


def test_telling_is_over_before_airflow_kills_the_process_of_the_task(
    fail, silent, monkeypatch, caplog
):
    noted = []
    monkeypatch.setenv(WEBHOOK, f"http://127.0.0.1:{silent.getsockname()[1]}/")
    monkeypatch.setenv("AIRFLOW__CORE__TASK_SUCCESS_OVERTIME", "0.5")
    fail(note=lambda **said: noted.append(said))
    given_up = [one for one in caplog.messages if one.endswith("in the time that there was")]
    assert len(given_up) == 2
    assert noted == []


def test_the_end_of_a_run_is_told_within_the_time_of_the_dag_processor(silent, monkeypatch, caplog):
    monkeypatch.delenv(WEBHOOK, raising=False)
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT", "0.5")
    monkeypatch.setattr(callbacks, "AT_LEAST_S", 0.3)  # this process is older than that
    callbacks.ended({"dag": SimpleNamespace(dag_id="dupn_study"), "run_id": "r"})
    assert caplog.messages[-1].endswith("no answer in the time that there was")


@pytest.mark.parametrize(("age_s", "left_s"), [(0, 30), (20, 10), (40, 2)])
def test_callbacks_of_a_dag_processor_share_the_time_that_its_process_has(
    monkeypatch, age_s, left_s
):
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: time.time() - age_s)
    assert callbacks._until_file() - time.monotonic() == pytest.approx(left_s, abs=1)


def test_whoever_tells_hears_whether_anybody_was_reached(hook, monkeypatch):
    address, _ = hook
    ti = SimpleNamespace(task_id="raw", dag_id="dupn_nightly_update", run_id="r", log_url="")
    context = {"ti": ti, "params": {"preset": None, "day": DAY}, "dag_run": None}
    monkeypatch.setattr("infra.alerts.time.sleep", lambda _: None)
    for webhook, reached in ((address, True), ("http://127.0.0.1:9/", False)):
        monkeypatch.setenv(WEBHOOK, webhook)
        assert callbacks.tell("late", "raw data is late", "", context) is reached


@pytest.mark.parametrize("promoted", [False, True])
def test_a_first_training_that_the_gate_keeps_back_is_told(hook, monkeypatch, tmp_path, promoted):
    address, heard = hook
    params = {"preset": "smoke", "overrides": "", "first_day": "2026-03-04"}
    ti = SimpleNamespace(task_id="gate", dag_id="dupn_initial_train", run_id="r", log_url="")
    context = {"ti": ti, "params": params, "dag_run": None}
    for module in (running, callbacks):
        monkeypatch.setattr(module, "get_current_context", lambda: context)
    failed = [] if promoted else ["ctr AUC 0.5 is under the floor 0.6."]
    verdict = {"promoted": promoted, "day": DAY, "champion": "", "outcome": "refuse", "role": ""}
    verdict |= {"run": "smoke-2026-03-04", "failed": failed}
    monkeypatch.setattr(steps, "gate", lambda *_, **__: verdict)
    monkeypatch.setenv("DUPN_HOME", str(tmp_path))
    monkeypatch.setenv(WEBHOOK, address)
    assert stages.gate.function(["2026-03-04", DAY]) is promoted
    assert [(one["kind"], one["title"], one["text"]) for one in heard] == (not promoted) * [
        (
            *("gate", f"the gate let no first model through on {DAY} (refuse)"),
            f"smoke-2026-03-04: {''.join(failed)}",
        )
    ]
