"""A proxy that the environment names is for others, never for our own programs."""

import os
import shutil
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import httpx
import pytest
import requests

from infra import programs, proxies, services
from infra.airflow_api import Airflow
from infra.programs import RuntimeConfig
from pipeline.bench import serve_metrics
from pipeline.demo import service

PROXY = "http://127.0.0.1:9"


class Ours(BaseHTTPRequestHandler):
    """A program that gives everybody a token, and whoever searches nothing."""

    def do_GET(self):
        self.send_response(200)
        body = b'{"access_token": "one", "items": []}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *words):
        """Nothing."""


@pytest.fixture
def port():
    server = HTTPServer(("127.0.0.1", 0), Ours)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def proxied(monkeypatch):
    """An environment with a proxy that leads nowhere, and nothing that is asked without it."""
    for name in [one for one in os.environ if one.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    return monkeypatch


@pytest.mark.usefixtures("proxied")
def test_our_own_programs_are_asked_without_it(port):
    assert services._answers(f"http://127.0.0.1:{port}/health")
    assert Airflow(f"http://127.0.0.1:{port}", "admin", "secret").call("GET", "/dags")
    assert serve_metrics.read(port) == {}


@pytest.mark.parametrize("curl", [shutil.which("curl"), None])
def test_nor_does_the_demo_ask_the_service_through_it(curl, port, proxied):
    proxied.setattr(shutil, "which", lambda _: curl)
    address = f"http://127.0.0.1:{port}"
    service._wait(address, 5)
    command = service._command(address, "{}")
    assert service._answer(command, address, "{}")["items"] == []
    assert "--noproxy" in command
    for name in ("http_proxy", "HTTPS_PROXY"):
        proxied.delenv(name)
    assert service._command(address, "{}") == ["curl", "-s", f"{address}/v1/search", "-d", "{}"]


def made(home, **settings):
    """What each of the three programs finds in its environment."""
    config = RuntimeConfig(**settings)
    airflow = programs.airflow(home, home / "dags", config, {})
    each = airflow, programs.mlflow(home, config), programs.serve(home, config, {})
    return [one.environment for one in each]


def test_our_own_programs_ask_each_other_without_it_and_others_through_it(port, proxied, tmp_path):
    for environment in made(tmp_path):
        with proxied.context() as inherited:
            for name in ("no_proxy", "NO_PROXY"):
                inherited.setenv(name, environment[name])
            for host in ("127.0.0.1", "localhost"):
                assert httpx.get(f"http://{host}:{port}/").is_success
                assert requests.get(f"http://{host}:{port}/", timeout=5).ok
            with pytest.raises(httpx.ConnectError):
                httpx.get("http://dupn.invalid/")
            found = requests.utils.get_environ_proxies("https://dupn.invalid/")
            assert found["https"] == environment["HTTPS_PROXY"] == PROXY


@pytest.mark.parametrize(
    ("given", "small", "capital"),
    [
        ({}, "localhost,127.0.0.1,127.0.0.2", "localhost,127.0.0.1,127.0.0.2"),
        ({"NO_PROXY": "a.b, 127.0.0.1"}, *["a.b,127.0.0.1,localhost,127.0.0.2"] * 2),
        (
            {"no_proxy": "a.b", "NO_PROXY": "c.d"},
            "a.b,localhost,127.0.0.1,127.0.0.2",
            "c.d,localhost,127.0.0.1,127.0.0.2",
        ),
        ({"no_proxy": "*"}, "*", "*"),
    ],
)
def test_whoever_is_asked_without_it_already_still_is(given, small, capital, proxied, tmp_path):
    for name, hosts in given.items():
        proxied.setenv(name, hosts)
    for environment in made(tmp_path, host="127.0.0.2"):
        assert (environment["no_proxy"], environment["NO_PROXY"]) == (small, capital)


def test_where_none_is_named_nothing_is_added():
    assert proxies.spared({"PATH": "/bin", "http_proxy": ""}, "127.0.0.1") == {}
