"""A fresh process asks the candidate, and the champion, what was recorded for it."""

import json
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from infra.errors import RegistryError, RegistryUnavailable
from infra.registry import MODEL
from pipeline import steps
from pipeline.release import fresh_process
from pipeline.release.incumbent import registry_of
from serving.bundle import RECORDED
from tests import refusing
from tests.chain import DAYS, logged, smoke, with_champion

FIRST_JUDGED = DAYS[2]


@pytest.fixture(scope="module")
def settings(chain, tmp_path_factory):
    """A home with one champion."""
    return with_champion(chain, tmp_path_factory.mktemp("canary"))


def test_no_command_line_says_where_mlflow_is(settings):
    lines = set()
    with ThreadPoolExecutor(1) as beside:
        asked = beside.submit(steps.canary, settings, FIRST_JUDGED)
        while wait([asked], 0.05).not_done:
            for child in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    lines.add(" ".join(child.cmdline()))
    assert asked.result()["questions"]
    assert any("canary.py" in line for line in lines)
    assert not any("mlflow.db" in line for line in lines)


def test_the_canary_hears_changed_weights(settings):
    weights = logged(settings, FIRST_JUDGED) / "artifacts" / "bundle" / "model.pt"
    before = weights.read_bytes()
    changed = torch.load(weights, weights_only=True)
    torch.save({name: tensor * 1.01 for name, tensor in changed.items()}, weights)
    try:
        with pytest.raises(
            RegistryError, match=r"heard other scores .* differs by .*\(allowed .* was not promoted"
        ):
            steps.canary(settings, FIRST_JUDGED)
        with pytest.raises(
            RegistryError, match=r"heard other .* Version 1 is champion .*`dupn rollback --why"
        ) as caught:
            steps.check(settings, FIRST_JUDGED)
        assert "not promoted" not in str(caught.value)
    finally:
        weights.write_bytes(before)


def test_an_mlflow_that_does_not_answer_the_canary_is_no_verdict(tmp_path, monkeypatch):
    """It is asked less often than takes the canary's own time."""
    for name in ("BACKOFF_FACTOR", "BACKOFF_JITTER"):
        monkeypatch.setenv(f"MLFLOW_HTTP_REQUEST_{name}", "0")
    with refusing.mlflow(503) as (address, asked):
        settings = smoke(tmp_path, f"tracking.uri={address}")
        with pytest.raises(RegistryUnavailable, match=r"in a fresh process: .*503"):
            fresh_process.ask(settings, "models:/dupn@champion", b"[]")
    assert len(asked) == 1 + int(fresh_process.PATIENCE["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])


def test_the_canary_refuses_a_model_that_does_not_load(settings):
    weights = logged(settings, FIRST_JUDGED) / "artifacts" / "bundle" / "model.pt"
    before = weights.read_bytes()
    weights.unlink()
    try:
        with pytest.raises(RegistryError, match=r"did not answer in a fresh process: .*model\.pt"):
            steps.canary(settings, FIRST_JUDGED)
    finally:
        weights.write_bytes(before)


@pytest.mark.parametrize("again", ["packed once more", "swept"])
def test_the_champion_is_held_against_its_own_answers_though_its_run_was_packed_again(
    settings, again
):
    """A run that is trained once more leaves another model's answers under the same run key."""
    place = settings.store.partition("bundles", None, f"dupn-{DAYS[1]}")
    manifest = place.manifest()
    with place.open(manifest.files[0]) as source:
        content = source.read()
    others = json.loads(content)[:1]
    facts = {**manifest.lineage, "model_uri": "models:/m-another"}
    try:
        if again == "swept":
            place.remove()
        else:
            with place.publish(**facts) as out:
                out.record([out.write_bytes(RECORDED, json.dumps(others).encode(), rows=1)])
        told = steps.check(settings, FIRST_JUDGED)
        assert told["champion"] == "1"
        assert told["questions"] == len(json.loads(content))
    finally:
        with place.publish(**manifest.lineage) as out:
            out.record([out.write_bytes(RECORDED, content, rows=len(json.loads(content)))])


@pytest.fixture
def stranger(settings, tmp_path):
    """A version whose model leaves a mark where it is loaded; its tags are the champion's."""
    registry, mark = registry_of(settings), tmp_path / "loaded"
    first = registry.champion()
    model = tmp_path / "model"
    (model / "code").mkdir(parents=True)
    (model / "code" / "theirs.py").write_text(
        f"import pathlib\ndef _load_pyfunc(path):\n    pathlib.Path({str(mark)!r}).touch()\n"
    )
    (model / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: theirs\n    code: code\n"
    )
    entered = registry.client.create_model_version(
        MODEL, model.as_uri(), first.run_id, tags=dict(first.tags)
    )
    yield str(entered.version), mark
    registry.client.set_registered_model_alias(MODEL, "champion", first.number)
    registry.client.delete_model_version(MODEL, entered.version)


def test_a_model_that_a_stranger_entered_in_mlflow_is_not_loaded(settings, stranger):
    number, mark = stranger
    registry = registry_of(settings)
    registry.client.set_registered_model_alias(MODEL, "champion", number)
    said = (
        rf"version {number} of dupn is file://.*/model in MLflow, and .*made of models:/m-\w+\. A"
    )
    for refused in (
        lambda: steps.check(settings, FIRST_JUDGED),
        lambda: steps.refresh(settings, FIRST_JUDGED),
        lambda: steps.bundle(settings, FIRST_JUDGED, version=number),
        lambda: steps.promote(settings, FIRST_JUDGED, number, "by hand"),
        lambda: steps.check(settings, FIRST_JUDGED),
    ):
        with pytest.raises(RegistryError, match=said):
            refused()
    assert not mark.exists()
    assert steps.promote(settings, FIRST_JUDGED, "1", "it was good")["champion"] == "1"


def test_a_version_with_a_copied_tag_is_not_the_one_that_is_registered(settings, stranger):
    registry = registry_of(settings)
    model = registry.version("1").tags["model_uri"]
    assert registry.version(stranger[0]).tags["model_uri"] == model
    registry.client.delete_model_version_tag(MODEL, "1", "model_uri")
    try:
        made = registry.register(model, "", {})
        assert (made.source, made.number == stranger[0]) == (model, False)
        registry.client.delete_model_version(MODEL, made.number)
    finally:
        registry.client.set_model_version_tag(MODEL, "1", "model_uri", model)


def test_what_mlflow_fetches_for_the_canary_is_gone_with_it(tmp_path, monkeypatch):
    """MLflow leaves a model that it downloaded in the temporary folder of the process."""
    script = tmp_path / "asked.py"
    script.write_text(
        "import json, tempfile\n"
        "print(json.dumps({'questions': 1, 'worst': 0.0, 'where': tempfile.mkdtemp()}))\n"
    )
    monkeypatch.setattr(fresh_process, "canary_script", SimpleNamespace(__file__=str(script)))
    heard = fresh_process.ask(smoke(tmp_path), "models:/dupn/1", b"[]")
    assert not Path(heard["where"]).exists()


def test_a_fresh_process_that_is_killed_is_told_so(tmp_path, monkeypatch):
    script = tmp_path / "asked.py"
    script.write_text(
        "import os, sys\nprint('warnings.warn(', file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    monkeypatch.setattr(fresh_process, "canary_script", SimpleNamespace(__file__=str(script)))
    with pytest.raises(RegistryUnavailable, match=r"was killed by signal 9 .* want of memory"):
        fresh_process.ask(smoke(tmp_path), "models:/dupn/1", b"[]")
