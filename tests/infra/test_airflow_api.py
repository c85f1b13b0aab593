"""An Airflow that goes away is one sentence, whatever it was asked."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from infra.airflow_api import Airflow
from infra.errors import OrchestrationError


class OneLogin(BaseHTTPRequestHandler):
    """Gives a token once; with it, says that it has expired, and hangs up at the next login."""

    logins = 0

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        OneLogin.logins += 1
        if OneLogin.logins > 1:
            return
        token = json.dumps({"access_token": "t"}).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(token)))
        self.end_headers()
        self.wfile.write(token)

    def do_GET(self):
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *words):
        """Nothing."""


@pytest.fixture
def restarting():
    """The address of a server that is lost between two logins."""
    server = HTTPServer(("127.0.0.1", 0), OneLogin)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_airflow_that_is_away_at_the_login_is_one_sentence():
    with pytest.raises(OrchestrationError, match=r"127\.0\.0\.1:9 .* Start it with `dupn up`"):
        Airflow("http://127.0.0.1:9", "admin", "secret").call("GET", "/dags")


def test_so_is_one_that_is_lost_when_the_token_is_renewed(restarting):
    with pytest.raises(OrchestrationError, match="does not answer"):
        Airflow(restarting, "admin", "secret").call("GET", "/dags")
    assert OneLogin.logins == 2
