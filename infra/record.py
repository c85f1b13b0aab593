"""Small JSON records of the store: one that cannot be read says which, and what to do.

A power loss or a bad copy leaves one empty or cut off. Its key alone helps nobody, so whoever reads
it says which step writes it again.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.errors import RecordCorrupt

_LONGEST = 200
"""Characters of a parser's own words in a sentence of ours."""


@contextmanager
def reading(key: str, remedy: str) -> Iterator[None]:
    """A block that makes what it should be of a record's bytes, and does nothing else.

    Raises:
        RecordCorrupt: they are nothing of the kind.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise RecordCorrupt(f"{key} cannot be read ({_said(error)}). {remedy}") from None


def loaded(content: bytes, key: str, remedy: str) -> dict[str, Any]:
    """A record as a JSON object.

    Raises:
        RecordCorrupt: it is none.
    """
    with reading(key, remedy):
        return as_object(content)


def as_object(content: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is none.
    """
    found = json.loads(content)
    if isinstance(found, dict):
        return found
    raise ValueError("it is no JSON object")


def _said(error: Exception) -> str:
    """In one line, without pydantic's advice and types."""
    if isinstance(error, KeyError):
        return f"it does not say {error}"
    lines = [line.strip().partition(" [type=")[0] for line in str(error).splitlines()]
    said = " ".join(line for line in lines if not line.startswith("For further information"))
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 3]}..."
