"""Bodies -> typed records; what is wrong with one is found out at the price of reading it.

pydantic lists every unknown field, a million of them as well, in ten times the time that reading
takes, during which nobody else is answered. So a body that may have so many is looked at first.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json

from infra.errors import InputError
from serving.contracts import MOST_COLUMNS, first

MANY = 10_000
"""Colons of a body that is looked at first; a thousand behaviours have as many, candidates none."""


def parse(adapter: TypeAdapter[Any], body: bytes) -> Any:
    """A body as a record.

    Raises:
        InputError: naming the first field that is wrong.
    """
    if body.count(b":") > MANY:
        _require_few_fields(body)
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        where, wrong = first(error)
        raise InputError(f"{where or 'the body'}: {wrong}.") from None


def _require_few_fields(body: bytes) -> None:
    try:
        whole = from_json(body, cache_strings=False)
    except ValueError:
        return  # no JSON, which is told with the rest
    most = max((len(one) for one in _records(whole)), default=0)
    if most > MOST_COLUMNS:
        raise InputError(f"a record has {most:,} fields. Send those that /openapi.json lists.")


def _records(whole: object) -> Iterator[dict[str, object]]:
    """Itself, what stands in it, and in its lists."""
    if not isinstance(whole, dict):
        return
    yield whole
    for value in whole.values():
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, dict):
                yield one
