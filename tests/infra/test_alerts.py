import json
import logging
import socket
import socketserver
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_address
from unittest.mock import Mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from infra.alerts import PASSWORD, WEBHOOK, Alert, AlertsConfig, Kind, reach, send

HOUR = timedelta(hours=1)
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
        first = self.server.at_first
        self.send_response(first.pop(0) if first else self.server.answer)
        self.end_headers()

    def log_message(self, *_):
        pass


SAYS = {
    b"EHLO": b"250-here\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n",
    b"STARTTLS": b"220 go on\r\n",
    b"AUTH": b"235 welcome\r\n",
    b"QUIT": b"221 bye\r\n",
}


class Smtp(socketserver.StreamRequestHandler):
    """As much of a mail server as one message needs."""

    timeout = 5

    def handle(self):
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            self.server.heard.append(line.decode().rstrip())
            command = line.split()[0].upper()
            refusals = self.server.refuses.get(command)
            if refusals and (code := refusals.pop(0)):
                self.wfile.write(b"%d not this one\r\n" % code)
                continue
            if command == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                for text in iter(self.rfile.readline, b".\r\n"):
                    self.server.heard.append(text.decode().rstrip())
            self.wfile.write(SAYS.get(command, b"250 ok\r\n"))
            if command == b"STARTTLS" and not self.encrypted():
                return
            if command == b"QUIT":
                return

    def encrypted(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server.certificate)
        try:
            self.request = context.wrap_socket(self.request, server_side=True)
        except ssl.SSLError:  # the other side does not trust us
            return False
        self.rfile, self.wfile = self.request.makefile("rb"), self.request.makefile("wb", 0)
        return True

    def finish(self):
        super().finish()
        self.request.close()


def serving(server):
    server.heard = []
    server.answer, server.at_first, server.refuses = 200, [], {}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def paused(monkeypatch):
    """The seconds between tries, which nobody waits for here."""
    found = []
    monkeypatch.setattr("infra.alerts.time.sleep", found.append)
    return found


@pytest.fixture
def web():
    yield from serving(HTTPServer(("127.0.0.1", 0), Post))


@pytest.fixture
def doubtful_web(certificate):
    """A webhook whose certificate nobody vouches for."""
    server = HTTPServer(("127.0.0.1", 0), Post)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    yield from serving(server)


@pytest.fixture
def mail():
    yield from serving(socketserver.TCPServer(("127.0.0.1", 0), Smtp))


