"""Which line of a TOML file a dotted key stands on, so that an error can point at it.

`tomllib` keeps no positions. This reads only what errors need: section headers and keys at the
start of a line; a key of an inline table is found at the line of the key that holds it.
"""

import re

_SECTION = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_.\- ]|"[^"]*"|'[^']*')+?)\s*=""")
_PART = re.compile(r'"([^"]*)"|' + r"'([^']*)'|([A-Za-z0-9_\-]+)")


def line_number(text: str, *path: str) -> int:
    """The 1-based line of the longest leading part of `path` that `text` states (1 if none)."""
    known = _positions(text)
    for length in range(len(path), 0, -1):
        if path[:length] in known:
            return known[path[:length]]
    return 1


def _positions(text: str) -> dict[tuple[str, ...], int]:
    found: dict[tuple[str, ...], int] = {}
    section: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _SECTION.match(line)
        if header:
            section = _parts(header.group(1))
            found.setdefault(section, number)
            continue
        key = _KEY.match(line)
        if key:
            path = section + _parts(key.group(1))
            for length in range(len(section) + 1, len(path) + 1):
                found.setdefault(path[:length], number)
    return found


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(a or b or c for a, b, c in _PART.findall(dotted))
