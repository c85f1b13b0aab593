"""`models:/dupn@champion`, as somebody who knows only MLflow and their own ids uses it."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import requests

from infra.tracking import tracking_uri
from serving import bundle as bundles
from serving import pyfunc
from serving.bundle import LOGGED
from tests.chain import logged, recorded_questions
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
CHAMPION = "models:/dupn@champion"
BARE = {"ts": "2026-03-05T12:00:00+00:00"}
NAMES = {"user_id", "representation", "price_preference", "ctr", "l2r"}


@pytest.fixture(scope="module")
def tracking(chain):
    return tracking_uri(chain.settings.tracking, chain.store)


@pytest.fixture(scope="module")
def recorded(chain):
    return recorded_questions(chain)[:2]


@pytest.fixture(scope="module")
def asked(tracking, recorded, tmp_path_factory):
    """The champion's answers to two recorded moments and to one that says nothing but when."""
    questions = [*(one["question"] for one in recorded), BARE]
    script = Path(__file__).with_name("ask_champion.py")
    done = subprocess.run(
        [sys.executable, "-P", str(script), tracking, CHAMPION, json.dumps(questions)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_it_answers_raw_ids_as_evaluation_did(asked, recorded):
    for record, got in zip(recorded, asked["answers"], strict=False):
        assert got["user_id"] == record["question"]["user_id"]
        np.testing.assert_allclose(got["ctr"], record["ctr"], atol=1e-5, rtol=0)
        np.testing.assert_allclose(got["l2r"], record["l2r"], atol=1e-5, rtol=0)


def test_an_answer_is_whole(asked, chain):
    for answer in asked["answers"]:
        assert set(answer) == NAMES
        assert sum(answer["price_preference"]) == pytest.approx(1, abs=1e-5)
        assert len(answer["price_preference"]) == 7
        assert len(answer["representation"]) == chain.settings.model.rep_dim


def test_the_page_about_serving_shows_how_it_is_asked(chain, tmp_path):
    (tmp_path / "artifacts").symlink_to(chain.settings.home)
    page = (ROOT / "docs" / "serving.md").read_text()
    (shown,) = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    told = f"{shown}\nprint(answers.to_json(orient='records'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", told],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (answer,) = json.loads(done.stdout.strip().splitlines()[-1])
    assert answer["user_id"] == "u0000001"
    assert len(answer["ctr"]) == len(answer["l2r"]) == 2


def test_only_the_moment_must_be_given(asked):
    assert asked["answers"][-1]["ctr"] == []


def test_the_code_that_answers_came_with_the_model(asked, chain):
    assert Path(asked["code"]).is_relative_to(logged(chain.settings))


def test_the_signature_names_what_a_caller_may_say(chain):
    from mlflow.models import Model

    signature = Model.load(str(logged(chain.settings) / "MLmodel")).signature
    inputs = {column.name: column.required for column in signature.inputs}
    assert {name for name, required in inputs.items() if required} == {"ts"}
    assert set(inputs) == {
        "user_id", "ts", "scenario", "query", "profile", "history", "candidates",
    }  # fmt: skip
    assert {column.name for column in signature.outputs} == NAMES


@pytest.fixture
def tracked(tmp_path):
    """A tracking server of its own, and the id of an experiment there."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    client = mlflow.MlflowClient()
    yield client, client.create_experiment("dupn", artifact_location=f"file:{tmp_path}/files")
    mlflow.set_tracking_uri(before)


def test_of_a_bundle_a_run_has_one_model_however_often_it_is_logged_and_killed_ones_have_failed(
    chain, recorded, tracked
):
    client, experiment = tracked
    runs = [client.create_run(experiment).info.run_id for _ in range(2)]
    killed, others = (client.create_logged_model(experiment, "model", run).model_id for run in runs)
    bundle = logged(chain.settings) / LOGGED
    asked = recorded[0]["question"]
    uri, again = (pyfunc.log(bundle, runs[0], asked, "this bundle") for _ in range(2))
    other = pyfunc.log(bundle, runs[0], asked, "another")
    told = {one.model_id: one.status for one in client.search_logged_models([experiment])}
    assert again == uri
    ready = {one.removeprefix("models:/"): "READY" for one in (uri, other)}
    assert told == {killed: "FAILED", others: "PENDING", **ready}


def test_a_model_that_failed_is_not_taken_though_it_has_the_bundles_tag(tracked):
    client, experiment = tracked
    run = client.create_run(experiment).info.run_id
    model = client.create_logged_model(
        experiment, "model", run, tags={pyfunc.KNOWN_BY: "this bundle"}
    )
    for status, found in (("FAILED", ""), ("READY", model.model_uri)):
        client.finalize_logged_model(model.model_id, status)
        assert pyfunc._whole(experiment, run, "this bundle") == found


def test_mlflow_models_serve_answers_over_http(tracking, recorded, tmp_path):
    port = free_port()
    command = [Path(sys.executable).with_name("mlflow"), "models", "serve", "-m", CHAMPION]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"MLFLOW_TRACKING_URI": tracking, "PATH": path}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        answered = _when_up(f"http://127.0.0.1:{port}", [one["question"] for one in recorded])
        assert answered, (tmp_path / "log").read_text()[-3000:]
        wrong = [recorded[0]["question"], {"ts": "yesterday"}]
        body = {"dataframe_records": wrong}
        refused = requests.post(f"http://127.0.0.1:{port}/invocations", json=body, timeout=60)
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=120)
    for record, got in zip(recorded, answered, strict=True):
        np.testing.assert_allclose(got["ctr"], record["ctr"], atol=1e-5, rtol=0)
    assert refused.status_code == 400
    assert "row 1: ts is refused: Input should be a valid datetime" in refused.json()["message"]


def test_answers_do_not_hang_on_how_many_are_answered_at_once(chain, monkeypatch):
    model = pyfunc.DupnModel()
    model.bundle = bundles.load(logged(chain.settings) / LOGGED)
    questions = [one["question"] for one in recorded_questions(chain)[:7]]
    asked = pd.DataFrame([*questions, BARE])
    sizes = []
    real = pyfunc.answer

    def answer(bundle, block):
        sizes.append(len(block))
        return real(bundle, block)

    monkeypatch.setattr(pyfunc, "answer", answer)
    whole = model.predict(None, asked)
    monkeypatch.setattr(pyfunc, "BLOCK", 3)
    parts = model.predict(None, asked)
    assert sizes == [8, 3, 3, 2]
    for name in sorted(NAMES - {"user_id"}):
        for one, other in zip(whole[name], parts[name], strict=True):
            np.testing.assert_allclose(one, other, atol=1e-5, rtol=0)
    assert model.predict(None, asked.head(0)).empty


def _when_up(address, questions, patience_s=180):
    end = time.monotonic() + patience_s
    while time.monotonic() < end:
        try:
            if requests.get(f"{address}/ping", timeout=30).ok:
                body = {"dataframe_records": questions}
                answer = requests.post(f"{address}/invocations", json=body, timeout=60)
                assert answer.ok, answer.text
                return answer.json()["predictions"]
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(1)
    return None