@pytest.fixture
def certificate(tmp_path):
    """Key and certificate of 127.0.0.1, signed by itself, in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - HOUR).not_valid_after(now + HOUR)
    signed = made.add_extension(here, critical=False).sign(key, SHA256())
    private = Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    file = tmp_path / "mail.pem"
    file.write_bytes(key.private_bytes(*private) + signed.public_bytes(Encoding.PEM))
    return file


@pytest.fixture
def secure_mail(mail, certificate, monkeypatch):
    """The mail server of somebody who logs in, and the settings for it."""
    mail.certificate = certificate
    monkeypatch.setenv(PASSWORD, "s3cret")
    host, port = mail.server_address
    return mail, AlertsConfig(
        email_to=("a@example.com",), smtp_host=host, smtp_port=port, smtp_user="dupn", timeout_s=5
    )


def mailing(mail, *names):
    """Settings for mail to these at example.com."""
    host, port = mail.server_address
    to = tuple(f"{name}@example.com" for name in names)
    return AlertsConfig(email_to=to, smtp_host=host, smtp_port=port, timeout_s=5)


def asked(mail):
    """Whom a mail was for, in turn."""
    return [line[9] for line in mail.heard if line.lower().startswith("rcpt to:<")]


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


def test_a_name_in_an_alert_is_no_markup_of_slack(web):
    odd = "raw/<!channel> <https://evil.example|mend it> & &lt;.csv"
    link = "http://127.0.0.1:8080/log?a=1&b=2"
    odd_one = replace(ALERT, title=odd, text=odd, link=link, facts={"task": odd})
    send(odd_one, AlertsConfig(webhook=address(web), style="slack"))
    send(odd_one, AlertsConfig(webhook=address(web)))
    text, plain = web.heard[0]["text"], web.heard[1]
    assert not set("<>") & set(text)
    assert text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&") == odd_one.plain()
    assert (plain["text"], plain["link"]) == (odd, link), "others get the fields as they are"


def test_the_environment_names_a_secret_address(web, monkeypatch):
    monkeypatch.setenv(WEBHOOK, address(web))
    send(ALERT, AlertsConfig(webhook="http://127.0.0.1:9/nobody"))
    assert len(web.heard) == 1


def test_what_is_told_has_no_password_in_it(web, caplog):
    words = "API request to http://dupn:s3cret@db.shop/api failed"
    send(replace(ALERT, text=words), AlertsConfig(webhook=address(web)))
    assert web.heard[0]["text"] == "API request to http://db.shop/api failed"
    assert "s3cret" not in caplog.text


def test_kinds_choose_what_leaves_the_log(web, caplog):
    send(ALERT, AlertsConfig(webhook=address(web), kinds=(Kind.LATE,)))
    assert web.heard == []
    assert ALERT.plain() in caplog.text


def test_mail_goes_to_everybody_named(mail):
    host, port = mail.server_address
    config = AlertsConfig(email_to=("a@example.com", "b@example.com"), smtp_host=host)
    assert send(ALERT, config.model_copy(update={"smtp_port": port})) == []
    assert sum(line.lower().startswith("rcpt to") for line in mail.heard) == 2
    assert "Subject: dupn [quality] dupn_nightly_update: quality failed" in mail.heard
    assert "behaviors: 34 % of the rows were refused (at most 5 %)." in mail.heard


def test_the_password_goes_to_a_mail_server_that_is_trusted(secure_mail, certificate, monkeypatch):
    mail, config = secure_mail
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert send(ALERT, config) == []
    assert any(line.startswith("AUTH PLAIN") for line in mail.heard)


def test_a_mail_server_that_nobody_vouches_for_hears_no_password(secure_mail):
    mail, config = secure_mail
    (sentence,) = send(ALERT, config)
    assert "SSLCertVerificationError" in sentence
    assert mail.heard[-1] == "STARTTLS"


def test_a_webhook_that_refuses_is_a_sentence_without_the_secret(web, caplog):
    web.answer = 500
    (sentence,) = send(ALERT, AlertsConfig(webhook=address(web)))
    assert "could not be delivered to 127.0.0.1" in sentence
    assert "secret" not in caplog.text


@pytest.mark.parametrize("webhook", ["http://127.0.0.1:9/hook", "not an address", "http://[x/hook"])
def test_nothing_that_goes_wrong_is_raised(webhook):
    config = AlertsConfig(webhook=webhook, email_to=("a@example.com",), smtp_port=9, timeout_s=1)
    assert len(send(ALERT, config)) == 2


@pytest.mark.parametrize("at_first", [[503], [429, 500]])
def test_what_was_refused_for_the_moment_is_delivered_at_another_try(web, at_first, paused):
    web.at_first = list(at_first)
    assert send(ALERT, AlertsConfig(webhook=address(web))) == []
    assert len(web.heard) == len(at_first) + 1
    assert paused == [1.0, 5.0][: len(at_first)]


@pytest.mark.parametrize(("answer", "tries"), [(503, 3), (404, 1)])
def test_a_webhook_is_tried_three_times_unless_it_refuses_for_good(web, answer, tries):
    web.answer = answer
    assert len(send(ALERT, AlertsConfig(webhook=address(web)))) == 1
    assert len(web.heard) == tries


def test_a_host_that_is_not_there_is_tried_again_and_what_is_no_address_is_not(paused):
    for webhook in ("http://127.0.0.1:9/hook", "not an address"):
        send(ALERT, AlertsConfig(webhook=webhook, timeout_s=1))
    send(ALERT, AlertsConfig(email_to=("a@example.com",), smtp_host="127.0.0.1", smtp_port=9))
    assert paused == [1.0, 5.0] * 2


def test_an_alert_is_told_if_it_reached_one_of_those_or_nobody_is_to_be_told(web):
    mail = {"email_to": ("a@example.com",), "smtp_port": 9, "timeout_s": 1}
    assert reach(ALERT, AlertsConfig())
    assert reach(ALERT, AlertsConfig(kinds=(Kind.LATE,), **mail))
    assert reach(ALERT, AlertsConfig(webhook=address(web), **mail))
    assert not reach(ALERT, AlertsConfig(**mail))


@pytest.mark.parametrize("command", [b"MAIL", b"RCPT", b"DATA"])
def test_mail_that_is_put_off_is_delivered_at_another_try(mail, command, paused):
    mail.refuses = {command: [450, 451]}
    assert send(ALERT, mailing(mail, "a")) == []
    assert paused == [1.0, 5.0]
    assert mail.heard.count("Subject: dupn [quality] dupn_nightly_update: quality failed") == 1


@pytest.mark.parametrize("command", [b"MAIL", b"RCPT", b"DATA"])
def test_mail_that_is_refused_for_good_is_tried_once(mail, command, paused):
    mail.refuses = {command: [550]}
    assert len(send(ALERT, mailing(mail, "a"))) == 1
    assert paused == []


def test_mail_is_tried_again_for_those_alone_who_were_refused(mail, paused):
    mail.refuses = {b"RCPT": [450, None, 450, None]}
    assert send(ALERT, mailing(mail, "a", "b", "c")) == []
    assert asked(mail) == ["a", "b", "c", "a", "c"]
    assert paused == [1.0]
    assert mail.heard.count("To: a@example.com, b@example.com, c@example.com") == 2


def test_who_was_refused_is_said_by_address_and_the_others_were_told(mail, paused, caplog):
    mail.refuses = {b"RCPT": [550, None, 450, 550, 550]}
    config = mailing(mail, "a", "b", "c")
    assert reach(ALERT, config)
    assert paused == [1.0]
    said = "a@example.com refused (550), c@example.com refused (550)"
    assert f"could not be delivered to 127.0.0.1:{config.smtp_port}: {said}" in caplog.text
    mail.refuses = {b"RCPT": [550, 550, 550]}
    assert not reach(ALERT, config)


def test_a_webhook_that_nobody_vouches_for_is_asked_once(doubtful_web, paused):
    url = address(doubtful_web).replace("http:", "https:")
    (sentence,) = send(ALERT, AlertsConfig(webhook=url, timeout_s=5))
    assert sentence.endswith("127.0.0.1: SSLError")
    assert paused == []


def test_a_place_that_says_nothing_holds_up_no_other(mail, paused, caplog):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        update = {"webhook": f"http://127.0.0.1:{silent.getsockname()[1]}/"}
        config = mailing(mail, "a").model_copy(update=update)
        assert reach(ALERT, config, time.monotonic() + 60, silent.close)
    assert caplog.messages[-1].endswith("127.0.0.1: ConnectionError")


def test_no_try_begins_that_there_is_no_time_for(web, paused):
    web.answer = 503
    assert not reach(ALERT, AlertsConfig(webhook=address(web)), time.monotonic() + 4)
    assert paused == [1.0]


def test_where_no_thread_is_to_be_had_it_is_told_all_the_same(web, monkeypatch):
    monkeypatch.setattr("threading._start_new_thread", Mock(side_effect=RuntimeError))
    assert reach(ALERT, AlertsConfig(webhook=address(web)), time.monotonic() + 60)
