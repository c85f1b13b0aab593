"""Whether errors quote what stands in a file.

By hand they do: whoever imports a file may read it. Whoever may start an import by a form is not
thereby somebody who may read files of the worker, whose first lines would stand in a task's log
and in an alert.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

LONGEST = 80
"""Characters of a text, or of a list as it is written, that are quoted."""
_QUOTES: ContextVar[bool] = ContextVar("quotes", default=True)


@contextmanager
def unquoted() -> Iterator[None]:
    """A block whose errors tell file, line and counts, and nothing of what stands there."""
    before = _QUOTES.set(False)
    try:
        yield
    finally:
        _QUOTES.reset(before)


def quote(value: object) -> str:
    """A value of a file, for a sentence."""
    if not _QUOTES.get():
        return "(not quoted)"
    return repr(value[:LONGEST]) if isinstance(value, str) else repr(value)[:LONGEST]


def quotes(names: Sequence[str]) -> str:
    """Names that a file has, for a sentence."""
    if not _QUOTES.get():
        counted = f"{len(names)} name{'s' * (len(names) != 1)}"
        return f"{counted} (not quoted: `dupn import` by hand lists them)"
    return ", ".join(map(repr, names))
