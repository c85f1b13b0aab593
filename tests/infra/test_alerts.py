import json
import logging
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from infra.alerts import WEBHOOK, Alert, AlertsConfig, Kind, send

ALERT = Alert(
    kind=Kind.QUALITY,
    title="dupn_nightly_update: quality failed",
    text="behaviors: 34 % of the rows were refused (at most 5 %).",
    day="2026-03-14",
    link="http://127.0.0.1:8080/log",
    facts={"task": "quality", "run": ""},
)


class Post(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *_):
        pass


class Smtp(socketserver.StreamRequestHandler):
    """As much of a mail server as one message needs."""

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            self.server.heard.append(line.decode().rstrip())
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                for text in iter(self.rfile.readline, b".\r\n"):
                    self.server.heard.append(text.decode().rstrip())
            leaves = line.upper().startswith(b"QUIT")
            self.wfile.write(b"221 bye\r\n" if leaves else b"250 ok\r\n")
            if leaves:
                return


def serving(server):
    server.heard = []
    server.answer = 200
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def web():
    yield from serving(HTTPServer(("127.0.0.1", 0), Post))


@pytest.fixture
def mail():
    yield from serving(socketserver.TCPServer(("127.0.0.1", 0), Smtp))


def address(server):
    return f"http://127.0.0.1:{server.server_address[1]}/hook/secret"


def test_an_alert_is_always_in_the_log(caplog):
    with caplog.at_level(logging.WARNING):
        assert send(ALERT, AlertsConfig()) == []
    assert "[quality] dupn_nightly_update: quality failed" in caplog.text
    assert "34 % of the rows" in caplog.text
    assert "task: quality" in caplog.text
    assert "run:" not in caplog.text  # what is empty is not said


def test_a_webhook_gets_every_field(web):
    assert send(ALERT, AlertsConfig(webhook=address(web))) == []
    (heard,) = web.heard
    assert heard["kind"] == "quality"
    assert heard["day"] == "2026-03-14"
    assert heard["facts"]["task"] == "quality"
    assert set(heard) == {"kind", "title", "text", "day", "link", "facts"}


def test_slack_gets_a_text(web):
    send(ALERT, AlertsConfig(webhook=address(web), style="slack"))
    assert web.heard == [{"text": ALERT.plain()}]


def test_the_environment_names_a_secret_address(web, monkeypatch):
    monkeypatch.setenv(WEBHOOK, address(web))
    send(ALERT, AlertsConfig(webhook="http://127.0.0.1:9/nobody"))
    assert len(web.heard) == 1


def test_kinds_choose_what_leaves_the_log(web):
    send(ALERT, AlertsConfig(webhook=address(web), kinds=(Kind.LATE,)))
    assert web.heard == []


def test_mail_goes_to_everybody_named(mail):
    host, port = mail.server_address
    config = AlertsConfig(email_to=("a@example.com", "b@example.com"), smtp_host=host)
    assert send(ALERT, config.model_copy(update={"smtp_port": port})) == []
    assert sum(line.lower().startswith("rcpt to") for line in mail.heard) == 2
    assert "Subject: dupn [quality] dupn_nightly_update: quality failed" in mail.heard
    assert "behaviors: 34 % of the rows were refused (at most 5 %)." in mail.heard


def test_a_webhook_that_refuses_is_a_sentence_without_the_secret(web, caplog):
    web.answer = 500
    (sentence,) = send(ALERT, AlertsConfig(webhook=address(web)))
    assert "could not be delivered to 127.0.0.1" in sentence
    assert "secret" not in caplog.text


@pytest.mark.parametrize("webhook", ["http://127.0.0.1:9/hook", "not an address", "http://[x/hook"])
def test_nothing_that_goes_wrong_is_raised(webhook):
    config = AlertsConfig(webhook=webhook, email_to=("a@example.com",), smtp_port=9, timeout_s=1)
    assert len(send(ALERT, config)) == 2
