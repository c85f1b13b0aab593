"""Telling somebody: a line in the log always, a webhook and e-mail if the settings name them.

An alert says what happened, to which day, and what to do; nobody should have to look anything up.
One that cannot be delivered, in three tries, is logged and never stops the work that it is about.
Whoever has little time says until when, and then no place is waited for before another is told.
Addresses that are secrets come from the environment, because settings are written into every
training run: `DUPN_ALERT_WEBHOOK` and `DUPN_SMTP_PASSWORD`.
"""

import html
import logging
import math
import os
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from email.message import EmailMessage
from email.utils import parseaddr
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from queue import Empty, SimpleQueue
from typing import Literal
from urllib.parse import urlsplit

import requests
from pydantic import Field, field_validator

from infra.addresses import bare
from infra.config import Config, Secret

logger = logging.getLogger(__name__)

WEBHOOK = "DUPN_ALERT_WEBHOOK"
PASSWORD = "DUPN_SMTP_PASSWORD"  # noqa: S105 - the name of a variable
PAUSES_S = (1.0, 5.0)
"""Before the second and the third try of a delivery."""
PASSING = (
    ConnectionError,
    TimeoutError,
    socket.gaierror,
    requests.ConnectionError,
    requests.Timeout,
    smtplib.SMTPServerDisconnected,
)
"""Nobody answered."""


class Kind(StrEnum):
    """What happened; docs/operations.md has a paragraph on each."""

    LATE = "late"
    """The raw partition was not there by the deadline, or a release has not ended for hours."""
    QUALITY = "quality"
    """A critical expectation failed; the night stopped. Or it went without days that are gone."""
    OUT_OF_TURN = "out_of_turn"
    """A night did not start because an older one has not ended."""
    FAILED = "failed"
    """A task failed for another reason."""
    GATE = "gate"
    """The gate kept champion or challenger, or let no first model through (the run is green)."""
    AUC = "auc"
    """The champion, or an experiment's challenger, does worse than it did."""
    ABNORMAL = "abnormal"
    """A day of unusual volume or mix."""
    ARRIVED_AGAIN = "arrived_again"
    """What a night was made of has changed: raw data of its day, or a day before it."""
    VERDICT = "verdict"
    """An experiment was concluded: its challenger has taken over, or is out (the run is green)."""


class AlertsConfig(Config):
    """Whom to tell, besides the log."""

    webhook: Secret = ""
    """URL that gets a POST. `DUPN_ALERT_WEBHOOK` goes before it, for addresses that are secrets."""
    style: Literal["json", "slack"] = "json"
    """Of the body: every field of the alert, or `{"text": ...}` as Slack and its kin read it."""
    email_to: tuple[str, ...] = ()
    """Addresses; none: no e-mail."""
    email_from: str = "dupn@localhost"
    """Sender."""
    smtp_host: Secret = "localhost"
    """Mail server."""
    smtp_port: int = Field(25, ge=1, le=65535)
    """Of the mail server."""
    smtp_user: Secret = ""
    """Log in with this name and `DUPN_SMTP_PASSWORD`, over STARTTLS with a certificate that this
    machine trusts (`SSL_CERT_FILE` names others); empty: neither."""
    timeout_s: float = Field(10.0, gt=0, le=86_400)
    """For one try of a delivery, of which there are three at most."""
    kinds: tuple[Kind, ...] = tuple(Kind)
    """Those that leave the log; all by default."""

    @field_validator("email_to", "email_from")
    @classmethod
    def _addresses(cls, value: tuple[str, ...] | str) -> tuple[str, ...] | str:
        for one in (value,) if isinstance(value, str) else value:
            name, at, host = parseaddr(one)[1].partition("@")
            if not name or (at and not host):  # a name alone is a mailbox of the mail server's
                raise ValueError(f"{one!r} is no e-mail address (write it like dupn@example.com)")
        return value


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What a person is told."""

    kind: Kind
    title: str
    """One line."""
    text: str
    """What is wrong and what to do."""
    day: str = ""
    """Of the data."""
    link: str = ""
    """Where to look."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Further names and values (DAG, task, run)."""

    def plain(self) -> str:
        """Title, text, facts and link as lines."""
        facts = [f"{name}: {value}" for name, value in self.facts.items() if value]
        return "\n".join([f"[{self.kind}] {self.title}", self.text, *facts, self.link]).strip()


def send(alert: Alert, config: AlertsConfig) -> list[str]:
    """Log the alert and deliver it; what could not be delivered, as sentences. Never raises.

    Addresses in title and text lose user and password.
    """
    return [one.failed for one in _tried(alert, config) if one.failed]


def reach(
    alert: Alert,
    config: AlertsConfig,
    until: float | None = None,
    then: Callable[[], None] | None = None,
) -> bool:
    """Send it; False where it has reached none of those who are to be told.

    It ends at `until`, by the monotonic clock, where that is given. `then` is called once, as soon
    as anybody has it, be others still waited for; or if nobody is to be told.
    """
    reached = False
    for one in _tried(alert, config, until):
        if one.reached and not reached and then:
            then()
        reached = reached or one.reached
    return reached


@dataclass(frozen=True)
class _Tried:
    """How one delivery went in the end."""

    failed: str = ""
    """What went wrong, as a sentence."""
    reached: bool = True
    """Whether anybody has it."""


class _Partly(smtplib.SMTPRecipientsRefused):
    """Refused to some addresses; the others have the mail."""


