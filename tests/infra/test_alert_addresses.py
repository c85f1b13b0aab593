"""Addresses of mail that are none, and errors of theirs that no server has anything to do with."""

import pytest
from pydantic import ValidationError

from infra import alerts
from infra.alerts import Alert, AlertsConfig, Kind, send

ALERT = Alert(kind=Kind.QUALITY, title="a night failed", text="Look.")


@pytest.mark.parametrize("odd", ["dupn@", "@example.com", "", "a@example.com@"])
def test_what_is_no_address_is_no_setting(odd):
    with pytest.raises(ValidationError, match="is no e-mail address"):
        AlertsConfig(email_from=odd)
    with pytest.raises(ValidationError, match="is no e-mail address"):
        AlertsConfig(email_to=("a@example.com", odd))


def test_a_name_may_stand_beside_an_address():
    named = AlertsConfig(email_from="dupn <dupn@example.com>")
    assert named.email_from.endswith("<dupn@example.com>")
    AlertsConfig(email_from='"dupn, at night" <dupn@localhost>', email_to=("root",))


def test_an_error_of_any_class_stops_nothing(monkeypatch):
    def odd(*_):
        raise IndexError("string index out of range")

    monkeypatch.setattr(alerts, "_mail", odd)
    (told,) = send(ALERT, AlertsConfig(email_to=("a@example.com",)))
    assert told.endswith("could not be delivered to localhost:25: IndexError")
