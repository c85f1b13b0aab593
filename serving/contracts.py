"""What a caller asks: raw ids and history in, as typed records.

A null is an absent value, within structures too: a table (Arrow, Parquet, Spark) has every field of
a struct in every row, so there it is the only way to leave one out.
"""

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from infra.errors import InputError

BehaviorName = Literal["click", "bookmark", "cart", "purchase"]
ScenarioName = Literal["search", "recommend", "ad", "unknown"]
MOST_COLUMNS = 1_000
"""Of a profile; each is looked up by name."""
_MOST_ERRORS = 2_000
"""Of a record, to name the first: pydantic makes all or none, and there may be a million."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FRACTION = re.compile(r"[+-]?\d{1,18}\.\d+")
_MOST_SECONDS = 2e10
"""A number over that is of milliseconds (pydantic's rule)."""
_LONGEST_NAME = 40
"""Characters of a stranger's name in a sentence."""


def present(given: Any) -> Any:
    """A record without the values that are absent; what is no record, as it is."""
    if not isinstance(given, Mapping):
        return given
    return {name: value for name, value in given.items() if not _absent(value)}


def _columns(given: Any) -> Any:
    if isinstance(given, Mapping) and len(given) > MOST_COLUMNS:
        raise PydanticCustomError(
            "too_long", "A profile has at most {most} columns", {"most": f"{MOST_COLUMNS:,}"}
        )
    return present(given)


_Columns = Annotated[dict[str, str | None], Field(max_length=MOST_COLUMNS)]
Profile = Annotated[dict[str, str], BeforeValidator(_columns, json_schema_input_type=_Columns)]
"""Profile columns by name, as in the users table; one that is null is unknown."""


def of_milliseconds(given: Any) -> Any:
    """A number of seconds, rounded to the millisecond that it was; what is none, as it is.

    1.001 s are a little more or less in binary, so the raw log rounds it, too, and cuts off alone
    what a text in ISO 8601 has below a millisecond.
    """
    if isinstance(given, str) and _FRACTION.fullmatch(given):
        given = float(given)
    if isinstance(given, float) and abs(given) <= _MOST_SECONDS:
        return round(given * 1000) / 1000
    return given


_Time = Annotated[datetime, BeforeValidator(of_milliseconds)]


class PastBehavior(BaseModel):
    """One behaviour of the user's history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str
    type: BehaviorName = "click"
    scenario: ScenarioName = "unknown"
    ts: _Time
    """With a time zone, or UTC."""

    @model_validator(mode="before")
    @classmethod
    def _present(cls, given: Any) -> Any:
        return present(given)


class Question(BaseModel):
    """One moment: who, when, what was typed, what may be shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user_id: str = ""
    """Only echoed: the network knows no user ids."""
    ts: _Time
    """The moment. Only behaviours strictly before it count."""
    scenario: ScenarioName = "unknown"
    query: str | None = None
    profile: Profile = Field(default_factory=dict)
    history: list[PastBehavior] = Field(default_factory=list, fail_fast=True)
    """In any order; the last 100 before the moment count."""
    candidates: list[str] = Field(default_factory=list, fail_fast=True)
    """Item ids to score; may be empty."""


def question(record: Mapping[str, Any]) -> Question:
    """A row of the input; absent values take their defaults.

    Raises:
        InputError: naming the field that is wrong.
    """
    try:
        return Question.model_validate(present(record))
    except ValidationError as error:
        field, wrong = first(error)
        raise InputError(
            f"{field} is refused: {wrong}. Compare the model's input example."
        ) from None


def first(error: ValidationError) -> tuple[str, str]:
    """The first field that is wrong, and what is wrong with it.

    Of a record with very many unknown fields none is named.
    """
    count = error.error_count()
    if count > _MOST_ERRORS:
        return "the record", f"{count:,} of its fields are unknown or wrong"
    told = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return place(told["loc"]), wrong(told)


def wrong(error: ErrorDetails) -> str:
    """What is wrong with a value, and what to write."""
    if error["type"] == "timezone_aware":
        return "it has no offset. Write 2026-03-05T12:00:00Z, or +08:00 in place of the Z"
    if error["type"].startswith("datetime"):
        return f"{error['msg']}. Write 2026-03-05T12:00:00Z"
    return error["msg"]


def place(parts: Sequence[int | str]) -> str:
    """Where in a record a field stands; each name cut to what one reads."""
    return ".".join(str(part)[:_LONGEST_NAME] for part in parts)


def milliseconds(ts: datetime) -> int:
    """The UTC millisecond in which a time lies; one without a zone is UTC."""
    aware = ts if ts.tzinfo else ts.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
