"""What a caller asks: raw ids and history in, as typed records.

A null is an absent value, within structures too: a table (Arrow, Parquet, Spark) has every field of
a struct in every row, so there it is the only way to leave one out.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from infra.errors import InputError

BehaviorName = Literal["click", "bookmark", "cart", "purchase"]
ScenarioName = Literal["search", "recommend", "ad", "unknown"]


def present(given: Any) -> Any:
    """A record without the values that are absent; what is no record, as it is."""
    if not isinstance(given, Mapping):
        return given
    return {name: value for name, value in given.items() if not _absent(value)}


Profile = Annotated[
    dict[str, str], BeforeValidator(present, json_schema_input_type=dict[str, str | None])
]
"""Profile columns by name, as in the users table; one that is null is unknown."""


class PastBehavior(BaseModel):
    """One behaviour of the user's history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    item_id: str
    type: BehaviorName = "click"
    scenario: ScenarioName = "unknown"
    ts: datetime
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
    ts: datetime
    """The moment. Only behaviours strictly before it count."""
    scenario: ScenarioName = "unknown"
    query: str | None = None
    profile: Profile = Field(default_factory=dict)
    history: list[PastBehavior] = Field(default_factory=list)
    """In any order; the last 100 before the moment count."""
    candidates: list[str] = Field(default_factory=list)
    """Item ids to score; may be empty."""


def question(record: Mapping[str, Any]) -> Question:
    """A row of the input; absent values take their defaults.

    Raises:
        InputError: naming the field that is wrong.
    """
    try:
        return Question.model_validate(present(record))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{field} is refused: {first['msg']}. See the model's signature."
        ) from None


def milliseconds(ts: datetime) -> int:
    """UTC milliseconds; a time without a zone is UTC."""
    aware = ts if ts.tzinfo else ts.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
