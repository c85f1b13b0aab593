"""What the libraries beneath would tell their makers."""

import os
import subprocess
import sys

import pytest

from infra import programs
from infra.programs import RuntimeConfig

ASKED = """
import infra, mlflow.telemetry, onnxruntime
raise SystemExit(mlflow.telemetry.get_telemetry_client() is not None)
"""
BARE = ("PATH", "PYTHONPATH")
"""What a process needs; among the others may be what stops MLflow: a CI's, pytest's."""


def test_libraries_tell_their_makers_nothing(tmp_path):
    bare = {name: os.environ[name] for name in BARE if name in os.environ}
    alone = bare | {"HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", ASKED], env=alone, check=True)
    assert list(tmp_path.rglob("*")) == []  # nor do they name this machine for the next time


@pytest.mark.parametrize("chosen", ["true", "false"])
def test_what_somebody_chose_to_tell_holds_for_what_up_starts(tmp_path, monkeypatch, chosen):
    names = ("MLFLOW_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY", "GX_ANALYTICS_ENABLED")
    for name in (*names, "DO_NOT_TRACK"):
        monkeypatch.setenv(name, chosen)
    found = [
        programs.airflow_environment(tmp_path, tmp_path, 18080, RuntimeConfig()),
        programs.mlflow(tmp_path, RuntimeConfig()).environment,
        programs.serve(tmp_path, RuntimeConfig(), {}).environment,
    ]
    for one in found:
        assert {one[name] for name in (*names, "DO_NOT_TRACK")} == {chosen}
