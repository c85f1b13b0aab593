import os
import subprocess
import sys


def test_idle_threads_of_the_command_sleep():
    told = os.environ | {"OMP_DISPLAY_ENV": "VERBOSE"}
    told.pop("OMP_WAIT_POLICY", None)
    script = "import pipeline.cli.app, training.fit"
    done = subprocess.run(
        [sys.executable, "-c", script], env=told, capture_output=True, text=True, check=True
    )
    assert "GOMP_SPINCOUNT = '0'" in done.stderr
