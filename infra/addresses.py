"""Addresses as they may be told: users and passwords in them are for nobody who reads a log.

Every error, alert and page goes through `bare`, so that `tracking.uri` or the store's root may
hold what the server asks for.
"""

import re

_LOGIN = re.compile(r"(?<=://)(?:[^\s/]*@|[^\s/:@]*:(?!\d+/)[^\s@]*@)")
"""Up to the last @ before the path; SQLAlchemy takes a password with a slash in it, too."""
_PASSWORD = re.compile(r"([?&]pass(?:word|wd)=)[^&#\s]+")


def bare(text: str) -> str:
    """A text in which no address has a user or a password."""
    return _PASSWORD.sub(r"\1***", _LOGIN.sub("", text))