def _tried(alert: Alert, config: AlertsConfig, until: float | None = None) -> Iterator[_Tried]:
    """Of every place, when it is over there."""
    alert = replace(alert, title=bare(alert.title), text=bare(alert.text))
    logger.warning("alert %s", alert.plain())
    deliveries = _deliveries(alert, config)
    if not deliveries:
        yield _Tried()
    elif until is None:
        for place, deliver in deliveries.items():
            yield _attempt(deliver, place)
    else:
        yield from _side_by_side(deliveries, until)


def _side_by_side(deliveries: Mapping[str, Callable[[], None]], until: float) -> Iterator[_Tried]:
    """What a place has not taken by then is given up.

    Timeouts alone do not keep to a time: they hold for one address of a host and one line of an
    answer each, and for the name of a host not at all.
    """
    over: SimpleQueue[tuple[str, _Tried]] = SimpleQueue()

    def attempt(place: str) -> None:
        over.put((place, _attempt(deliveries[place], place, until)))

    for place in deliveries:
        _aside(partial(attempt, place))
    left = list(deliveries)
    while left:
        try:
            place, tried = over.get(timeout=max(0.0, until - time.monotonic()))
        except Empty:
            break
        left.remove(place)
        yield tried
    for place in left:
        yield _undelivered(place, "no answer in the time that there was")


def _aside(work: Callable[[], None]) -> None:
    """In a thread that keeps no process alive; here, where none is to be had.

    That may be why the work has failed that the alert is about.
    """
    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError:
        work()


def _deliveries(alert: Alert, config: AlertsConfig) -> dict[str, Callable[[], None]]:
    """How to deliver it, by the place that is told of; nothing if it stays in the log."""
    if alert.kind not in config.kinds:
        return {}
    found: dict[str, Callable[[], None]] = {}
    address = os.environ.get(WEBHOOK) or config.webhook
    if address:
        found[_host(address)] = lambda: _post(address, alert, config)
    if config.email_to:
        left: list[str] = []
        found[f"{config.smtp_host}:{config.smtp_port}"] = lambda: _mail(alert, config, left)
    return found


def _attempt(deliver: Callable[[], None], place: str, until: float = math.inf) -> _Tried:
    """What may pass is tried again, if there is time."""
    reached = False
    for pause_s in (*PAUSES_S, None):
        try:
            deliver()
        except Exception as error:  # mostly an OSError; `email` raises any class of what is odd
            reached = reached or isinstance(error, _Partly)
            if pause_s is not None and _may_pass(error) and time.monotonic() + pause_s < until:
                time.sleep(pause_s)
                continue
            return _undelivered(place, _named(error), reached=reached)
        break
    return _Tried()


def _undelivered(place: str, why: str, *, reached: bool = False) -> _Tried:
    """`why` is not an error's own text or trace: they may hold the address, perhaps a secret."""
    sentence = f"an alert could not be delivered to {place}: {why}"
    logger.error("%s", sentence)
    return _Tried(sentence, reached)


def _named(error: Exception) -> str:
    if not isinstance(error, smtplib.SMTPRecipientsRefused):
        return type(error).__name__
    return ", ".join(f"{one} refused ({code})" for one, (code, _) in error.recipients.items())


def _may_pass(error: Exception) -> bool:
    """Whether the next try may succeed: nobody answered, or the answer was "not now"."""
    if isinstance(error, requests.HTTPError):
        return error.response.status_code == HTTPStatus.TOO_MANY_REQUESTS or (
            error.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        )
    if isinstance(error, smtplib.SMTPResponseException):
        return _not_now(error.smtp_code)
    if isinstance(error, smtplib.SMTPRecipientsRefused):  # a greylist, say
        return any(_not_now(code) for code, _ in error.recipients.values())
    return isinstance(error, PASSING) and not isinstance(error, requests.exceptions.SSLError)


def _not_now(smtp_code: int) -> bool:
    """5xx of a mail server is for good."""
    return 400 <= smtp_code < 500


def _post(address: str, alert: Alert, config: AlertsConfig) -> None:
    # Slack's markup: `<!channel>` in the name of a file would wake everybody, `<url|words>` link.
    slack = {"text": html.escape(alert.plain(), quote=False)}
    body = slack if config.style == "slack" else asdict(alert)
    answer = requests.post(address, json=body, timeout=config.timeout_s)
    answer.raise_for_status()


def _mail(alert: Alert, config: AlertsConfig, left: list[str]) -> None:
    """`left` are those whom the try before did not reach, and then this one; none: send to all."""
    message = EmailMessage()
    message["Subject"] = f"dupn [{alert.kind}] {alert.title}"
    message["From"] = config.email_from
    message["To"] = ", ".join(config.email_to)
    message.set_content(alert.plain())
    with smtplib.SMTP(config.smtp_host, config.smtp_port, timeout=config.timeout_s) as server:
        if config.smtp_user:
            server.starttls(context=ssl.create_default_context())
            server.login(config.smtp_user, os.environ.get(PASSWORD, ""))
        refused = server.send_message(message, to_addrs=left or None)
        if refused:  # some of them; smtplib raises where it is all
            left[:] = refused
            raise _Partly(refused)


def _host(address: str) -> str:
    try:
        return urlsplit(address).hostname or "the webhook"
    except ValueError:  # `http://[x` and the like
        return "the webhook"
