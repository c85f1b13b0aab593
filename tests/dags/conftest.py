"""An Airflow of the test's own: its home is a scratch folder, its processes are not ours."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def airflow_environment(tmp_path_factory):
    home = tmp_path_factory.mktemp("airflow")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "DUPN_"))}
    return inherited | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "DUPN_HOME": str(home / "artifacts"),
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def in_airflow(airflow_environment):
    """Run one of the scripts beside this file; the JSON of its last line comes back."""

    def run(script, *arguments, **variables):
        done = subprocess.run(
            [sys.executable, str(HERE / script), *map(str, arguments)],
            env=airflow_environment | variables,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
        return json.loads(done.stdout.strip().splitlines()[-1])

    return run


@pytest.fixture(scope="module")
def run_dag(airflow_environment, tmp_path_factory):
    """Run a DAG whole, without a scheduler; states of the run and of its tasks come back."""
    folder = tmp_path_factory.mktemp("runs")
    said, answer = folder / "said.log", folder / "answer.json"
    with said.open("w") as output:
        worker = subprocess.Popen(
            [sys.executable, HERE / "run_dags.py"],
            env=airflow_environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(dag, conf, left_out=None, home=airflow_environment["DUPN_HOME"]):
        asked = {"dag": dag, "conf": conf, "left_out": left_out, "home": str(home)}
        worker.stdin.write(json.dumps(asked | {"answer": str(answer)}) + "\n")
        worker.stdin.flush()
        while not answer.exists():
            assert worker.poll() is None, said.read_text()[-9000:]
            time.sleep(0.02)
        content = json.loads(answer.read_text())
        answer.unlink()
        return content

    yield run
    worker.stdin.close()
    worker.wait(60)


@pytest.fixture(scope="session")
def seen(in_airflow):
    """What Airflow sees of our DAG folder."""
    return in_airflow("describe.py", ROOT / "dags")


@pytest.fixture(scope="session")
def scheduled(in_airflow):
    """The same where the first day of data is given, in a zone with summer time."""
    return in_airflow(
        "describe.py",
        ROOT / "dags",
        DUPN_NIGHTLY_START="2026-03-27",
        DUPN_NIGHTLY_ZONE="Europe/Berlin",
        DUPN_NIGHTLY_DATASET="mylog.toml",
        DUPN_NIGHTLY_PRESET="smoke",
    )


@pytest.fixture
def hook():
    """A webhook of the test's own: its address, and the alerts that it was sent."""
    with _hook() as found:
        yield found


@pytest.fixture(scope="module")
def hooked():
    """One for all tests of a file."""
    with _hook() as found:
        yield found


@contextmanager
def _hook():

    class Post(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.heard.append(
                json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            )
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Post)
    server.heard = []
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", server.heard
    server.shutdown()
    server.server_close()
