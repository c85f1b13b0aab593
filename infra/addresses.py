"""Addresses as they may be told: logins and signatures in them are for nobody who reads a log.

Every error, alert and page goes through `bare`, so that `tracking.uri` or the store's root may
hold what the server asks for. What it reads may be a stranger's words, of any length: its time
grows with the length and no faster.
"""

import re

_WORD = re.compile(r"\S+")
_NETLOC = r"[^\s/]*@"
"""A login: up to the last @ before the path."""
_LOGIN = re.compile(rf"{_NETLOC}|[^\s/:@]*:(?!\d+/)[^\s@]*@")
"""Or a password with a slash in it; what begins like a port is one."""
_DATABASE_LOGIN = re.compile(rf"{_NETLOC}|[^\s/:@]*:[^\s@]*@")
"""SQLAlchemy knows no such exception: its password ends at the first @, whatever it holds."""
_DATABASE = re.compile(r"\b(?:postgres(?:ql)?|mysql|mariadb|mssql|oracle|sqlite)(?:\+\w{1,40})?$")
_VALUE = re.compile(r"([?&;])([^=&?;#\s]+)=([^&#\s]+)")
_SECRET = re.compile(
    r"pass|pwd|token|secret|key|odbc_connect|signature|credential|auth|jwt|(?:^|[-_.])sig$|^code$",
    re.IGNORECASE,
)
"""What a parameter's name has that logs in or signs: of databases, S3, Google, Azure, webhooks."""


def bare(text: str) -> str:
    """A text in which no address has a user, a password or a signature."""
    if "://" in text:
        text = _WORD.sub(lambda found: _without_logins(found[0]), text)
    return _VALUE.sub(_without_secret, text)


def _without_logins(word: str) -> str:
    parts, place, last = [], 0, word.rfind("@")
    while 0 <= (scheme := word.find("://", place)) < last:  # so that no search is in vain
        start = scheme + 3
        parts.append(word[place:start])
        named = _DATABASE.search(word, max(place, scheme - 60), scheme)
        login = (_DATABASE_LOGIN if named else _LOGIN).match(word, start)
        place = login.end() if login else start
    return "".join([*parts, word[place:]])


def _without_secret(found: re.Match[str]) -> str:
    separator, name, value = found.groups()
    inside = ";" in value and _SECRET.search(value)  # a list of its own, as ODBC has it
    return f"{separator}{name}={'***' if inside or _SECRET.search(name) else value}"
