"""`dupn serve` as a shell sees it when it cannot start: one sentence, exit code 1."""

import json
import socket
import sys
from pathlib import Path

import psutil
import pytest

from infra import runtime
from infra.services import running
from pipeline.cli import app
from pipeline.settings import handed_on, load


@pytest.fixture
def serve(monkeypatch, capfd, tmp_path):
    """Run the command in this process; (exit code, stderr)."""
    for name in ("DUPN_HOME", "DUPN_SET"):
        monkeypatch.delenv(name, raising=False)

    def run(*pairs, port):
        sets = [word for pair in pairs for word in ("--set", pair)]
        words = ["dupn", "--preset", "smoke", "--home", str(tmp_path / "home"), *sets]
        monkeypatch.setattr(sys, "argv", [*words, "serve", "--port", str(port)])
        with pytest.raises(SystemExit) as left:
            app.main()
        return left.value.code, capfd.readouterr().err

    return run


def test_the_service_of_up_has_its_settings_and_shows_none_of_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('name = "mine"\ntime_zone = "Asia/Shanghai"\n')
    tracking = f"tracking.uri=sqlite:///{tmp_path}/mine.db"
    pairs, home = ["dataset=mine.toml", tracking, "serve.workers=1"], tmp_path / "home"
    for name in ("DUPN_HOME", "DUPN_SET"):
        monkeypatch.delenv(name, raising=False)
    settings = load("smoke", str(home), pairs)
    runtime.up_serve(home, settings.runtime, handed_on(settings, "smoke", pairs))
    try:
        line = psutil.Process(running(home / "serve", "serve").pid).cmdline()
    finally:
        runtime.down(home)
    logged = "".join(one.read_text() for one in (home / "serve").rglob("*.log"))
    assert f"there is no MLflow database {tmp_path}/mine.db" in logged
    assert not any("mine." in word for word in line)


def test_a_taken_port_is_named_with_what_to_do(serve):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, said = serve(port=port)
    assert code == 1
    assert f"port {port} of 127.0.0.1 cannot be had (Address already in use)" in said
    assert "`dupn serve --port N`" in said


def test_an_address_of_another_machine_is_named(serve):
    code, said = serve("serve.host=203.0.113.1", port=8123)
    assert code == 1
    assert "port 8123 of 203.0.113.1 cannot be had" in said


def test_a_folder_that_cannot_be_written_is_named_with_the_setting(serve, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "serving").write_text("a file where a folder is needed")
    code, said = serve(port=8123)
    assert code == 1
    assert f"StoreError: {tmp_path}/home/serving could not be written" in said
    assert "set serve.work" in said


def test_up_says_in_which_home_it_works(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runtime, "up", lambda *_, **__: {})  # an Airflow takes half a minute
    monkeypatch.setattr(runtime, "up_serve", lambda *_, **__: {"serve": "http://127.0.0.1:8000"})
    monkeypatch.setattr(sys, "argv", ["dupn", "--json", "--home", "mine", "up"])
    with pytest.raises(SystemExit, match="0"):
        app.main()
    said = json.loads(capsys.readouterr().out)
    assert said == {"home": f"{tmp_path}/mine", "serve": "http://127.0.0.1:8000"}
