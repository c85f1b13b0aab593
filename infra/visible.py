"""Text of others as it may stand on a terminal and in a log: what steers either is written out.

Names of files that somebody delivers may hold escape sequences that clear a screen, line feeds
after which a forged sentence stands, and marks that turn the order of what follows.
"""

import re

_SIGNS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters (C0, DEL, C1), further ends of lines, marks of direction, and bytes of a name
that are no text."""


def visible(text: str, *, keep: str = "") -> str:
    r"""The text with `\n`, `\x1b` and the like for the signs that steer.

    Args:
        text: of a name, or with names in it.
        keep: signs that stay, as line feeds of our own.
    """
    return _SIGNS.sub(lambda sign: sign[0] if sign[0] in keep else _escaped(sign[0]), text)


def as_text(name: str) -> str:
    r"""A file's name as it may stand in a column of texts: `\udce9` for a byte that is none."""
    return name.encode(errors="backslashreplace").decode()


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()
